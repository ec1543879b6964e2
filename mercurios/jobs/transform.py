"""Transform: the raw records become tested marts.

report = transform(lambda: run_dbt(project, target, state), lambda: DuckDBWarehouse.open(url))
report.rows["fct_sale_lines"]
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from mercurios.errors import TransformFailed
from mercurios.tables import MARTS
from mercurios.transformation import DbtResult, NodeResult
from mercurios.warehouse import Warehouse

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TransformReport:
    """What dbt built and tested; `rows` by mart over all tenants."""

    nodes: tuple[NodeResult, ...]
    warnings: tuple[NodeResult, ...]
    rows: Mapping[str, int]
    seconds: float


def transform(build: Callable[[], DbtResult], open_warehouse: Callable[[], Warehouse]) -> TransformReport:
    """Build and test the marts, then count them; dbt and the warehouse are opened one after the other.

    Raises TransformFailed when a model or a test fails, or when a published mart was not built.
    """
    started = time.perf_counter()
    result = build()
    with open_warehouse() as warehouse:
        missing = {f"marts.{name}" for name in MARTS} - set(warehouse.tables("marts"))
        if missing:
            raise TransformFailed(f"dbt succeeded and did not build {', '.join(sorted(missing))}; see dbt/models/marts")
        rows = {name: warehouse.count(f"marts.{name}") for name in MARTS}
    seconds = time.perf_counter() - started
    log.info(
        "transform",
        models=len(result.models),
        tests=len(result.tests),
        warnings=[node.name for node in result.warnings],
        rows=sum(rows.values()),
        seconds=round(seconds, 1),
    )
    return TransformReport(result.nodes, result.warnings, rows, seconds)
