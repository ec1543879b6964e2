"""What one tenant's retraining has in hand: its rows, the registry, and the last day that is over."""

import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from mercurios.errors import ModelError
from mercurios.forecasting.evidence import TrainingData, digest
from mercurios.forecasting.series import Panel
from mercurios.jobs.expire import RELEASE
from mercurios.jobs.planned import category_plan, external_factors
from mercurios.jobs.retrain.promotion import Verdict
from mercurios.registry import CHALLENGER, CHAMPION, ModelVersion, Registry, Run, SavedModel
from mercurios.serving import Session
from mercurios.tables import TABLES

CANDIDATE = "candidate"
"""The tag of a version that holds its method."""
PUBLISHED = "published.parquet"
"""The file of a version that holds what it predicted."""
SCORED_WINDOWS = "scored.parquet"
"""The file of a forecast's version that holds its windows of the backtest, those that only calibrate as well.

Of a champion that was fitted anew: those it was chosen in. Drift is told from these.
"""
NEWEST_WINDOWS = "newest.parquet"
"""The same of the night it was fitted: what its forecasts were made to add up by."""
_HOLIDAYS = "select day as ds, holiday as name from marts.dim_dates where holiday is not null order by day"
_TENANT = "select currency, time_zone, locale from marts.dim_tenants"


def plain(candidate: Mapping[str, Any]) -> str:
    """A method as the tag CANDIDATE tells it."""
    return json.dumps(candidate, sort_keys=True)


def table_of(registry: Registry, version: ModelVersion, name: str) -> pl.DataFrame:
    """A table that a version keeps; raises ModelError when it has none of this name."""
    return pl.read_parquet(io.BytesIO(registry.read(version, name)))


@dataclass(frozen=True)
class Record:
    """What a run keeps beside its models: parameters, numbers, small tables and PNG pictures by file name."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tables: Mapping[str, pl.DataFrame]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Entry:
    """A fitted model on its way into the registry; `candidate` is its method as plain data.

    tables: what its version keeps by file name, such as PUBLISHED: what it predicts, without tenant and version, in the
    columns of the published table, so that it can be published again without fitting anything.
    """

    save: Callable[[Path], None]
    loader: str
    candidate: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """The versions of one run."""

    champion: ModelVersion
    challenger: ModelVersion | None


@dataclass(frozen=True)
class Desk:
    """One tenant's session and the registry. until: the last local day that was over at `as_of`."""

    session: Session
    registry: Registry
    as_of: datetime
    until: date
    currency: str
    locale: Literal["de", "en"]

    @classmethod
    def open(cls, session: Session, registry: Registry, as_of: datetime) -> "Desk":
        """Read the tenant's time zone; raises ModelError when `as_of` has none itself."""
        if as_of.tzinfo is None:
            raise ModelError(f"as_of {as_of.isoformat()}: expected a moment with a time zone, e.g. datetime.now(UTC)")
        tenant = session.query(_TENANT).to_pylist()[0]
        today = as_of.astimezone(ZoneInfo(tenant["time_zone"])).date()
        locale: Literal["de", "en"] = "de" if tenant["locale"].startswith("de") else "en"
        return cls(session, registry, as_of, today - timedelta(days=1), tenant["currency"], locale)

    def frame(self, sql: str) -> pl.DataFrame:
        """Rows of one query."""
        rows = pl.from_arrow(self.session.query(sql))
        assert isinstance(rows, pl.DataFrame)
        return rows

    @cached_property
    def holidays(self) -> pl.DataFrame:
        """Public holidays where the tenant is, past and to come: ds, name."""
        return self.frame(_HOLIDAYS)

    @cached_property
    def category_plan(self) -> pl.DataFrame | None:
        """See `planned.category_plan`."""
        return category_plan(self.session)

    @cached_property
    def factors(self) -> pl.DataFrame | None:
        """See `planned.external_factors`."""
        return external_factors(self.session)

    def shaped(self, table: str, rows: pl.DataFrame) -> pa.Table:
        """Rows with the tenant, in the columns and types of a published table."""
        schema = TABLES[table].schema
        owned = rows.with_columns(tenant_id=pl.lit(self.session.tenant_id))
        return owned.select(schema.names).to_arrow().cast(schema)

    def record(self, kind: str, record: Record, verdict: Verdict, entry: Callable[[str], Entry]) -> Registered:
        """Log one run with its champion, and its challenger if there is one, and give the aliases away.

        entry: makes the fitted model of a contender by name.
        """
        with self.registry.run(self.session.tenant_id, kind, params=record.params, tags=self._tags()) as run:
            run.log_metrics(record.metrics)
            for name, rows in record.tables.items():
                run.log_table(name, rows)
            for name, image in record.pictures.items():
                run.log_png(name, image)
            champion = self._register(run, entry(verdict.champion), place="model")
            challenger = (
                self._register(run, entry(verdict.challenger), place=CHALLENGER) if verdict.challenger else None
            )
        if challenger is None:
            self.registry.retire(champion.name, CHALLENGER)
        else:
            challenger = self.registry.promote(challenger, CHALLENGER, verdict.challenger_reason)
        return Registered(self.registry.promote(champion, CHAMPION, verdict.reason), challenger)

    def _register(self, run: Run, entry: Entry, *, place: str) -> ModelVersion:
        with tempfile.TemporaryDirectory(prefix="mercurios-fitted-") as folder:
            files = Path(folder, "files")
            files.mkdir()
            entry.save(files)
            for name, rows in entry.tables.items():
                rows.write_parquet(files / name)
            tags = {CANDIDATE: plain(entry.candidate), **entry.tags, **self._tags()}
            return run.register(SavedModel(files, entry.loader), tags=tags, place=place)

    def training_data(self, panels: Sequence[Panel]) -> TrainingData:
        """Series of this tenant and release and what all of them know, as they are named when models are compared."""
        tenant_id, release = self.session.tenant_id, self.session.release
        rows, known = pl.concat([panel.rows for panel in panels]), panels[0]
        told = digest(rows, known.plan, known.factors, tenant_id=tenant_id, release=release.id)
        return TrainingData(tenant_id, release.id, release.as_of, told)

    def _tags(self) -> dict[str, str]:
        return {RELEASE: self.session.release.id, "as_of": self.as_of.isoformat()}
