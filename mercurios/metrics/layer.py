"""The semantic layer: checks a metric query, compiles it once per shape, runs it in a session."""

import json
import math
import threading
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mercurios.errors import InvalidMetricQuery, UnknownDimension, UnknownMetric
from mercurios.metrics import catalog, engine
from mercurios.metrics.checks import check_shape, check_time, typed
from mercurios.metrics.query import CompiledQuery, Metric, MetricQuery, MetricResult, Scalar
from mercurios.metrics.statement import shape_of, statement
from mercurios.serving import Session

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

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
        """Every public metric, by name."""
        return tuple(self._metrics.values())

    def compile(self, query: MetricQuery) -> CompiledQuery:
        """Turn a query into SQL; raises UnknownMetric, UnknownDimension or InvalidMetricQuery.

        A shape of query is compiled once (tens of ms); filter values and dates are parameters and no part of the shape.
        """
        self._check(query)
        where = tuple(typed(one, self._kinds[one.dimension]) for one in query.where)
        shape, parameters = shape_of(replace(query, where=where))
        with self._compiling:
            sql = self._statements.get(shape)
            if sql is None:
                if len(self._statements) >= _KEPT_STATEMENTS:
                    self._statements.pop(next(iter(self._statements)))
                times = {name: self._metrics[name].time for name in shape.names}
                sql = self._statements[shape] = statement(self._engine, shape, times)
        return CompiledQuery(sql, query.columns, parameters)

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
        check_shape(query)
        check_time(query, [self._metrics[name] for name in query.names])


def run(layer: SemanticLayer, session: Session, query: MetricQuery) -> MetricResult:
    """Answer a metric query from a serving session."""
    compiled = layer.compile(query)
    table = session.query(compiled.sql, compiled.parameters)
    columns = [[_scalar(value) for value in column.to_pylist()] for column in table.columns]
    return MetricResult(compiled.columns, tuple(zip(*columns, strict=True)), session.release.id, compiled.sql)


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
