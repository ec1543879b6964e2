"""Rollback of a model: a former champion gets the alias back, and readers get what it predicted.

    done = roll_back("north.forecast.branch", lake, registry, reason="far too high since Monday")
    done.champion.version, done.release.id

What a version predicted is kept with it, so nothing is fitted: a release with its rows is published, which open
sessions find within seconds. Rows of other tenants, levels and tables stay as they are.
"""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import BadRequest
from mercurios.jobs.expire import RELEASE
from mercurios.jobs.retrain.desk import PUBLISHED, table_of
from mercurios.jobs.retrain.recommender import KIND as RECOMMENDER
from mercurios.lake import Lake, Release
from mercurios.registry import ModelVersion, Registry
from mercurios.tables import TABLES

log = structlog.get_logger(__name__)
_FORECAST = "forecast."


@dataclass(frozen=True)
class Rollback:
    """Who predicts again, instead of whom, and the release that says so."""

    champion: ModelVersion
    instead_of: ModelVersion
    release: Release


def roll_back(name: str, lake: Lake, registry: Registry, *, to: int | None = None, reason: str) -> Rollback:
    """Publish what a former champion predicted, and give it the alias.

    name: tenant.forecast.level, or tenant.recommender. to: the version; without, the champion before.
    Raises BadRequest for another name, NoChampion and ModelError where there is nothing to go back to, and
    PublishConflict when somebody published meanwhile: run it again.
    """
    tenant_id, table, level = _parts(name)
    instead_of, target = registry.champion(name), registry.former(name, to)
    base = lake.require_current()
    there = _frame(lake.reader(tenant_id, base).table(table)) if base.holds(table) else None
    rows = _shaped(table, tenant_id, _predicted(registry, target), others=_of_other_levels(there, level))
    # Readers first: if the alias is not moved any more, running it again publishes the same and moves it.
    release = lake.publish({table: rows}, as_of=base.as_of, tenants=(tenant_id,), base=base)
    champion = registry.roll_back(name, target.version, reason)
    log.info(
        "rollback",
        tenant=tenant_id,
        model=name,
        version=champion.version,
        instead_of=instead_of.version,
        trained_on=champion.tags.get(RELEASE),
        release=release.id,
        rows=rows.num_rows,
    )
    return Rollback(champion, instead_of, release)


def _parts(name: str) -> tuple[str, str, str | None]:
    """Tenant, published table, and the level where the table has some."""
    tenant_id, _, kind = name.partition(".")
    if kind == RECOMMENDER:
        return tenant_id, "recommendations", None
    if kind.startswith(_FORECAST) and kind != _FORECAST:
        return tenant_id, "forecasts", kind.removeprefix(_FORECAST)
    raise BadRequest(f"model {name!r}: expected TENANT.forecast.LEVEL or TENANT.recommender; `mercurios model list`")


def _predicted(registry: Registry, version: ModelVersion) -> pl.DataFrame:
    return table_of(registry, version, PUBLISHED).with_columns(model_version=pl.lit(str(version.version)))


def _of_other_levels(there: pl.DataFrame | None, level: str | None) -> pl.DataFrame | None:
    return None if there is None or level is None else there.filter(pl.col("level") != level)


def _shaped(table: str, tenant_id: str, rows: pl.DataFrame, others: pl.DataFrame | None) -> pa.Table:
    schema = TABLES[table].schema
    own = rows.with_columns(tenant_id=pl.lit(tenant_id)).select(schema.names).to_arrow().cast(schema)
    return own if others is None else pa.concat_tables([own, others.select(schema.names).to_arrow().cast(schema)])


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
