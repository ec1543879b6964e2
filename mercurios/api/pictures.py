"""Charts of what was asked, as Vega-Lite with its rows in it; None where no chart says more than the rows.

metrics_picture(Table(result.columns, result.rows), catalog, currency="EUR", locale="de")
forecast_picture(session, "branch", "367", points, locale="de")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
from graphql import GraphQLResolveInfo

from mercurios import charts
from mercurios.api.asker import Asker, Resolvers, language
from mercurios.api.predictions import Forecast
from mercurios.api.questions import AnswerView
from mercurios.metrics import Metric, MetricResult
from mercurios.serving import Session

_TIME = "metric_time"
_MOST_BARS = 20
_MOST_POINTS = 1_000
_MOST_LINES = 6
_HISTORY_DAYS = 112
_OF_KEY: Mapping[str, str] = {
    "total": "$key = 'total'",
    "department": "department = $key",
    "category": "category = $key",
    "product_type": "product_type = $key",
    "branch": "cast(branch as varchar) = $key",
    "branch_department": "cast(branch as varchar) || '/' || department = $key",
}


@dataclass(frozen=True)
class Table:
    """The result of a metric query: dimensions first, then metrics."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def metrics_picture(
    table: Table, catalog: Mapping[str, Metric], *, currency: str, locale: charts.Locale
) -> dict[str, Any] | None:
    """The first metric over time as lines, or by one dimension as bars; catalog: metrics by name."""
    dimensions = [name for name in table.columns if name not in catalog]
    metrics = [catalog[name] for name in table.columns if name in catalog]
    over_time = dimensions[:1] == [_TIME]
    if (
        not metrics
        or len(dimensions) not in ((1, 2) if over_time else (1,))
        or not 2 <= len(table.rows) <= _MOST_POINTS
    ):
        return None
    rows = pl.DataFrame(table.rows, schema=list(table.columns), orient="row", infer_schema_length=None)
    if over_time:
        rows = rows.with_columns(pl.col(_TIME).cast(pl.String).str.to_date())
    if over_time and len(dimensions) == 2:
        rows = rows.filter(pl.col(dimensions[1]).is_in(_largest(rows, dimensions[1], metrics[0].name)))
    shown = rows if over_time else rows.head(_MOST_BARS)
    labels = charts.Labels("", _axis(metrics[0], currency, locale), locale=locale)
    color = dimensions[1] if len(dimensions) > 1 else None
    drawn = charts.metric_chart(shown, labels, x=dimensions[0], y=metrics[0].name, color=color)
    return charts.to_spec(drawn, locale=locale)


def forecast_picture(session: Session, found: Forecast, *, locale: charts.Locale) -> dict[str, Any]:
    """What was sold in the sixteen weeks before, and the points with their intervals."""
    first: date = found.points[0].date
    table = "fct_sale_lines" if found.level == "product_type" else "mart_sales_daily"
    amount = "gross_amount" if found.level == "product_type" else "revenue"
    period = "sold_on" if found.step_days == 1 else "cast(date_trunc('week', sold_on) as date)"
    sold = session.query(
        f"select {period} as ds, cast(sum({amount}) as double) as y from marts.{table}"  # noqa: S608 - names of ours
        f" where {_OF_KEY[found.level]} and sold_on >= $since and sold_on < $first group by all order by ds",
        {"key": found.key, "since": first - timedelta(days=_HISTORY_DAYS), "first": first},
    )
    ahead = pl.DataFrame([{"ds": point.date, **vars(point)} for point in found.points]).drop("date")
    labels = charts.Labels("", _currency(session), locale=locale)
    return charts.to_spec(charts.forecast_chart(pl.DataFrame(sold), ahead, labels), locale=locale)


def _largest(rows: pl.DataFrame, name: str, metric: str) -> pl.Series:
    sums = rows.group_by(name).agg(pl.col(metric).cast(pl.Float64).sum()).sort([metric, name], descending=[True, False])
    return sums[name].head(_MOST_LINES)


def _axis(metric: Metric, currency: str, locale: str) -> str:
    unit = {"currency": currency, "fraction": "1 = 100 %"}.get(metric.unit, "")
    label = metric.label.get(locale) or metric.name
    return f"{label} ({unit})" if unit else label


def _currency(session: Session) -> str:
    return str(session.query("select currency from marts.dim_tenants")["currency"][0].as_py())


def _chart_of_metrics(result: MetricResult, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    return _drawn(info.context, Table(result.columns, result.rows), locale)


def _chart_of_answer(view: AnswerView, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    answer = view.answer
    return _drawn(info.context, Table(answer.columns, answer.rows), locale) if answer.columns and answer.rows else None


def _drawn(asker: Asker, table: Table, locale: str | None) -> Any:
    catalog = {metric.name: metric for metric in asker.semantics.catalog()}
    return metrics_picture(table, catalog, currency=asker.currency, locale=language(locale) or "en")


def _chart_of_forecast(found: Forecast, info: GraphQLResolveInfo, locale: str | None = None) -> Any:
    return forecast_picture(info.context.session, found, locale=language(locale) or "en")


RESOLVERS: Resolvers = {
    "MetricResult.chart": _chart_of_metrics,
    "Answer.chart": _chart_of_answer,
    "Forecast.chart": _chart_of_forecast,
}
