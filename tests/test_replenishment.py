"""Order proposals: levels, packs, budget, reasons, and what stands in for what is not known."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from mercurios.errors import ModelError
from mercurios.forecasting import Grain
from mercurios.replenishment import CLASSES, LeadTimeBasis, Reason, Service, StockSettings, propose, service_classes
from mercurios.replenishment.protection import protection_demand

MONDAY = date(2024, 1, 1)
QUICK = StockSettings(samples=400, default_lead_days=7)
NO_RECEIPTS = pl.DataFrame(schema={"unique_id": pl.String, "lead_days": pl.Float64})
ARTICLE = {
    "unique_id": "a",
    "service_class": "AX",
    "on_hand": 5.0,
    "on_order": 0.0,
    "unit_cost": 2.0,
    "price": 3.0,
    "holding_rate": 0.25,
    "obsolescence_rate": 0.25,
    "pack_size": 1.0,
    "minimum_order": 0.0,
}


def articles(*changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**ARTICLE, **change} for change in changes], infer_schema_length=None)


def forecast(means: dict[str, float], spread: float = 0.0, periods: int = 4) -> pl.DataFrame:
    """Bounds at `spread` and twice `spread` of the mean to either side."""
    rows = [
        (
            key,
            MONDAY + timedelta(weeks=n),
            m,
            m * (1 - spread),
            m * (1 + spread),
            m * (1 - 2 * spread),
            m * (1 + 2 * spread),
        )
        for key, m in means.items()
        for n in range(periods)
    ]
    return pl.DataFrame(rows, schema=["unique_id", "ds", "mean", "lo80", "hi80", "lo95", "hi95"], orient="row")


def receipts(days: dict[str, list[float]]) -> pl.DataFrame:
    rows = [(key, one) for key, known in days.items() for one in known]
    return pl.DataFrame(rows, schema={"unique_id": pl.String, "lead_days": pl.Float64}, orient="row")


def line(proposals: pl.DataFrame, key: str = "a") -> dict[str, Any]:
    return proposals.row(by_predicate=pl.col("unique_id") == key, named=True)


def test_certain_demand_is_ordered_for_lead_time_and_review_in_whole_packs() -> None:
    told = line(propose(articles({"pack_size": 6.0}), forecast({"a": 10.0}), NO_RECEIPTS, QUICK))
    assert told["reorder_point"] == pytest.approx(20.0)  # a week of lead time, a week to the next review
    assert told["safety_stock"] == pytest.approx(0.0)
    assert told["order_quantity"] == 18.0  # 15 are missing
    assert told["order_value"] == 36.0
    assert told["lost_margin_avoided"] == pytest.approx(15.0)  # a margin of 1 on each
    assert told["holding_cost_added"] == pytest.approx(3 * 2.0 * 0.5 * 14 / 365)
    assert told["reason"] == Reason.BELOW_REORDER_POINT


@pytest.mark.parametrize(
    ("change", "quantity", "reason"),
    [
        ({"on_hand": 20.0}, 0.0, Reason.ENOUGH_STOCK),
        ({"on_hand": 15.0, "on_order": 5.0}, 0.0, Reason.ENOUGH_STOCK),
        ({"on_hand": 19.0, "minimum_order": 7.0, "pack_size": 4.0}, 8.0, Reason.MINIMUM_ORDER),
        ({"on_hand": 5.0, "minimum_order": 7.0, "pack_size": 4.0}, 16.0, Reason.BELOW_REORDER_POINT),
        ({"on_hand": -3.0}, 20.0, Reason.BELOW_REORDER_POINT),
    ],
    ids=["in stock", "on its way", "raised to the minimum", "above the minimum", "below zero counts as none"],
)
def test_stock_minimum_and_packs_make_the_quantity(change: dict[str, Any], quantity: float, reason: Reason) -> None:
    told = line(propose(articles(change), forecast({"a": 10.0}), NO_RECEIPTS, QUICK))
    assert (told["order_quantity"], told["reason"]) == (quantity, reason)


def test_the_quantile_of_a_sum_is_less_than_the_sum_of_quantiles() -> None:
    bounds = {name: Service(least=0.975, most=0.975) for name in CLASSES}
    settings = QUICK.model_copy(update={"service": bounds, "samples": 20_000})
    told = line(propose(articles({}), forecast({"a": 10.0}, spread=0.3), NO_RECEIPTS, settings))
    assert 20 + 0.55 * 12 < told["reorder_point"] < 20 + 0.9 * 12  # of independent errors √½ of it, less their overlap


def test_errors_that_go_on_need_more_safety_stock() -> None:
    def safety(correlation: float) -> float:
        settings = QUICK.model_copy(update={"error_correlation": correlation, "samples": 5_000})
        return float(
            line(propose(articles({}), forecast({"a": 10.0}, spread=0.3), NO_RECEIPTS, settings))["safety_stock"]
        )

    assert safety(0.0) < safety(0.4) < safety(0.8)


@given(mean=st.floats(1, 500), low=st.floats(0, 0.4), high=st.floats(0, 1.5), lead=st.integers(1, 5))
@runs(max_examples=30, deadline=None)
def test_drawn_demand_has_the_mean_of_the_forecast(mean: float, low: float, high: float, lead: int) -> None:
    rows = forecast({"a": mean}, periods=6).with_columns(
        lo80=pl.col("mean") * (1 - low / 2), lo95=pl.col("mean") * (1 - low),
        hi80=pl.col("mean") * (1 + high / 2), hi95=pl.col("mean") * (1 + high),
    )  # fmt: skip
    demand = protection_demand(rows, np.full((1, QUICK.samples), float(lead)), QUICK)
    assert demand.mean[0] == pytest.approx(mean * (lead + 1), rel=0.1)
    assert demand.periods[0] == lead + 1


def test_demand_is_drawn_for_the_items_of_the_lead_times_only() -> None:
    with pytest.raises(ModelError, match="expected forecasts of 2 items, equally long, got 1 items in 4 rows"):
        protection_demand(forecast({"a": 10.0}), np.ones((2, QUICK.samples)), QUICK)


def test_lead_times_are_observed_else_stated_else_the_default() -> None:
    keys = ["few", "known", "none", "stated"]
    items = articles(*({"unique_id": key} for key in keys)).with_columns(
        lead_days_mean=pl.Series([None, 99.0, None, 20.0]), lead_days_sd=pl.Series([None, None, None, 4.0])
    )
    seen = receipts({"known": [7.0, 21.0] * 5, "few": [28.0]})
    told = propose(items, forecast(dict.fromkeys(keys, 10.0), periods=8), seen, QUICK)
    basis = [LeadTimeBasis.DEFAULT, LeadTimeBasis.OBSERVED, LeadTimeBasis.DEFAULT, LeadTimeBasis.STATED]
    assert told["lead_time_basis"].to_list() == basis
    assert line(told, "known")["protection_periods"] == pytest.approx(1 + 2.0, abs=0.1)  # one week or three
    assert line(told, "few")["protection_periods"] == 1 + 1
    assert line(told, "stated")["protection_periods"] == pytest.approx(1 + 20 / 7 + 0.5, abs=0.15)
    certain = line(propose(articles({}), forecast({"a": 10.0}), receipts({"a": [14.0] * 9}), QUICK))
    assert line(told, "known")["safety_stock"] > certain["safety_stock"] == pytest.approx(0.0)


def test_days_are_days_where_the_forecast_is_daily() -> None:
    settings = QUICK.model_copy(update={"grain": Grain.DAY, "review_periods": 7})
    assert line(propose(articles({}), forecast({"a": 10.0}), NO_RECEIPTS, settings))["reorder_point"] == pytest.approx(
        140
    )


def test_service_follows_margin_and_stays_within_its_class() -> None:
    rows = articles(
        *({"unique_id": key, "price": price} for key, price in [("dear", 8.0), ("fair", 2.5), ("none", 2.0)])
    )
    means = dict.fromkeys(["dear", "fair", "none"], 10.0)
    told = propose(rows, forecast(means, spread=0.3), NO_RECEIPTS, QUICK)
    levels = {key: line(told, key)["service_level"] for key in means}
    assert levels["dear"] > levels["fair"] > levels["none"] == QUICK.service["AX"].least
    valued = propose(rows, forecast(means, spread=0.3), NO_RECEIPTS, QUICK.model_copy(update={"goodwill": 2.0}))
    assert all(line(valued, key)["service_level"] > levels[key] for key in means)


def test_an_order_that_costs_money_is_larger_and_comes_later() -> None:
    free = line(propose(articles({}), forecast({"a": 10.0}), NO_RECEIPTS, QUICK))
    costly = line(
        propose(articles({}), forecast({"a": 10.0}), NO_RECEIPTS, QUICK.model_copy(update={"order_cost": 5.0}))
    )
    economic = (2 * 5.0 * 10.0 / (2.0 * 0.5 / (365 / 7))) ** 0.5
    assert costly["reorder_point"] == free["reorder_point"] == free["order_up_to"]
    assert costly["order_up_to"] - costly["reorder_point"] == pytest.approx(economic - 10.0)


def test_a_budget_buys_what_earns_most_on_the_money() -> None:
    rows = articles({"unique_id": "good", "price": 4.0}, {"unique_id": "poor", "price": 2.2})
    means = {"good": 10.0, "poor": 10.0}
    told = propose(rows, forecast(means), NO_RECEIPTS, QUICK, budget=40.0)  # 15 of each are wanted, at 2 each
    assert told["wanted_quantity"].to_list() == [15.0, 15.0]
    assert told["order_quantity"].to_list() == [15.0, 5.0]
    assert told["reason"].to_list() == [Reason.BELOW_REORDER_POINT, Reason.BUDGET_CUT]
    none = propose(rows, forecast(means), NO_RECEIPTS, QUICK, budget=0.0)
    assert none["order_quantity"].sum() == 0
    assert none["reason"].to_list() == [Reason.BUDGET_SPENT] * 2
    assert_frame_equal(
        propose(rows, forecast(means), NO_RECEIPTS, QUICK, budget=60.0),
        propose(rows, forecast(means), NO_RECEIPTS, QUICK),
    )


def test_a_budget_below_the_smallest_order_buys_none_of_it() -> None:
    rows = articles({"unique_id": "large", "price": 9.0, "minimum_order": 12.0}, {"unique_id": "small"})
    told = propose(rows, forecast({"large": 10.0, "small": 10.0}), NO_RECEIPTS, QUICK, budget=20.0)
    assert told["order_quantity"].to_list() == [0.0, 10.0]


@pytest.mark.parametrize("unit_cost", [0.0, 1e-308])
def test_what_costs_next_to_nothing_is_bought_first(unit_cost: float) -> None:
    rows = articles({"unique_id": "gift", "unit_cost": unit_cost}, {"unique_id": "paid", "price": 9.0})
    told = propose(rows, forecast({"gift": 10.0, "paid": 10.0}), NO_RECEIPTS, QUICK, budget=20.0)
    assert line(told, "gift")["order_quantity"] == line(told, "gift")["wanted_quantity"] > 0
    assert line(told, "paid")["order_quantity"] == 10.0


@st.composite
def assortments(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    count = draw(st.integers(1, 6))
    number = st.floats(0, 60)
    rows = [
        {
            "unique_id": f"item {n}",
            "service_class": draw(st.sampled_from(CLASSES)),
            "on_hand": draw(st.floats(-5, 60)),
            "on_order": draw(number),
            "unit_cost": draw(st.floats(0, 20)),
            "price": draw(st.floats(0, 30)),
            "pack_size": float(draw(st.integers(1, 12))),
            "minimum_order": draw(number),
        }
        for n in range(count)
    ]
    means = {row["unique_id"]: draw(number) for row in rows}
    return articles(*rows), forecast(means, spread=draw(st.floats(0, 0.5)))


@given(assortments(), st.floats(0, 800))
@runs(max_examples=40, deadline=None)
def test_laws_of_every_proposal(assortment: tuple[pl.DataFrame, pl.DataFrame], money: float) -> None:
    items, demand = assortment
    for budget in (None, money):
        told = propose(items, demand, NO_RECEIPTS, QUICK, budget)
        quantity = told["order_quantity"].to_numpy()
        packs = quantity / items["pack_size"].to_numpy()
        assert np.allclose(packs, np.round(packs))
        assert ((quantity == 0) | (quantity >= items["minimum_order"].to_numpy() - 1e-4)).all()
        assert (quantity <= told["wanted_quantity"].to_numpy()).all()
        assert told["order_value"].sum() <= (np.inf if budget is None else budget + 1e-6)
        ordered = (Reason.BELOW_REORDER_POINT, Reason.MINIMUM_ORDER, Reason.BUDGET_CUT)
        assert told["reason"].is_in(ordered).to_list() == (quantity > 0).tolist()


@given(assortments())
@runs(max_examples=20, deadline=None)
def test_what_an_item_gets_depends_on_no_other_and_on_no_order(assortment: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    items, demand = assortment
    whole = propose(items, demand, NO_RECEIPTS, QUICK)
    alone = [propose(items[n : n + 1], demand, NO_RECEIPTS, QUICK) for n in range(items.height)]
    assert_frame_equal(pl.concat(alone).sort("unique_id"), whole, rel_tol=1e-9)
    assert_frame_equal(propose(items.reverse(), demand.reverse(), NO_RECEIPTS, QUICK), whole)


def test_an_item_that_cannot_be_forecast_stops_no_other() -> None:
    good = forecast({"a": 10.0, "gap": 10.0, "nan": 10.0, "late": 10.0, "short": 10.0, "zero": 0.0})
    first, second = MONDAY, MONDAY + timedelta(weeks=1)
    rows = good.filter(
        ~((pl.col("unique_id") == "gap") & (pl.col("ds") == second)),
        ~((pl.col("unique_id") == "late") & (pl.col("ds") == first)),
        ~((pl.col("unique_id") == "short") & (pl.col("ds") > first)),
    ).with_columns(mean=pl.when(pl.col("unique_id") == "nan").then(float("nan")).otherwise("mean"))
    keys = ["a", "gap", "late", "nan", "none", "short", "zero"]
    told = propose(articles(*({"unique_id": key, "on_hand": 0.0} for key in keys)), rows, NO_RECEIPTS, QUICK)
    reasons = dict(told.select("unique_id", "reason").rows())
    assert {key for key, why in reasons.items() if why == Reason.NO_FORECAST} == {"gap", "late", "nan", "none"}
    assert reasons["zero"] == Reason.NO_DEMAND
    assert line(told, "short")["order_quantity"] == line(told)["order_quantity"] == 20.0  # its only week goes on
    assert told.filter(pl.col("reason") == Reason.NO_FORECAST)["order_quantity"].to_list() == [0.0] * 4


def test_nothing_to_order_is_an_empty_frame_of_the_same_columns() -> None:
    some = propose(articles({}), forecast({"a": 10.0}), NO_RECEIPTS, QUICK)
    none = propose(articles({}).clear(), forecast({"a": 10.0}), NO_RECEIPTS, QUICK)
    assert none.height == 0
    assert none.schema == some.schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pack_size": 0.0}, "'a': expected a pack_size above 0, got 0.0"),
        ({"price": float("nan")}, "'a': expected a price of 0 or more, got nan"),
        ({"on_order": -1.0}, "'a': expected a on_order of 0 or more"),
        ({"unit_cost": None}, "'a': expected a unit_cost of 0 or more, got None"),
        ({"on_hand": float("inf")}, "'a': expected a on_hand that is finite"),
        ({"service_class": "AQ"}, "'a': expected a service_class of AX"),
    ],
)
def test_wrong_masters_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        propose(articles(change), forecast({"a": 10.0}), NO_RECEIPTS, QUICK)


def test_wrong_frames_and_budgets_are_named() -> None:
    rows, demand = articles({}), forecast({"a": 10.0})
    with pytest.raises(ModelError, match="price is missing"):
        propose(rows.drop("price"), demand, NO_RECEIPTS, QUICK)
    with pytest.raises(ModelError, match="hi95 is missing"):
        propose(rows, demand.drop("hi95"), NO_RECEIPTS, QUICK)
    with pytest.raises(ModelError, match="expected one row, got several"):
        propose(articles({}, {}), demand, NO_RECEIPTS, QUICK)
    with pytest.raises(ModelError, match="one forecast per unique_id and ds"):
        propose(rows, pl.concat([demand, demand]), NO_RECEIPTS, QUICK)
    with pytest.raises(ModelError, match="lead_days of 0 or more, got -1"):
        propose(rows, demand, receipts({"a": [-1.0]}), QUICK)
    for budget in (-1.0, float("nan")):
        with pytest.raises(ModelError, match="expected a budget of 0 or more"):
            propose(rows, demand, NO_RECEIPTS, QUICK, budget=budget)


def test_settings_are_validated() -> None:
    for wrong in ({"service": {"AX": Service(least=0.5, most=0.9)}}, {"goodwill": float("nan")}, {"review_periods": 0}):
        with pytest.raises(ValidationError):
            StockSettings(**wrong)
    with pytest.raises(ValidationError, match="least <= most"):
        Service(least=0.9, most=0.8)


def test_items_are_classed_by_revenue_and_evenness() -> None:
    units = {"even": [100.0, 100.0], "swings": [18.0, 2.0], "lumpy": [0.0, 0.0, 0.0, 8.0], "dead": [0.0, 0.0]}
    rows = [(key, MONDAY + timedelta(weeks=n), y, 1.0) for key, ys in units.items() for n, y in enumerate(ys)]
    told = service_classes(pl.DataFrame(rows, schema=["unique_id", "ds", "y", "price"], orient="row"))
    assert dict(told.rows()) == {"even": "AX", "swings": "BY", "lumpy": "CZ", "dead": "CZ"}
