"""Metrics: one definition of every number, compiled to SQL by MetricFlow in process.

    layer = SemanticLayer.parse(manifest_json)
    result = run(layer, session, MetricQuery(("revenue",), group_by=("category",), grain="MONTH"))
    result.columns, result.rows

Definitions live in `dbt/models/semantic`; dbt compiles them into the semantic manifest, which travels with a release.
Compiled SQL names tables of schema `marts` only, and values are bound as parameters, so the same statement runs in any
serving session and no value becomes SQL.
"""

from mercurios.metrics.layer import SemanticLayer, run
from mercurios.metrics.query import (
    GRAINS,
    MAX_LIMIT,
    CompiledQuery,
    Filter,
    FilterOp,
    Grain,
    Metric,
    MetricQuery,
    MetricResult,
    Order,
    Scalar,
    Time,
)

__all__ = [
    "GRAINS",
    "MAX_LIMIT",
    "CompiledQuery",
    "Filter",
    "FilterOp",
    "Grain",
    "Metric",
    "MetricQuery",
    "MetricResult",
    "Order",
    "Scalar",
    "SemanticLayer",
    "Time",
    "run",
]
