"""The simulator and the policies that are traded in it; the benchmark's forecast and its comparison."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from benchmarks.stock import Curve
from benchmarks.stock_forecast import boosting, moving_mean
from mercurios.errors import ModelError
from mercurios.forecasting import Grain, Panel
from mercurios.replenishment import Costs, Plan, World, simulate
from mercurios.replenishment.textbook import Supply, newsvendor_levels, safety_stock_levels

MONDAY = date(2024, 1, 1)


def world(demand: list[list[float]], lead: int = 1, review: int = 1, opening: float = 8.0) -> World:
    """A margin of 2, 1 for holding a unit a period, 3 lost on what is left, 10 an order line; packs of one."""
    units = np.array(demand)
    each = np.ones(len(units))
    return World(
        demand=units,
        lead_periods=np.full(units.shape, lead),
        opening=opening * each,
        margin=2 * each,
        holding_per_period=each,
        markdown=3 * each,
        pack=each,
        order_cost=10.0,
        review_periods=review,
    )


def base_stock(level: float, traded: World) -> Plan:
    levels = np.full(traded.demand.T.shape, level)
    return Plan(levels, levels)


def test_three_periods_by_hand() -> None:
    shop = world([[5.0, 5.0, 5.0]])
    # Orders of 2, 5 and 5 arrive a period later; 3, 0 and 0 are left in the evenings.
    assert simulate(shop, base_stock(10, shop)) == Costs(3.0, 0.0, 0.0, 30.0, 1.0)
    # A level of 6: 8 are enough, then 3 are ordered twice; 5, 3 and 3 are sold, and 3 left after the first evening.
    assert simulate(shop, base_stock(6, shop)) == Costs(3.0, (2 + 2) * 2.0, 0.0, 20.0, pytest.approx(11 / 15))


def test_an_order_takes_its_lead_time_and_is_made_at_reviews_only() -> None:
    slow = world([[5.0] * 4], lead=3)
    assert simulate(slow, base_stock(20, slow)).fill_rate == pytest.approx((5 + 3 + 0 + 5) / 20)
    seldom = world([[5.0] * 4], review=2)
    assert simulate(seldom, base_stock(10, seldom)).ordering == 20.0


def test_an_order_waits_for_the_reorder_point_and_fills_up_in_packs() -> None:
    shop = world([[2.0, 2.0, 2.0, 2.0]])
    lazy = Plan(np.full((4, 1), 5.0), np.full((4, 1), 20.0))
    told = simulate(shop, lazy)  # 8, 6, 4: an order of 16 in the third period
    assert (told.ordering, told.markdown) == (10.0, 3 * 16.0)


@given(
    st.lists(st.lists(st.integers(0, 20).map(float), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(0, 40),
    st.integers(1, 4),
)
@runs(max_examples=60, deadline=None)
def test_what_is_not_sold_is_lost_and_what_is_left_was_bought(demand: list[list[float]], level: int, lead: int) -> None:
    shop = world(demand, lead)
    told = simulate(shop, base_stock(level, shop))
    asked = float(shop.demand.sum())
    assert 0 <= told.fill_rate <= 1
    assert told.lost_margin == pytest.approx(2 * asked * (1 - told.fill_rate))
    assert told.markdown <= 3 * max(level, 8) * len(demand)
    endless = simulate(shop, base_stock(1_000, shop))
    assert endless.fill_rate >= told.fill_rate


def test_an_order_cannot_arrive_before_it_is_made() -> None:
    with pytest.raises(ModelError, match="at least one period"):
        world([[1.0]], lead=0)


def test_levels_of_the_textbooks() -> None:
    past = np.array([[100.0, 4.0, 6.0, 4.0, 6.0], [0.0, 3.0, 3.0, 3.0, 3.0]])
    supply = Supply(np.array([3.0, 1.0]), np.array([0.25, 1.0]))
    spread = np.array([(4 / 3) ** 0.5, 0.0])
    assert safety_stock_levels(past, supply, 2.0, window=4) == pytest.approx(np.array([20.0, 6.0]) + 2 * spread * 2)
    varying = safety_stock_levels(past, supply, 1.0, window=4, varying=True)
    assert varying == pytest.approx([20 + (16 / 3 + 25 / 4) ** 0.5, 6 + 3])
    assert newsvendor_levels(past, supply, np.array([0.5, 0.5]), window=4) == pytest.approx([20.0, 6.0])
    high = newsvendor_levels(past, supply, np.array([0.975, 0.975]), window=4)
    assert high == pytest.approx([20 + 1.96 * spread[0], 6.0], abs=1e-3)


def test_costs_are_compared_at_one_fill_rate() -> None:
    curve = Curve((Costs(10, 0, 0, 0, 0.98), Costs(2, 4, 0, 0, 0.90), Costs(4, 2, 0, 0, 0.94)))
    assert curve.at(0.96) == pytest.approx(8.0)
    assert curve.at(0.92, "lost_margin") == pytest.approx(3.0)
    assert curve.at(0.99) is None
    assert curve.at(0.89) is None


def shop_panel(weeks: int = 30, items: int = 40) -> tuple[Panel, pl.DataFrame]:
    """Items that sell three times as much in the weeks they are promoted in, and which weeks those are."""
    rng = np.random.default_rng(1)
    days = [MONDAY + timedelta(weeks=n) for n in range(weeks + 8)]
    whole = pl.DataFrame({"unique_id": [f"{n:02}" for n in range(items)]}).join(pl.DataFrame({"ds": days}), how="cross")
    promoted = pl.Series("mailer", rng.random(whole.height) < 0.2).cast(pl.Int64)
    plan = whole.with_columns(promoted)
    units = rng.poisson(10 * (1 + 2 * promoted.to_numpy()))
    rows = whole.with_columns(y=pl.Series(units).cast(pl.Float64), is_open=True).filter(pl.col("ds") < days[weeks])
    calendar = pl.DataFrame({"ds": days[:weeks], "is_open": True})
    return Panel(rows, calendar, Grain.WEEK), plan


def test_the_benchmarks_forecast_knows_the_plan_of_its_weeks_and_nothing_later() -> None:
    panel, plan = shop_panel()
    made = boosting(plan)(panel, 3)
    last = made["ds"].max()
    assert made.filter(pl.col("lo95") > pl.col("lo80")).is_empty()
    assert made.filter((pl.col("lo80") > pl.col("mean")) | (pl.col("mean") > pl.col("hi80"))).is_empty()
    known = made.join(plan, on=["unique_id", "ds"]).group_by("mailer").agg(pl.col("mean").mean()).sort("mailer")
    assert known["mean"].to_list() == pytest.approx([10, 30], rel=0.25)
    turned = plan.with_columns(mailer=pl.when(pl.col("ds") > last).then(1 - pl.col("mailer")).otherwise("mailer"))
    assert_frame_equal(boosting(turned)(panel, 3), made)


def test_a_moving_mean_is_banded_by_its_own_errors() -> None:
    panel, _ = shop_panel()
    made = moving_mean(4)(panel, 2)
    recent = panel.rows.group_by("unique_id", maintain_order=True).tail(4).group_by("unique_id").agg(pl.col("y").mean())
    joined = made.join(recent, on="unique_id")
    assert joined["mean"].to_list() == pytest.approx(joined["y"].to_list())
    assert (made["lo95"] <= made["lo80"]).all()
    assert (made["hi80"] < made["hi95"]).all()
