"""Scenarios of promotions: what was planted is found again, category by category, within the interval."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from mercurios.errors import ModelError
from mercurios.forecasting import Grain, split_series
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.scenarios import Response, learn_response, past_forecasts
from mercurios.forecasting.series import Rules

MONDAY = date(2025, 1, 6)
MEAN, STRAY = np.array([2.0, 0.5]), np.array([0.5, 0.15])
DRIVERS = ["discount", "mailer"]
Truth = Mapping[str, np.ndarray]  # type: ignore[type-arg]


def planted(seed: int, windows: int = 10) -> tuple[pl.DataFrame, Truth]:
    """Sixty categories whose sales follow drivers, a good or bad week of all, a level that is off, and chance."""
    random = np.random.default_rng(seed)
    shocks, truth, rows = random.normal(0, 0.1, 4 * windows), {}, []
    for number in range(60):
        own, noise = random.normal(MEAN, STRAY), random.uniform(0.1, 0.4)
        truth[f"C{number:02}"] = own
        levels = np.repeat(random.normal(0, 0.15, windows), 4)
        for week in range(4 * windows):
            moved = random.uniform(0, [0.3, 0.6]) * (random.random(2) < 0.45)
            log = own @ moved + levels[week] + shocks[week] + random.normal(0, noise)
            ds = MONDAY + timedelta(days=7 * week)
            rows.append((f"C{number:02}", ds, week // 4, 100.0, 100.0 * float(np.exp(log)), *moved.tolist()))
    return pl.DataFrame(rows, schema=["unique_id", "ds", "window", "forecast", "y", *DRIVERS], orient="row"), truth


@pytest.fixture(scope="module")
def learnt() -> list[tuple[Response, Truth]]:
    return [(learn_response(history, DRIVERS), truth) for history, truth in map(planted, range(6))]


def test_the_mean_response_that_was_planted_is_found(learnt: list[tuple[Response, Truth]]) -> None:
    for response, _ in learnt:
        assert np.abs(response.mean - MEAN).max() < 0.25
        assert np.abs(response.mean - MEAN)[1] < 0.12
        assert (response.drivers, response.weeks) == (("discount", "mailer"), 2400)


def test_intervals_hold_the_response_of_each_category_as_often_as_they_say(
    learnt: list[tuple[Response, Truth]],
) -> None:
    held, far = [], []
    for response, truth in learnt:
        for key, own in truth.items():
            told = response.difference(key, 100.0, {"discount": 0.2, "mailer": 0.5})
            sold = 100 * np.expm1(own @ [0.2, 0.5])
            held.append(told.lo80 <= sold <= told.hi80)
            far.append(told.lo95 <= sold <= told.hi95)
    assert 0.76 < np.mean(held) < 0.97
    assert np.mean(far) > 0.93


def test_what_was_learnt_tells_weeks_to_come_better_than_the_forecast_alone() -> None:
    history, _ = planted(3, windows=14)
    response = learn_response(history.filter(pl.col("window") < 10), DRIVERS)
    rest = history.filter(pl.col("window") >= 10)
    told = [
        row["forecast"] + response.difference(row["unique_id"], row["forecast"], {k: row[k] for k in DRIVERS}).mean
        for row in rest.to_dicts()
    ]
    alone, helped = (float((rest["y"] - made).abs().sum()) for made in (rest["forecast"], pl.Series(told)))
    assert helped < 0.8 * alone


def test_a_category_nobody_knows_has_the_mean_response_and_the_widest_interval(
    learnt: list[tuple[Response, Truth]],
) -> None:
    response, truth = learnt[0]
    new = response.difference("NEW", 100.0, {"discount": 0.2})
    assert new.mean == pytest.approx(100 * np.expm1(response.mean[0] * 0.2))
    known = [response.difference(key, 100.0, {"discount": 0.2}) for key in truth]
    assert new.hi80 - new.lo80 > np.median([told.hi80 - told.lo80 for told in known])


def test_nothing_changed_is_no_difference_and_more_change_is_more(learnt: list[tuple[Response, Truth]]) -> None:
    response, _ = learnt[0]
    none = response.difference("C00", 100.0, {})
    assert (none.mean, none.lo95, none.hi95) == (0, 0, 0)
    less, more = (response.difference("C00", 100.0, {"discount": by}) for by in (-0.1, 0.1))
    assert less.mean < 0 < more.mean
    assert more.lo95 < more.lo80 < more.mean < more.hi80 < more.hi95


def test_what_never_moved_is_left_out_and_nothing_is_known_of_it() -> None:
    history, _ = planted(1)
    still = history.with_columns(display=pl.lit(0.2))
    response = learn_response(still, [*DRIVERS, "display"])
    assert response.drivers == ("discount", "mailer")
    with pytest.raises(ModelError, match="nothing is known of display; known are discount, mailer"):
        response.difference("C00", 100.0, {"display": 0.5})
    with pytest.raises(ModelError, match="expected one of display to have moved in 40 weeks"):
        learn_response(still, ["display"])


def test_past_forecasts_know_nothing_of_what_they_forecast() -> None:
    random = np.random.default_rng(2)
    days = [MONDAY + timedelta(days=day) for day in range(7 * 30)]
    sales = pl.DataFrame(
        [(key, day, float(random.uniform(50, 150))) for key in ("A", "B") for day in days],
        schema=["key", "sold_on", "revenue"],
        orient="row",
    )
    rules = Rules(Grain.WEEK, min_periods_sold=10, active_periods=4, tail_periods=8)
    late = pl.col("sold_on") > days[-29]
    other = sales.with_columns(revenue=pl.when(late).then(999.0).otherwise("revenue"))
    made = [
        past_forecasts(split_series(rows, rules, until=days[-1]).modelled, CalendarRegression(), horizon=4, windows=3)
        for rows in (sales, other)
    ]
    assert made[0].group_by("unique_id", "window").len()["len"].to_list() == [4] * 6
    assert made[0]["forecast"].to_list() == made[1]["forecast"].to_list()
    assert made[0]["ds"].max() == days[-7]
