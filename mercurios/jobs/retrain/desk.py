"""What one tenant's retraining has in hand: its rows, the registry, and the last day that is over."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from mercurios.errors import ModelError
from mercurios.jobs.expire import RELEASE
from mercurios.jobs.retrain.promotion import Verdict
from mercurios.registry import CHALLENGER, CHAMPION, ModelVersion, Registry, Run, SavedModel
from mercurios.serving import Session
from mercurios.tables import TABLES

_TENANT = "select currency, time_zone, locale from marts.dim_tenants"


@dataclass(frozen=True)
class Record:
    """What a run keeps beside its models: parameters, numbers, small tables and PNG pictures by file name."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tables: Mapping[str, pl.DataFrame]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Entry:
    """A fitted model on its way into the registry; `candidate` is its method as plain data."""

    save: Callable[[Path], None]
    loader: str
    candidate: Mapping[str, Any]


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

    def shaped(self, table: str, rows: pl.DataFrame) -> pa.Table:
        """Rows with the tenant, in the columns and types of a published table."""
        schema = TABLES[table].schema
        owned = rows.with_columns(tenant_id=pl.lit(self.session.tenant_id))
        return owned.select(schema.names).to_arrow().cast(schema)

    def record(self, kind: str, record: Record, verdict: Verdict, entry: Callable[[str], Entry]) -> ModelVersion:
        """Log one run with its champion, and its challenger if there is one, and give the aliases away.

        entry: makes the fitted model of a contender by name. Returns the champion's version.
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
            self.registry.promote(challenger, CHALLENGER, verdict.challenger_reason)
        return self.registry.promote(champion, CHAMPION, verdict.reason)

    def _register(self, run: Run, entry: Entry, *, place: str) -> ModelVersion:
        with tempfile.TemporaryDirectory(prefix="mercurios-fitted-") as folder:
            files = Path(folder, "files")
            files.mkdir()
            entry.save(files)
            tags = {"candidate": json.dumps(entry.candidate, sort_keys=True), **self._tags()}
            return run.register(SavedModel(files, entry.loader), tags=tags, place=place)

    def _tags(self) -> dict[str, str]:
        return {RELEASE: self.session.release.id, "as_of": self.as_of.isoformat()}
