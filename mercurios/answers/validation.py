"""Whether a metric query, whoever proposed it, fits this merchant: metrics, dimensions, values, days and size."""

from mercurios.answers.outcome import Context, Refusal
from mercurios.answers.timing import STOCK
from mercurios.metrics import Filter, Metric, MetricQuery

MOST_ROWS = 1000
_OPERATORS = frozenset({"EQ", "NE", "IN", "NOT_IN"})


def fault(query: MetricQuery, context: Context) -> Refusal | None:
    """Why the query may not be run, or None when it may."""
    metrics = [context.metric(name) for name in query.names]
    missing = [name for name, metric in zip(query.names, metrics, strict=True) if metric is None]
    if missing or not query.names:
        return Refusal("metric_unavailable", {"metric": ", ".join(missing)})
    known = [metric for metric in metrics if metric]
    return (
        _dimension_fault(query, known)
        or next((found for limit in query.where if (found := _filter_fault(limit, context))), None)
        or _period_fault(query, context)
        or _shape_fault(query)
    )


def _dimension_fault(query: MetricQuery, metrics: list[Metric]) -> Refusal | None:
    for dimension in (*query.group_by, *(limit.dimension for limit in query.where)):
        for metric in metrics:
            if dimension not in metric.dimensions:
                return Refusal("not_by", {"metric": metric.name, "dimension": dimension})
    for metric in metrics:
        if query.grain and query.grain not in metric.grains:
            return Refusal("not_by", {"metric": metric.name, "dimension": query.grain})
    return None


def _filter_fault(limit: Filter, context: Context) -> Refusal | None:
    known = {entry.key for entry in context.index.entries if entry.kind == limit.dimension}
    unknown = [str(value) for value in limit.values if str(value) not in known]
    if unknown:
        return Refusal("not_understood", {"words": unknown[0][:40]})
    if limit.op not in _OPERATORS or not limit.values or (limit.op in ("EQ", "NE") and len(limit.values) != 1):
        return Refusal("malformed")
    return None


def _period_fault(query: MetricQuery, context: Context) -> Refusal | None:
    first, last = context.coverage.start, context.coverage.end
    if STOCK & set(query.names):
        first, last = context.coverage.stock_start or first, context.coverage.stock_end or last
    if query.start is None or query.end is None or query.start > query.end:
        return Refusal("malformed")
    is_outside = query.end < first or query.start > last
    if STOCK & set(query.names):
        return Refusal("stock_outside", {"start": str(first), "end": str(last)}) if is_outside else None
    if query.start < first or query.end > last:
        return Refusal("outside", {"start": str(first), "end": str(last)})
    return None


def _shape_fault(query: MetricQuery) -> Refusal | None:
    columns = {*query.group_by, *query.names} | ({"metric_time"} if query.grain else set())
    is_sound = (
        1 <= query.limit <= MOST_ROWS
        and len(set(query.names)) == len(query.names) <= 5
        and len(set(query.group_by)) == len(query.group_by)
        and len({limit.dimension for limit in query.where}) == len(query.where)
        and all(order.column in columns for order in query.order_by)
    )
    return None if is_sound else Refusal("malformed")
