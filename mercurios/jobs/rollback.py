"""Rollback of a model: a former champion gets the alias back, and readers get what it predicted.

    done = roll_back("north.forecast.branch", lake, registry, reason="far too high since Monday")
    done.champion.version, done.release.id

What a version predicted is kept with it, so nothing is fitted: a release with its rows is published, which open
sessions find within seconds. Levels that add up are made to add up again, from what each champion predicted alone; rows
of other tenants, levels and tables stay as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import BadRequest, ModelError
from mercurios.jobs.expire import RELEASE
from mercurios.jobs.retrain.coherent import TREE, Base, add_up
from mercurios.jobs.retrain.desk import NEWEST_WINDOWS, PUBLISHED, table_of
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
    predicted = _predicted(registry, target)
    if level is not None and there is not None:
        predicted = _beside(registry, level, target, there)
    rows = _shaped(table, tenant_id, predicted)
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


def _beside(registry: Registry, level: str, target: ModelVersion, there: pl.DataFrame) -> pl.DataFrame:
    """The forecasts of all levels: those that are served, one in another version, adding up where they should."""
    served = {str(name): rows for (name,), rows in there.partition_by("level", as_dict=True).items()}
    if level not in TREE:
        return _joined({**served, level: _predicted(registry, target)})
    model = target.name.removesuffix(level)
    versions = {
        name: registry.version(f"{model}{name}", int(rows.item(0, "model_version"))) for name, rows in served.items()
    }
    bases = {
        name: base
        for name in TREE
        if (version := {**versions, level: target}.get(name))
        if (base := _base(registry, version))
    }
    together = add_up(bases)
    if together.why_not:
        log.warning("forecasts do not add up", model=target.name, why=together.why_not)
    parts = {**served, level: _predicted(registry, target), **({} if together.why_not else together.rows)}
    return _joined(parts)


def _joined(parts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([rows.drop("tenant_id", strict=False) for rows in parts.values()], how="diagonal")


def _base(registry: Registry, version: ModelVersion) -> Base | None:
    """What a version forecast alone; None where its windows were not kept."""
    try:
        return Base(_predicted(registry, version), table_of(registry, version, NEWEST_WINDOWS))
    except ModelError as error:
        log.warning("forecast cannot be added up", model=version.name, version=version.version, error=str(error))
        return None


def _shaped(table: str, tenant_id: str, rows: pl.DataFrame) -> pa.Table:
    schema = TABLES[table].schema
    return rows.with_columns(tenant_id=pl.lit(tenant_id)).select(schema.names).to_arrow().cast(schema)


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
