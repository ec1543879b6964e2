"""Forecasts and recommendations of a release, read from a serving session.

    forecast(session, "BRANCH", "367", horizon_days=28).points[0].mean
    recommend(session, "1", limit=5)[0].article

Both are data in the release, so nothing is predicted while somebody waits.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.names import article_number, customer_number, digits
from mercurios.api.scalars import camel, finite
from mercurios.errors import BadRequest, NoChampion
from mercurios.forecasting.backtest import ALL_CLASSES
from mercurios.journal import Told
from mercurios.serving import Session

MAX_HORIZON_DAYS = 365
MAX_RECOMMENDATIONS = 100
_EVENT_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ENDS = ("lo80", "hi80", "lo95", "hi95")
_MEASURES = ("wape", "skill", "p_value", "bias", "rmsse", "scaled_quantile_loss", "coverage80", "coverage95")
_STEP_DAYS = {"total": 1, "department": 1, "category": 7, "product_type": 7, "branch": 1, "branch_department": 1}


@dataclass(frozen=True)
class ForecastPoint:
    """One step; gross revenue in the tenant's currency."""

    date: date
    mean: float
    lo80: float | None
    hi80: float | None
    lo95: float | None
    hi95: float | None


@dataclass(frozen=True)
class Forecast:
    """Points in order of time; `cutoff` is the last day the model has seen, `step_days` how long a point lasts."""

    level: str
    key: str
    step_days: int
    points: tuple[ForecastPoint, ...]
    model: str
    cutoff: date


@dataclass(frozen=True)
class Recommendation:
    """An article to offer; `article` is its number."""

    article: str
    label: str | None
    score: float
    reason: str


def forecast(session: Session, level: str, key: str, *, horizon_days: int) -> Forecast:
    """The points up to `horizon_days` after the cutoff.

    level: CATEGORY or PRODUCT_TYPE (weekly), or TOTAL (its only key is "total"), DEPARTMENT, BRANCH or
    BRANCH_DEPARTMENT (key "branch/department"; daily).
    Raises BadRequest for a horizon or a key without a forecast, naming keys like it, and NoChampion when the release
    holds no forecasts.
    """
    if not 1 <= horizon_days <= MAX_HORIZON_DAYS:
        raise BadRequest(f"horizon {horizon_days}: expected 1 to {MAX_HORIZON_DAYS} days")
    _require(session, "forecasts")
    kind = level.lower()
    rows = session.query(
        "select ds, mean, lo80, hi80, lo95, hi95, model, cutoff from marts.forecasts"
        " where level = $level and key = $key order by ds",
        {"level": kind, "key": key},
    ).to_pylist()
    if not rows:
        raise BadRequest(_no_such_key(session, kind, key))
    cutoff, model = rows[0]["cutoff"], rows[0]["model"]
    _check_horizon(kind, horizon_days, first=rows[0]["ds"], last=rows[-1]["ds"], cutoff=cutoff)
    end = cutoff + timedelta(days=horizon_days)
    return Forecast(kind, key, _STEP_DAYS[kind], tuple(_point(row) for row in rows if row["ds"] <= end), model, cutoff)


def backtest(session: Session, level: str, *, all_classes: bool) -> tuple[Mapping[str, Any], ...]:
    """Rows of `forecast_backtest` of a level, best first, as the schema names them.

    all_classes: only those of all demand classes together. Raises NoChampion when the release has none of the level.
    """
    _require(session, "forecast_backtest")
    rows = session.query(
        "select * exclude (tenant_id, level) from marts.forecast_backtest"
        " where level = $level and (demand_class = $every or not $all_classes)"
        " order by demand_class <> $every, demand_class, wape, method",
        {"level": level.lower(), "all_classes": all_classes, "every": ALL_CLASSES},
    ).to_pylist()
    if not rows:
        raise NoChampion(f"this release holds no backtest by {level.lower()}; run `mercurios retrain` first")
    return tuple(camel(row | {name: finite(row[name]) for name in _MEASURES}) for row in rows)


def recommend(session: Session, customer: str, *, limit: int) -> tuple[Recommendation, ...]:
    """The best articles for one customer, best first; empty for a known customer without any.

    Raises BadRequest for a limit out of range or a customer nobody knows, and NoChampion when the release holds no
    recommendations.
    """
    if not 1 <= limit <= MAX_RECOMMENDATIONS:
        raise BadRequest(f"limit {limit}: expected 1 to {MAX_RECOMMENDATIONS} recommendations")
    number = digits("customer", customer)
    _require(session, "recommendations")
    rows = session.query(
        "select r.article_number, a.label, r.score, r.reason from marts.recommendations as r"
        " left join marts.dim_articles as a using (article_number)"
        " where r.customer_number = $customer order by r.rank limit $limit",
        {"customer": number, "limit": limit},
    ).to_pylist()
    if not rows:
        customer_number(session, customer)
    return tuple(
        Recommendation(str(row["article_number"]), row["label"], row["score"], row["reason"] or "") for row in rows
    )


def _point(row: Mapping[str, Any]) -> ForecastPoint:
    ends = {name: finite(row[name]) for name in _ENDS}  # a model without intervals leaves their ends empty
    return ForecastPoint(row["ds"], row["mean"], **ends)


def _require(session: Session, table: str) -> None:
    if not session.release.holds(table):
        raise NoChampion(f"release {session.release.id} holds no {table}; run `mercurios retrain` first")


def _no_such_key(session: Session, kind: str, key: str) -> str:
    rows = session.query("select distinct key from marts.forecasts where level = $level order by key", {"level": kind})
    known = {str(name).casefold(): str(name) for name in rows["key"].to_pylist()}
    if not known:
        return f"this release holds no forecast by {kind}; run `mercurios retrain` first"
    close = difflib.get_close_matches(key[:100].casefold(), known, n=3, cutoff=0.5)
    shown = ", ".join(repr(known[name]) for name in close or sorted(known)[:3])
    return f"no forecast for {kind} {key[:100]!r}; {'close to it' if close else 'there are'}: {shown}"


def _check_horizon(kind: str, horizon_days: int, *, first: date, last: date, cutoff: date) -> None:
    # A step that begins inside the horizon counts, so the last week reaches six days past its first day.
    most = (last - cutoff).days + _STEP_DAYS[kind] - 1
    least = (first - cutoff).days
    if not least <= horizon_days <= most:
        raise BadRequest(f"horizon {horizon_days}: the forecast by {kind} reaches from {least} to {most} days")


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


def _record_event(
    _: object, info: GraphQLResolveInfo, *, event: str, customer: str, article: str, key: str
) -> Mapping[str, Any]:
    asker: Asker = info.context
    if not _EVENT_KEY.fullmatch(key):
        raise BadRequest(f"key {key[:40]!r}: expected 1 to 64 letters, digits or . _ : - that name this one event")
    who, what = customer_number(asker.session, customer), article_number(asker.session, article)
    body = {"event": event.lower(), "customer": who, "article": what}
    note, is_new = asker.journal.add(Told("event", f"{who}/{what}", body, key=key, **asker.author))
    return {"key": key, "event": event, "at": note.at, "isNew": is_new}


RESOLVERS: Resolvers = {
    "Mutation.recordEvent": _record_event,
    "Query.forecast": _forecast,
    "Query.forecastBacktest": _forecast_backtest,
    "Query.recommendations": _recommendations,
    "BacktestScore.role": lambda row, _: row["role"].upper(),
}
