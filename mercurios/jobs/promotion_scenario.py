"""Promotion scenario: what if a category is promoted in a week that is forecast? Asked of a release.

    told = promotion_scenario(session, Wanted("COFFEE", date(2018, 1, 8), discount=0.2, kind="mailer"))
    told.difference.mean, told.difference.lo80      # money, gross: with the promotion less as it is planned now

The champion's forecast of the week, times what discounts and promotions have done to sales so far. That is learnt from
the same release while somebody waits, in a second or two: what a calendar without promotions missed, on the mean
discount of a category (label price against what was paid) and the shares of it that were promoted.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from mercurios.errors import BadRequest, ModelError, NoChampion, SeriesTooShort
from mercurios.serving import Session

if TYPE_CHECKING:
    from mercurios.forecasting.scenarios import Difference, Response

MOST_DISCOUNT = 0.9
DISCOUNT = "off the label price"
"""The driver that is the mean discount; the others are named as kinds of promotion."""
_WINDOWS = 10
_USUAL_WEEKS = 8
_FORECASTS = (
    "select ds, mean, model, cutoff from marts.forecasts where level = 'category' and key = $category order by ds"
)
_KEYS = "select distinct key from marts.forecasts where level = 'category' order by key"
_SALES = """
    select category as key, sold_on, cast(sum(revenue) as double) as revenue
    from marts.mart_sales_daily where sold_on <= $until group by category, sold_on
"""
_DISCOUNTS = """
    select
        category as unique_id,
        cast(date_trunc('week', sold_on) as date) as ds,
        cast(sum(labelled_revenue) as double) / cast(sum(label_value) as double) as paid
    from marts.mart_sales_daily
    where sold_on <= $until
    group by 1, 2
    having sum(label_value) > 0
"""
_HOLIDAYS = "select day as ds, holiday as name from marts.dim_dates where holiday is not null order by day"


@dataclass(frozen=True)
class Wanted:
    """What is asked: that `share` of the category's articles and branches is sold `discount` below its label price.

    week: any day of it. kind: of promotion that they also take part in, such as `mailer`; none when empty.
    """

    category: str
    week: date
    discount: float
    kind: str | None = None
    share: float = 1.0


@dataclass(frozen=True)
class PromotionScenario:
    """The answer; money is gross, fractions are 0 to 1.

    forecast: the champion's, with what is planned now. usual_discount: the mean one of the last eight weeks, which is
    what the forecast expects. planned_share: of the kind that is asked for, in that week. effect: by which part of the
    forecast sales change. is_beyond_history: more discount, or more of the kind, than any category ever had.
    category_weeks: learnt from.
    """

    category: str
    week: date
    model: str
    cutoff: date
    forecast: float
    usual_discount: float
    planned_share: float
    effect: float
    difference: "Difference"
    is_beyond_history: bool
    category_weeks: int


def promotion_scenario(session: Session, wanted: Wanted) -> PromotionScenario:
    """What a promotion of a category changes in a week that is forecast.

    Raises BadRequest for a category, week, kind, discount or share that cannot be, or where too little is known, and
    NoChampion without forecasts.
    """
    _check_numbers(wanted)
    week = wanted.week - timedelta(days=wanted.week.weekday())
    row = _forecast_of(session, wanted.category, week)
    drivers = known_drivers(session, row["cutoff"])
    response = _learnt(session, row["cutoff"], drivers)
    _check_kind(wanted, response)
    own = drivers.filter(pl.col("unique_id") == wanted.category)
    usual, planned = _usual_discount(own, row["cutoff"]), _planned(own, week, wanted.kind)
    change = {DISCOUNT: wanted.share * (wanted.discount - usual)} if DISCOUNT in response.drivers else {}
    if wanted.kind:
        change[wanted.kind] = wanted.share - planned
    difference = response.difference(wanted.category, row["mean"], change)
    reached = {DISCOUNT: usual + change.get(DISCOUNT, 0.0), wanted.kind or "": wanted.share}
    return PromotionScenario(
        category=wanted.category,
        week=week,
        model=row["model"],
        cutoff=row["cutoff"],
        forecast=row["mean"],
        usual_discount=usual,
        planned_share=planned,
        effect=difference.mean / row["mean"] if row["mean"] else 0.0,
        difference=difference,
        is_beyond_history=any(value > response.most.get(name, value) for name, value in reached.items()),
        category_weeks=response.weeks,
    )


def known_drivers(session: Session, cutoff: date) -> pl.DataFrame:
    """What was and is planned: unique_id, ds (a Monday), the discount up to the cutoff, and a column a kind.

    A week in which a category sold nothing with a label price has no discount.
    """
    from mercurios.jobs.planned import promoted_shares

    paid = pl.DataFrame(session.query(_DISCOUNTS, {"until": cutoff}))
    discounts = paid.select("unique_id", "ds", (1 - pl.col("paid")).clip(0, 1).alias(DISCOUNT))
    shares = promoted_shares(session)
    if shares is None:
        return discounts
    both = discounts.join(shares, on=["unique_id", "ds"], how="full", coalesce=True)
    return both.with_columns(pl.exclude("unique_id", "ds", DISCOUNT).fill_null(0.0))


def past_weeks(session: Session, cutoff: date, drivers: pl.DataFrame) -> pl.DataFrame:
    """Forecasts of the past without promotions, beside what was sold and driven; as `learn_response` takes them."""
    from mercurios.config import ROOT
    from mercurios.forecasting import ForecastSpec, split_series
    from mercurios.forecasting.calendar import CalendarRegression
    from mercurios.forecasting.scenarios import past_forecasts

    spec = ForecastSpec.parse((ROOT / "models" / "forecast.yaml").read_text()).levels["category"]
    sales = pl.DataFrame(session.query(_SALES, {"until": cutoff}))
    holidays = pl.DataFrame(session.query(_HOLIDAYS))
    panel = split_series(sales, spec.rules, until=cutoff, holidays=holidays).modelled
    windows = max(min(_WINDOWS, panel.calendar.height // spec.horizon - 2), 1)
    past = past_forecasts(panel, CalendarRegression(half_life=10), horizon=spec.horizon, windows=windows).join(
        drivers, on=["unique_id", "ds"], how="left"
    )
    if past[DISCOUNT].is_null().all():
        return past.with_columns(pl.exclude("unique_id", "ds").fill_null(0.0))
    return past.drop_nulls(DISCOUNT).with_columns(pl.exclude("unique_id", "ds").fill_null(0.0))


def _check_numbers(wanted: Wanted) -> None:
    if not 0 <= wanted.discount <= MOST_DISCOUNT:
        raise BadRequest(f"discount {wanted.discount:g}: expected 0 to {MOST_DISCOUNT}, e.g. 0.2 for 20 %")
    if not 0 < wanted.share <= 1:
        raise BadRequest(f"share {wanted.share:g}: expected above 0 up to 1, which is the whole category")


def _forecast_of(session: Session, category: str, week: date) -> Mapping[str, Any]:
    if not session.holds("forecasts"):
        raise NoChampion(f"release {session.release.id} holds no forecasts; run `mercurios retrain` first")
    rows = session.query(_FORECASTS, {"category": category}).to_pylist()
    if not rows:
        raise BadRequest(_no_such(session, category))
    for row in rows:
        if row["ds"] == week:
            return dict(row)
    raise BadRequest(f"week {week}: the forecast of {category!r} has the weeks {rows[0]['ds']} to {rows[-1]['ds']}")


def _no_such(session: Session, category: str) -> str:
    known = {str(name).casefold(): str(name) for name in session.query(_KEYS)["key"].to_pylist()}
    if not known:
        return "this release holds no forecast by category; run `mercurios retrain` first"
    close = difflib.get_close_matches(category[:100].casefold(), known, n=3, cutoff=0.5)
    shown = ", ".join(repr(known[name]) for name in close or sorted(known)[:3])
    return f"no forecast for category {category[:100]!r}; {'close to it' if close else 'there are'}: {shown}"


def _learnt(session: Session, cutoff: date, drivers: pl.DataFrame) -> "Response":
    from mercurios.forecasting.scenarios import learn_response

    kinds = [name for name in drivers.columns if name not in {"unique_id", "ds", DISCOUNT}]
    try:
        return learn_response(past_weeks(session, cutoff, drivers), [DISCOUNT, *kinds])
    except SeriesTooShort as error:
        raise BadRequest(f"too little history to learn what promotions do: {error}") from error
    except ModelError as error:
        raise BadRequest(
            f"no promotions are known, and label prices tell of none: {error}; drop a file, e.g. promotion_26.csv, or "
            "have the tills send label prices, then run `mercurios pipeline`"
        ) from error


def _check_kind(wanted: Wanted, response: "Response") -> None:
    known = [name for name in response.drivers if name != DISCOUNT]
    kinds = ", ".join(known)
    if wanted.kind and wanted.kind not in known:
        told = f"known are {kinds}" if kinds else "no promotions are known; drop a file, e.g. promotion_26.csv"
        raise BadRequest(f"nothing is known of promotions of the kind {wanted.kind[:40]!r}; {told}")
    if DISCOUNT not in response.drivers and not wanted.kind:
        raise BadRequest(f"nothing is known of discounts, label prices tell of none; ask for a kind: {kinds}")


def _usual_discount(own: pl.DataFrame, cutoff: date) -> float:
    since = cutoff - timedelta(weeks=_USUAL_WEEKS)
    recent = own.filter(pl.col("ds").is_between(since, cutoff, closed="right"))[DISCOUNT].mean()
    return float(recent or 0.0)  # type: ignore[arg-type]


def _planned(own: pl.DataFrame, week: date, kind: str | None) -> float:
    found = own.filter(pl.col("ds") == week)
    return float(found[kind].item()) if kind and kind in own.columns and found.height else 0.0
