"""The semantic layer: checks a metric query, compiles it once per shape, runs it in a session."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mercurios.errors import InvalidMetricQuery, UnknownDimension, UnknownMetric
from mercurios.metrics import catalog, engine
from mercurios.metrics.query import (
    GRAINS,
    MAX_LIMIT,
    TIME,
    CompiledQuery,
    Filter,
    Metric,
    MetricQuery,
    MetricResult,
    Order,
    Parameter,
    Parameters,
    Scalar,
)
from mercurios.serving import Session

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

_COMPARISONS = {"EQ": "=", "NE": "<>", "GT": ">", "GE": ">=", "LT": "<", "LE": "<="}
_MEMBERSHIPS = ("IN", "NOT_IN")
_INT64 = range(-(2**63), 2**63)
_DAY = "{{ TimeDimension('metric_time', 'day') }}"
_KEPT_STATEMENTS = 1_000


class SemanticLayer:
    """The metric definitions of one semantic manifest. Safe to use from many threads."""

    def __init__(self, manifest: catalog.Manifest) -> None:
        self._manifest = manifest
        self._metrics = {metric.name: metric for metric in catalog.metrics(manifest)}
        self._kinds = catalog.dimension_kinds(manifest)
        self._compiling = threading.Lock()
        self._statements: dict[MetricQuery, str] = {}

    @classmethod
    def parse(cls, manifest_json: str | bytes) -> Self:
        """Read a semantic manifest as dbt writes it."""
        return cls(json.loads(manifest_json))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a semantic manifest from a file."""
        return cls.parse(path.read_bytes())

    def catalog(self) -> tuple[Metric, ...]:
        """Every public metric, in the order of its definition."""
        return tuple(self._metrics.values())

    def compile(self, query: MetricQuery) -> CompiledQuery:
        """Turn a query into SQL; raises UnknownMetric, UnknownDimension or InvalidMetricQuery.

        A shape of query is compiled once (some 20 ms); filter values and dates are parameters and no part of the shape.
        """
        self._check(query)
        shape, parameters = _shape(replace(query, where=tuple(map(self._typed, query.where))))
        with self._compiling:
            statement = self._statements.get(shape)
            if statement is None:
                if len(self._statements) >= _KEPT_STATEMENTS:
                    self._statements.pop(next(iter(self._statements)))
                statement = self._statements[shape] = _statement(self._engine, shape)
        return CompiledQuery(statement, query.columns, parameters)

    @cached_property
    def _engine(self) -> "MetricFlowEngine":
        return engine.engine(self._manifest)

    def _check(self, query: MetricQuery) -> None:
        if not query.names:
            raise InvalidMetricQuery("a metric query names at least one metric; metricCatalog lists them")
        for name in query.names:
            if name not in self._metrics:
                raise UnknownMetric(f"no metric {name!r}; there are {', '.join(self._metrics)}")
        for dimension in (*query.group_by, *(one.dimension for one in query.where)):
            for name in query.names:
                known = self._metrics[name].dimensions
                if dimension not in known:
                    raise UnknownDimension(f"{name} has no dimension {dimension!r}; it has {', '.join(known)}")
        _check_shape(query)

    def _typed(self, one: Filter) -> Filter:
        """The filter with values in the type of its dimension; raises InvalidMetricQuery."""
        _check_values(one)
        if self._kinds[one.dimension] != "number":
            if one.op in ("GT", "GE", "LT", "LE"):
                raise InvalidMetricQuery(f"{one.dimension} is text and has no {one.op}; use EQ, NE, IN or NOT_IN")
            return replace(one, values=tuple(str(value) for value in one.values))
        return replace(one, values=tuple(_whole(value, one.dimension) for value in one.values))


def run(layer: SemanticLayer, session: Session, query: MetricQuery) -> MetricResult:
    """Answer a metric query from a serving session."""
    compiled = layer.compile(query)
    table = session.query(compiled.sql, compiled.parameters)
    columns = [[_scalar(value) for value in column.to_pylist()] for column in table.columns]
    return MetricResult(compiled.columns, tuple(zip(*columns, strict=True)), session.release.id, compiled.sql)


def _check_shape(query: MetricQuery) -> None:
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


def _check_values(one: Filter) -> None:
    if one.op not in _COMPARISONS and one.op not in _MEMBERSHIPS:
        known = ", ".join((*_COMPARISONS, *_MEMBERSHIPS))
        raise InvalidMetricQuery(f"unknown filter operator {one.op!r}; expected one of {known}")
    if len(one.values) > MAX_LIMIT:
        raise InvalidMetricQuery(
            f"filter {one.dimension} {one.op} has {len(one.values):,} values; at most {MAX_LIMIT:,}"
        )
    single = one.op in _COMPARISONS
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


def _shape(query: MetricQuery) -> tuple[MetricQuery, Parameters]:
    """The query with values, dates and limit taken out, and those as parameters."""
    parameters: dict[str, Parameter] = {"row_limit": query.limit}
    parameters |= {name: value for name, value in (("start", query.start), ("end", query.end)) if value}
    where = []
    for number, one in enumerate(query.where):
        parameters[f"value_{number}"] = list(one.values) if one.op in _MEMBERSHIPS else one.values[0]
        where.append(replace(one, values=(f"value_{number}",)))
    start, end = (date.min if name in parameters else None for name in ("start", "end"))
    return replace(query, where=tuple(where), start=start, end=end, limit=0), parameters


def _statement(mf: "MetricFlowEngine", shape: MetricQuery) -> str:
    grouping = list(shape.group_by)
    columns = [f'"{name}"' for name in (*shape.group_by, *shape.names)]
    if shape.grain:
        time = f"{TIME}__{shape.grain.lower()}"
        grouping.insert(0, time)
        columns.insert(0, f'cast("{time}" as date) as {TIME}')
    inner = engine.explain(mf, shape.names, grouping, list(_conditions(shape)))
    order = ", ".join(f'"{one.column}" {"desc" if one.descending else "asc"} nulls last' for one in _order(shape))
    lines = [f"select {', '.join(columns)}", "from (", inner, ") as result", "limit $row_limit"]
    if order:
        lines.insert(4, f"order by {order}")
    return "\n".join(lines)


def _conditions(shape: MetricQuery) -> Iterator[str]:
    if shape.start:
        yield f"{_DAY} >= $start"
    if shape.end:
        yield f"{_DAY} <= $end"
    for one in shape.where:
        column, value = f"{{{{ Entity('{one.dimension}') }}}}", f"${one.values[0]}"
        if one.op in _MEMBERSHIPS:
            yield f"{'not ' if one.op == 'NOT_IN' else ''}list_contains({value}, {column})"
        else:
            yield f"{column} {_COMPARISONS[one.op]} {value}"


def _order(shape: MetricQuery) -> tuple[Order, ...]:
    """What was asked for, then time and dimensions, so that the order is always the same."""
    asked = {one.column for one in shape.order_by}
    rest = ((TIME,) if shape.grain else ()) + shape.group_by
    return shape.order_by + tuple(Order(name) for name in rest if name not in asked)


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a metric query returned a {type(value).__name__}, which is no JSON scalar")
