"""Whether a metric query, whoever proposed it, fits this merchant: metrics, dimensions, values, days and size."""

from mercurios.answers.calendar_units import Period
from mercurios.answers.outcome import Context, Refusal
from mercurios.answers.sentence import Halt
from mercurios.answers.timing import ahead_or_now, balanced
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
    if query.start is None or query.end is None or query.start > query.end:
        return Refusal("malformed")
    times = context.times(query.names)
    if "comparison" in times:
        return Refusal("comparison", {"words": ", ".join(query.names)})
    if len(times) > 1:
        return Refusal("two_metrics")
    coverage = context.coverage
    if times & {"as_of", "plan"}:
        return _within(query, ahead_or_now(context, is_plan="plan" in times), "newest_only")
    if "level" in times:
        stock = Period(coverage.stock_start or coverage.start, coverage.stock_end or coverage.end)
        is_outside = query.end < stock.start or query.start > stock.end
        return _refused("stock_outside", stock) if is_outside else None
    try:
        days = balanced(context) if "balance" in times else Period(coverage.start, coverage.end)
    except Halt as halt:
        return halt.outcome if isinstance(halt.outcome, Refusal) else None
    return _within(query, days, "outside")


def _within(query: MetricQuery, days: Period, reason: str) -> Refusal | None:
    assert query.start is not None
    assert query.end is not None
    return _refused(reason, days) if query.start < days.start or query.end > days.end else None


def _refused(reason: str, days: Period) -> Refusal:
    return Refusal(reason, {"start": str(days.start), "end": str(days.end)})


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
