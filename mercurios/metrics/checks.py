"""Whether a metric query makes sense: its shape, the values of its filters, and what its metrics know of time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from mercurios.errors import InvalidMetricQuery
from mercurios.metrics.query import GRAINS, MAX_LIMIT, Filter, Grain, Metric, MetricQuery

COMPARISONS = {"EQ": "=", "NE": "<>", "GT": ">", "GE": ">=", "LT": "<", "LE": "<="}
MEMBERSHIPS = ("IN", "NOT_IN")
_INT64 = range(-(2**63), 2**63)


def check_shape(query: MetricQuery) -> None:
    """Raise InvalidMetricQuery for what no metric can be asked."""
    if len(set(query.columns)) < len(query.columns):
        raise InvalidMetricQuery(f"a column is asked for twice: {', '.join(query.columns)}")
    if query.grain is not None and query.grain not in GRAINS:
        raise InvalidMetricQuery(f"unknown grain {query.grain!r}; expected one of {', '.join(GRAINS)}")
    if query.start and query.end and query.start > query.end:
        raise InvalidMetricQuery(f"the period ends before it starts: {query.start} to {query.end}")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidMetricQuery(f"limit {query.limit}: expected 1 to {MAX_LIMIT:,}")
    for one in query.order_by:
        if one.column not in query.columns:
            raise InvalidMetricQuery(f"cannot order by {one.column!r}; the columns are {', '.join(query.columns)}")


def check_time(query: MetricQuery, metrics: Sequence[Metric]) -> None:
    """Raise InvalidMetricQuery for a grain or a period that one of the metrics does not know."""
    for metric in metrics:
        if query.grain is not None and query.grain not in metric.grains:
            raise InvalidMetricQuery(_no_grain(metric, query.grain))
        if metric.time == "comparison":
            _check_comparison(query, metric)
    running = [metric for metric in metrics if metric.time == "running"]
    if query.grain is None and 0 < len(running) < len(metrics):
        raise InvalidMetricQuery(
            f"{running[0].name} is a figure of a day: beside other metrics it needs a grain; {_grains(running[0])}"
        )


def typed(one: Filter, kind: str) -> Filter:
    """The filter with values in the type of its dimension, `number` or `text`; raises InvalidMetricQuery."""
    _check_values(one)
    if kind != "number":
        if one.op in ("GT", "GE", "LT", "LE"):
            raise InvalidMetricQuery(f"{one.dimension} is text and has no {one.op}; use EQ, NE, IN or NOT_IN")
        return replace(one, values=tuple(str(value) for value in one.values))
    return replace(one, values=tuple(_whole(value, one.dimension) for value in one.values))


def _no_grain(metric: Metric, grain: Grain) -> str:
    if not metric.grains:
        return f"{metric.name} is known for the newest day only and has no grain; ask without one"
    return f"{metric.name} is not known by {grain}; {_grains(metric)}"


def _grains(metric: Metric) -> str:
    return f"ask by {' or '.join(metric.grains)}"


def _check_comparison(query: MetricQuery, metric: Metric) -> None:
    """A step that is cut would stand beside a whole one."""
    if query.grain is None:
        raise InvalidMetricQuery(f"{metric.name} compares steps of time and needs a grain; {_grains(metric)}")
    after = query.end + timedelta(days=1) if query.end and query.end < date.max else None
    for day, shown in ((query.start, query.start), (after, query.end)):
        if day and not _begins(day, query.grain):
            raise InvalidMetricQuery(
                f"{metric.name} compares whole steps, and {shown} is inside of one; "
                f"the period has to begin and end with a {query.grain}"
            )


def _begins(day: date, grain: Grain) -> bool:
    """Whether a step of that grain begins with the day."""
    firsts = {"QUARTER": (1, 4, 7, 10), "YEAR": (1,)}
    if grain in ("DAY", "WEEK"):
        return grain == "DAY" or day.weekday() == 0
    return day.day == 1 and day.month in firsts.get(grain, range(1, 13))


def _check_values(one: Filter) -> None:
    if one.op not in COMPARISONS and one.op not in MEMBERSHIPS:
        known = ", ".join((*COMPARISONS, *MEMBERSHIPS))
        raise InvalidMetricQuery(f"unknown filter operator {one.op!r}; expected one of {known}")
    if len(one.values) > MAX_LIMIT:
        raise InvalidMetricQuery(
            f"filter {one.dimension} {one.op} has {len(one.values):,} values; at most {MAX_LIMIT:,}"
        )
    single = one.op in COMPARISONS
    if not one.values or (single and len(one.values) != 1):
        wanted = "one value" if single else "at least one value"
        raise InvalidMetricQuery(f"filter {one.dimension} {one.op} takes {wanted}; got {len(one.values)}")


def _whole(value: str | float, dimension: str) -> int:
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        whole = None
    if whole is None or whole not in _INT64 or (isinstance(value, float) and whole != value):
        raise InvalidMetricQuery(f"{dimension} is a whole number; got {str(value)[:40]!r}")
    return whole
