"""Metrics: the catalog, and what `metrics` answers.

query = metric_query({"names": ["revenue"], "groupBy": ["branch"]})
measure(asker, query).rows
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers, language
from mercurios.errors import BadRequest
from mercurios.metrics import Filter, Metric, MetricQuery, MetricResult, Order, run

MAX_NAMES = 10
MAX_VALUES = 1_000


@dataclass(frozen=True)
class Measured(MetricResult):
    """A result with the query it answers."""

    query: MetricQuery


def metric_query(arguments: Mapping[str, Any]) -> MetricQuery:
    """The arguments of the field `metrics` as a metric query; raises BadRequest for what the schema cannot exclude."""
    limit = arguments.get("limit")
    group_by, where = arguments.get("groupBy") or (), arguments.get("where") or ()
    _at_most(MAX_NAMES, "metrics", arguments["names"])
    _at_most(MAX_NAMES, "dimensions", group_by)
    _at_most(MAX_NAMES, "filters", where)
    return MetricQuery(
        tuple(arguments["names"]),
        group_by=tuple(group_by),
        grain=arguments.get("grain"),
        start=arguments.get("from"),
        end=arguments.get("to"),
        where=tuple(map(_filter, where)),
        order_by=tuple(Order(given["column"], bool(given["descending"])) for given in arguments.get("orderBy") or ()),
        limit=100 if limit is None else limit,
    )


def measure(asker: Asker, query: MetricQuery) -> MetricResult:
    """Run a metric query; raises Forbidden and MetricError."""
    asker.permit_metrics(query.names)
    return run(asker.semantics, asker.session, query)


def _at_most(limit: int, what: str, given: Sequence[object]) -> None:
    if len(given) > limit:
        raise BadRequest(f"{len(given):,} {what}: expected at most {limit:,} in one query")


def _filter(given: Mapping[str, Any]) -> Filter:
    _at_most(MAX_VALUES, "values", given["values"])
    for value in given["values"]:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BadRequest(f"filter on {given['dimension']!r}: expected strings or numbers as values")
    return Filter(given["dimension"], given["op"], tuple(given["values"]))


def _metric_catalog(_: object, info: GraphQLResolveInfo) -> Sequence[Metric]:
    asker: Asker = info.context
    return asker.semantics.catalog()


def _metrics(_: object, info: GraphQLResolveInfo, **arguments: Any) -> Measured:
    query = metric_query(arguments)
    return Measured(**vars(measure(info.context, query)), query=query)


def _in_locale(field: str) -> Callable[..., str | None]:
    def resolve(metric: Metric, _: GraphQLResolveInfo, locale: str | None = None) -> str | None:
        texts: Mapping[str, str] = getattr(metric, field)
        return texts.get(language(locale) or "en") or None

    return resolve


RESOLVERS: Resolvers = {
    "Query.metricCatalog": _metric_catalog,
    "Query.metrics": _metrics,
    "Metric.needs": lambda metric, _: metric.needs.upper(),
    **{f"Metric.{field}": _in_locale(field) for field in ("label", "description", "formula", "caution")},
}
