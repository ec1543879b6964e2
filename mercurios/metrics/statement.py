"""A shape of metric query as SQL: what MetricFlow compiles, and around it the columns, order and limit asked for.

MetricFlow applies a period to the steps that are shown, never to the earlier ones a comparison looks back at. Windows
and comparisons join the calendar, which goes on after the last day on record: what lies behind that day is cut off, and
a comparison of a step that is not over yet has no value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from mercurios.metrics import engine
from mercurios.metrics.checks import COMPARISONS, MEMBERSHIPS
from mercurios.metrics.query import TIME, MetricQuery, Order, Parameter, Parameters, Time

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

_DAY = "{{ TimeDimension('metric_time', 'day') }}"
_LAST_DAY = "(select max(as_of_on) from marts.mart_product_performance)"


def shape_of(query: MetricQuery) -> tuple[MetricQuery, Parameters]:
    """The query with values, dates and limit taken out, and those as parameters."""
    parameters: dict[str, Parameter] = {"row_limit": query.limit}
    parameters |= {name: value for name, value in (("start", query.start), ("end", query.end)) if value}
    where = []
    for number, one in enumerate(query.where):
        parameters[f"value_{number}"] = list(one.values) if one.op in MEMBERSHIPS else one.values[0]
        where.append(replace(one, values=(f"value_{number}",)))
    start, end = (date.min if name in parameters else None for name in ("start", "end"))
    return replace(query, where=tuple(where), start=start, end=end, limit=0), parameters


def statement(mf: "MetricFlowEngine", shape: MetricQuery, times: Mapping[str, Time]) -> str:
    """SQL of a shape; times: what time means to each of its metrics."""
    is_last_day = shape.grain is None and "running" in times.values()
    step = "day" if is_last_day else (shape.grain or "").lower()
    grouping = [*([f"{TIME}__{step}"] if step else []), *shape.group_by]
    conditions = [*_conditions(shape), *_bounds(shape, times, is_last_day=is_last_day)]
    order = ", ".join(f'"{one.column}" {"desc" if one.descending else "asc"} nulls last' for one in _order(shape))
    lines = [
        f"select {', '.join(_columns(shape, times, is_last_day=is_last_day))}",
        "from (",
        engine.explain(mf, shape.names, grouping, conditions),
        ") as result",
        *([f"order by {order}"] if order else []),
        "limit $row_limit",
    ]
    return "\n".join(lines)


def _columns(shape: MetricQuery, times: Mapping[str, Time], *, is_last_day: bool) -> Iterator[str]:
    if shape.grain:
        yield f'cast("{TIME}__{shape.grain.lower()}" as date) as {TIME}'
    yield from (f'"{name}"' for name in shape.group_by)
    for name in shape.names:
        if is_last_day and not shape.group_by:
            yield f'max("{name}") as "{name}"'  # one row also when that day is not there
        elif shape.grain and times[name] == "comparison":
            step = shape.grain.lower()
            is_over = f'"{TIME}__{step}" + interval 1 {step} <= {_LAST_DAY} + 1'
            yield f'case when {is_over} then "{name}" end as "{name}"'
        else:
            yield f'"{name}"'


def _bounds(shape: MetricQuery, times: Mapping[str, Time], *, is_last_day: bool) -> Iterator[str]:
    if is_last_day:
        yield f"{_DAY} = {f'least($end, {_LAST_DAY})' if shape.end else _LAST_DAY}"
    elif {"running", "comparison"} & set(times.values()):
        yield f"{_DAY} <= {_LAST_DAY}"


def _conditions(shape: MetricQuery) -> Iterator[str]:
    if shape.start:
        yield f"{_DAY} >= $start"
    if shape.end:
        yield f"{_DAY} <= $end"
    for one in shape.where:
        column, value = f"{{{{ Entity('{one.dimension}') }}}}", f"${one.values[0]}"
        if one.op in MEMBERSHIPS:
            yield f"{'not ' if one.op == 'NOT_IN' else ''}list_contains({value}, {column})"
        else:
            yield f"{column} {COMPARISONS[one.op]} {value}"


def _order(shape: MetricQuery) -> tuple[Order, ...]:
    """What was asked for, then time and dimensions, so that the order is always the same."""
    asked = {one.column for one in shape.order_by}
    rest = ((TIME,) if shape.grain else ()) + shape.group_by
    return shape.order_by + tuple(Order(name) for name in rest if name not in asked)
