"""What stands behind each field of the schema.

    schema = load_schema()
    execute_sync(schema, document, context_value=Asker(identity, backend))

Every resolver reads the one session of its request, so all fields of a request see the same tenant and release.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal, cast

from graphql import GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, build_schema

from mercurios.answers import Answer
from mercurios.api.access import Identity
from mercurios.api.access.roles import Need, permit
from mercurios.api.backend import Backend
from mercurios.api.orders import Page, Wanted, proposals, reason_text, supplier_delay
from mercurios.api.pictures import Table, forecast_picture, metrics_picture
from mercurios.api.predictions import Forecast, Recommendation, backtest, forecast, recommend
from mercurios.api.scalars import bind_scalars
from mercurios.api.scenarios import CAUTION, promotion
from mercurios.errors import BadRequest, NoRelease
from mercurios.jobs.promotion_scenario import Wanted as WantedPromotion
from mercurios.lake import Release
from mercurios.metrics import Filter, Metric, MetricQuery, MetricResult, Order, SemanticLayer, run
from mercurios.serving import Session

LOCALES = ("de", "en")
MAX_QUESTION_CHARACTERS = 1_000
MAX_NAMES = 10
MAX_VALUES = 1_000


@dataclass(frozen=True)
class Asker:
    """Who asks, and with what it is answered; lives for one request."""

    identity: Identity
    backend: Backend

    @cached_property
    def session(self) -> Session:
        """The one session of this request."""
        return self.backend.sessions.get(self.identity.tenant)

    @property
    def semantics(self) -> SemanticLayer:
        """The metric definitions of the session's release."""
        return self.backend.semantics(self.session.release)

    @property
    def release_read(self) -> Release | None:
        """The release that was read, if one was."""
        return self.session.release if "session" in self.__dict__ else None

    def permit_metrics(self, names: Sequence[str]) -> None:
        """Raise Forbidden for metrics that need a higher role; unknown ones are left to the semantic layer."""
        permit(self.identity, [Need(m.name, m.needs) for m in self.semantics.catalog() if m.name in names])


@dataclass(frozen=True)
class TableView:
    """A published table and how many of its rows are the tenant's."""

    name: str
    rows: int


@dataclass(frozen=True)
class ReleaseView:
    """A release as one tenant sees it."""

    release: Release
    session: Session

    @property
    def id(self) -> str:
        """Identifier of the release."""
        return self.release.id

    @property
    def at(self) -> datetime:
        """When it was published."""
        return self.release.at

    @property
    def tables(self) -> tuple[TableView, ...]:
        """Tables with the tenant's rows; a count over all merchants would tell one about the others."""
        return tuple(TableView(table.name, self.session.count(table.name)) for table in self.release.tables)


@dataclass(frozen=True)
class AnswerView:
    """An answer with the release it rests on."""

    answer: Answer
    release: str


def load_schema() -> GraphQLSchema:
    """Read `schema.graphql` and bind scalars and resolvers to it."""
    schema = build_schema(files("mercurios.api").joinpath("schema.graphql").read_text("utf-8"))
    bind_scalars(schema)
    for place, resolver in _RESOLVERS.items():
        type_name, field_name = place.split(".")
        kind = schema.type_map[type_name]
        assert isinstance(kind, GraphQLObjectType)
        kind.fields[field_name].resolve = resolver
    return schema


def _tenant(_: object, info: GraphQLResolveInfo) -> Mapping[str, Any]:
    asker: Asker = info.context
    rows = asker.session.query("select name, currency, time_zone, locale from marts.dim_tenants").to_pylist()
    if not rows:
        raise NoRelease(f"release {asker.session.release.id} holds nothing of this tenant; run `mercurios pipeline`")
    row = rows[0]
    release = ReleaseView(asker.session.release, asker.session)
    return {**row, "id": asker.session.tenant_id, "timeZone": row["time_zone"], "release": release}


def _metric_catalog(_: object, info: GraphQLResolveInfo) -> Sequence[Metric]:
    asker: Asker = info.context
    return asker.semantics.catalog()


def _in_locale(field: str) -> Callable[..., str | None]:
    def resolve(metric: Metric, _: GraphQLResolveInfo, locale: str | None = None) -> str | None:
        texts: Mapping[str, str] = getattr(metric, field)
        return texts.get(_locale(locale) or "en") or None

    return resolve


def _metrics(_: object, info: GraphQLResolveInfo, **arguments: Any) -> MetricResult:
    asker: Asker = info.context
    query = metric_query(arguments)
    asker.permit_metrics(query.names)
    return run(asker.semantics, asker.session, query)


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


def _at_most(limit: int, what: str, given: Sequence[object]) -> None:
    if len(given) > limit:
        raise BadRequest(f"{len(given):,} {what}: expected at most {limit:,} in one query")


def _filter(given: Mapping[str, Any]) -> Filter:
    _at_most(MAX_VALUES, "values", given["values"])
    for value in given["values"]:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BadRequest(f"filter on {given['dimension']!r}: expected strings or numbers as values")
    return Filter(given["dimension"], given["op"], tuple(given["values"]))


def _forecast(_: object, info: GraphQLResolveInfo, *, level: str, key: str, horizon: int | None = None) -> Forecast:
    return forecast(info.context.session, level, key, horizon_days=28 if horizon is None else horizon)


def _forecast_backtest(
    _: object, info: GraphQLResolveInfo, *, level: str, allClasses: bool | None = None
) -> Sequence[Mapping[str, Any]]:
    return backtest(info.context.session, level, all_classes=allClasses is not False)


def _recommendations(
    _: object, info: GraphQLResolveInfo, *, customer: str, limit: int | None = None
) -> Sequence[Recommendation]:
    return recommend(info.context.session, customer, limit=10 if limit is None else limit)


def _reorder_proposals(  # noqa: PLR0913 - the arguments of the field
    _: object,
    info: GraphQLResolveInfo,
    *,
    branch: str | None = None,
    article: str | None = None,
    supplier: str | None = None,
    onlyOrders: bool | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> Page:
    wanted = Wanted(branch, article, supplier, only_orders=onlyOrders is not False)
    return proposals(info.context.session, wanted, limit=50 if limit is None else limit, after=after or 0)


def _supplier_delay(_: object, info: GraphQLResolveInfo, *, supplier: str, days: int) -> Mapping[str, Any]:
    return supplier_delay(info.context.session, supplier, days)


def _promotion_scenario(  # noqa: PLR0913 - the arguments of the field
    _: object,
    info: GraphQLResolveInfo,
    *,
    category: str,
    week: date,
    discount: float,
    kind: str | None = None,
    share: float | None = None,
) -> Mapping[str, Any]:
    wanted = WantedPromotion(category, week, discount, kind, share=1.0 if share is None else share)
    return promotion(info.context.session, wanted)


def _caution_of_promotion(_: object, __: GraphQLResolveInfo, locale: str | None = None) -> str:
    return CAUTION[_locale(locale) or "en"]


def _chart_of_metrics(result: MetricResult, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    return _drawn(info.context, Table(result.columns, result.rows), locale)


def _chart_of_answer(view: AnswerView, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    answer = view.answer
    return _drawn(info.context, Table(answer.columns, answer.rows), locale) if answer.columns and answer.rows else None


def _drawn(asker: Asker, table: Table, locale: str | None) -> Any:
    catalog = {metric.name: metric for metric in asker.semantics.catalog()}
    currency = asker.session.query("select currency from marts.dim_tenants")["currency"][0].as_py()
    return metrics_picture(table, catalog, currency=currency, locale=_locale(locale) or "en")


def _chart_of_forecast(found: Forecast, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    return forecast_picture(info.context.session, found, locale=_locale(locale) or "en")


def _reason_text(proposal: Mapping[str, Any], _: GraphQLResolveInfo, locale: str | None = None) -> str:
    return reason_text(proposal, _locale(locale) or "en")


def _ask(_: object, info: GraphQLResolveInfo, *, question: str, locale: str | None = None) -> AnswerView:
    asker: Asker = info.context
    if not question.strip():
        raise BadRequest("the question is empty; ask e.g. 'What was our revenue in November?'")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise BadRequest(
            f"the question has {len(question):,} characters, at most {MAX_QUESTION_CHARACTERS:,} are read; shorten it"
        )
    answer = asker.backend.ask(asker.session, question, _locale(locale))
    if answer.query is not None:  # every number of an answer comes from the metrics it names
        asker.permit_metrics(cast("list[str]", answer.query["names"]))
    return AnswerView(answer, asker.session.release.id)


def _locale(locale: str | None) -> Literal["de", "en"] | None:
    """`de` or `en`, also from `de-AT`; None when none was given."""
    if locale is None:
        return None
    language = locale.replace("_", "-").split("-")[0].lower()
    if language not in LOCALES:
        raise BadRequest(f"locale {locale[:20]!r}: expected one of {', '.join(LOCALES)}")
    return "de" if language == "de" else "en"


def _of_answer(field: str) -> Callable[..., Any]:
    return lambda view, _: getattr(view.answer, field)


_RESOLVERS: Mapping[str, Callable[..., Any]] = {
    "Query.tenant": _tenant,
    "Query.metricCatalog": _metric_catalog,
    "Query.metrics": _metrics,
    "Query.forecast": _forecast,
    "Query.forecastBacktest": _forecast_backtest,
    "Query.recommendations": _recommendations,
    "Query.reorderProposals": _reorder_proposals,
    "Query.supplierDelay": _supplier_delay,
    "Query.promotionScenario": _promotion_scenario,
    "Query.ask": _ask,
    "ReorderProposals.orderValue": lambda page, _: page.order_value,
    "ReorderProposals.lostMarginAvoided": lambda page, _: page.lost_margin_avoided,
    "ReorderProposals.holdingCostAdded": lambda page, _: page.holding_cost_added,
    "ReorderProposal.reasonText": _reason_text,
    "PromotionScenario.caution": _caution_of_promotion,
    "BacktestScore.role": lambda row, _: row["role"].upper(),
    "Tenant.role": lambda _, info: info.context.identity.role.upper(),
    "MetricResult.chart": _chart_of_metrics,
    "Forecast.chart": _chart_of_forecast,
    "Answer.chart": _chart_of_answer,
    "Release.asOf": lambda view, _: view.release.as_of,
    "Metric.label": _in_locale("label"),
    "Metric.needs": lambda metric, _: metric.needs.upper(),
    "Metric.description": _in_locale("description"),
    "Metric.formula": _in_locale("formula"),
    "Metric.caution": _in_locale("caution"),
    **{f"Answer.{field}": _of_answer(field) for field in ("status", "text", "columns", "rows", "query", "sources")},
}
