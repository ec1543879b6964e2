"""A late supplier: known answers with certain demand, and laws of the difference."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from mercurios.errors import ModelError
from mercurios.replenishment import Delay, StockSettings, supplier_late

MONDAY = date(2024, 1, 1)
QUICK = StockSettings(samples=200, default_lead_days=7)
ARTICLE = {
    "unique_id": "a",
    "service_class": "AX",
    "on_hand": 20.0,
    "on_order": 0.0,
    "on_order_days": None,
    "unit_cost": 2.0,
    "price": 3.0,
    "holding_rate": 0.25,
    "obsolescence_rate": 0.25,
    "pack_size": 1.0,
    "minimum_order": 0.0,
}


def late(days: float, *changes: dict[str, Any], spread: float = 0.0, mean: float = 10.0) -> Delay:
    """A supplier of articles that sell `mean` a week, bounds at `spread` and twice `spread` of it to either side."""
    schema = {"on_order_days": pl.Float64, "lead_days_mean": pl.Float64}
    rows = [{**ARTICLE, "lead_days_mean": None, **change} for change in changes or ({},)]
    items = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    weeks = [
        (key, MONDAY + timedelta(weeks=n), mean, *(mean * (1 + side * spread) for side in (-1, 1, -2, 2)))
        for key in items["unique_id"]
        for n in range(4)
    ]
    forecast = pl.DataFrame(weeks, schema=["unique_id", "ds", "mean", "lo80", "hi80", "lo95", "hi95"], orient="row")
    return supplier_late(items, forecast, QUICK, days=days)


def test_certain_demand_loses_what_the_shelf_lacks() -> None:
    told = late(14)  # two weeks on hand; an order of today takes three weeks instead of one
    assert (told.items, told.weeks) == (1, 4)
    assert (told.on_time.order_quantity, told.on_time.stockout_risk, told.on_time.lost_margin) == (0.0, 0.0, 0.0)
    assert told.late.order_quantity == pytest.approx(20.0)  # four weeks are to be lasted for
    assert told.late.order_value == pytest.approx(40.0)
    assert told.late.stockout_risk == 1.0
    assert told.late.lost_margin == pytest.approx(10.0)  # the third week
    difference = told.lost_margin
    assert (difference.mean, difference.lo80, difference.hi80) == pytest.approx((10.0, 10.0, 10.0))


def test_open_orders_come_late_as_well() -> None:
    awaited = {"on_hand": 10.0, "on_order": 10.0, "on_order_days": 7.0}
    assert late(7, awaited).late.lost_margin == pytest.approx(10.0), "the second week has nothing to sell"
    assert late(7, {**awaited, "on_order": 0.0, "on_hand": 20.0}).late.lost_margin == 0.0
    undated = late(7, {**awaited, "on_order_days": None})
    assert undated.late.lost_margin == pytest.approx(10.0), "within a usual lead time, and then late"


def test_a_stated_lead_time_is_late_by_as_much() -> None:
    stated = late(7, {"lead_days_mean": 14.0, "on_hand": 30.0})
    assert stated.weeks == 4
    assert stated.late.order_quantity - stated.on_time.order_quantity == pytest.approx(10.0), "a week's demand"


def test_the_sum_over_articles_is_surer_than_one_article() -> None:
    one = late(14, spread=0.4)
    many = late(14, *({"unique_id": f"a{n:02}"} for n in range(40)), spread=0.4)
    assert many.lost_margin.mean == pytest.approx(40 * one.lost_margin.mean, rel=0.1)
    width = many.lost_margin.hi80 - many.lost_margin.lo80
    assert width < 10 * (one.lost_margin.hi80 - one.lost_margin.lo80), "errors of articles are drawn apart"


def test_running_again_gives_the_same() -> None:
    assert late(14, spread=0.4) == late(14, spread=0.4)


@given(days=st.integers(1, 90), on_hand=st.floats(0, 100), on_order=st.floats(0, 50), spread=st.floats(0, 0.5))
@runs(max_examples=25, deadline=None)
def test_a_delay_never_helps(days: int, on_hand: float, on_order: float, spread: float) -> None:
    told = late(days, {"on_hand": on_hand, "on_order": on_order, "on_order_days": 3.0}, spread=spread)
    assert told.lost_margin.lo80 >= -1e-9
    assert told.late.order_quantity >= told.on_time.order_quantity
    assert 0 <= told.on_time.stockout_risk <= told.late.stockout_risk + 1e-9 <= 1 + 1e-9
    assert told.lost_margin.mean == pytest.approx(told.late.lost_margin - told.on_time.lost_margin, abs=1e-6)


def test_more_delay_costs_more() -> None:
    costs = [late(days, spread=0.3).lost_margin.mean for days in (7, 14, 28, 56)]
    assert costs == sorted(costs)
    assert costs[-1] > 2 * costs[1]


@pytest.mark.parametrize("days", [0, 91, -3])
def test_a_delay_out_of_range(days: float) -> None:
    with pytest.raises(ModelError, match="expected 1 to 90"):
        late(days)


def test_a_supplier_of_nothing_that_sells() -> None:
    items = pl.DataFrame([{**ARTICLE}], schema_overrides={"on_order_days": pl.Float64})
    nothing = pl.DataFrame(
        schema={
            "unique_id": pl.String,
            "ds": pl.Date,
            **dict.fromkeys(("mean", "lo80", "hi80", "lo95", "hi95"), pl.Float64),
        }
    )
    with pytest.raises(ModelError, match="expected an item of the supplier with a forecast"):
        supplier_late(items, nothing, QUICK, days=14)
