"""Transform: the raw records become tested marts.

report = transform(wiring.build_marts, wiring.open_warehouse)
report.rows["fct_sale_lines"]
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import pyarrow.compute as pc
import structlog

from mercurios.errors import TransformFailed
from mercurios.jobs.builds import recorded
from mercurios.jobs.ingest import RAW_TABLES
from mercurios.jobs.keep_forecasts import KEPT_FORECASTS
from mercurios.tables import MARTS
from mercurios.transformation import FROM_SCRATCH, DbtResult, NodeResult
from mercurios.warehouse import Warehouse

log = structlog.get_logger(__name__)

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Breach:
    """A rule of the warehouse that records of one tenant break.

    breaches, checked: records of the entity; example: one of them and what is wrong with it; statement: the rule as a
    sentence; fallback: what the marts do with such a record; remedy: what somebody can do about it.
    """

    tenant_id: str
    rule: str
    severity: str
    entity: str
    breaches: int
    checked: int
    example: str
    statement: str
    fallback: str
    remedy: str


@dataclass(frozen=True)
class TransformReport:
    """What dbt built and tested; `rows` by mart over all tenants, `breaches` gravest and most frequent first."""

    nodes: tuple[NodeResult, ...]
    warnings: tuple[NodeResult, ...]
    rows: Mapping[str, int]
    seconds: float
    breaches: tuple[Breach, ...] = ()


def transform(
    build: Callable[[str], DbtResult], open_warehouse: Callable[[], Warehouse], *, from_scratch: bool = False
) -> TransformReport:
    """Build and test the marts, then count them; dbt and the warehouse are opened one after the other.

    build: takes the name of the project that made the build before, empty when there is none that is whole.
    from_scratch: also what was built before and has not changed.
    Only a build that came to its end here can be exported. Raises TransformFailed when a model or a test fails, or when
    a published mart was not built.
    """
    started = time.perf_counter()
    with recorded(open_warehouse, KEPT_FORECASTS) as recording:
        if not recording.built_by:
            with open_warehouse() as warehouse:
                warehouse.ensure(*RAW_TABLES)  # of what nobody has delivered yet
        result = build(FROM_SCRATCH if from_scratch else recording.built_by)
        recording.project = result.project
        with open_warehouse() as warehouse:
            rows = _count(warehouse)
            breaches = _breaches(warehouse)
    seconds = time.perf_counter() - started
    log.info(
        "transform",
        models=len(result.models),
        tests=len(result.tests),
        warnings=[node.name for node in result.warnings],
        breaches=len(breaches),
        rows=sum(rows.values()),
        seconds=round(seconds, 1),
    )
    return TransformReport(result.nodes, result.warnings, rows, seconds, breaches)


def _count(warehouse: Warehouse) -> dict[str, int]:
    missing = {f"marts.{name}" for name in MARTS} - set(warehouse.tables("marts"))
    if missing:
        raise TransformFailed(f"dbt succeeded and did not build {', '.join(sorted(missing))}; see dbt/models/marts")
    return {name: warehouse.count(f"marts.{name}") for name in MARTS}


def _breaches(warehouse: Warehouse) -> tuple[Breach, ...]:
    """The broken rules of every tenant."""
    broken = warehouse.table("marts.mart_data_quality").filter(pc.field("breaches") > 0)
    breaches = (Breach(**row) for row in broken.select([field.name for field in fields(Breach)]).to_pylist())
    return tuple(sorted(breaches, key=lambda b: (SEVERITIES.index(b.severity), -b.breaches, b.tenant_id, b.rule)))
