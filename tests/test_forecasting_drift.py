"""Drift: what is stable is left in peace, shifts are found within a fortnight, inputs are watched."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from mercurios.errors import ModelError
from mercurios.forecasting import Grain, Panel
from mercurios.forecasting.drift import DAYS, Alarm, DriftRules, Monitor, due, learn, watch, watch_inputs

MONDAY = date(2025, 1, 6)
WINDOW, FOLDS, SERIES = 28, 8, 12
NOISE = 10.0


def windows(*, folds: int = FOLDS, series: int = SERIES, grain: Grain = Grain.DAY, seed: int = 1) -> pl.DataFrame:
    """Forecasts of 100 a period, normal errors, honest 80 % intervals; one row per series and period."""
    random = np.random.default_rng(seed)
    periods = folds * WINDOW // grain.days
    told = {
        "unique_id": np.repeat([f"branch {number:02}" for number in range(series)], periods),
        "ds": [MONDAY + timedelta(days=grain.days * period) for period in range(periods)] * series,
        "fold": np.tile(np.repeat(range(folds), WINDOW // grain.days), series),
        "y": 100.0 + random.normal(0, NOISE, series * periods),
    }
    bounds = {"lo80": 100 - 1.2816 * NOISE, "hi80": 100 + 1.2816 * NOISE}
    return pl.DataFrame(told).with_columns(
        mean=pl.lit(100.0), demand_class=pl.lit("smooth"), **{name: pl.lit(value) for name, value in bounds.items()}
    )


def kept(rows: pl.DataFrame) -> pl.DataFrame:
    """The same as forecasts that were kept: each window made on the day before it."""
    return rows.with_columns(cutoff=pl.col("ds").min().over("fold") - pl.duration(days=1)).drop("demand_class", "fold")


def monitor(**told: int) -> Monitor:
    return learn(windows(**told), level="branch", grain=Grain.DAY)


def fortnight(seed: int = 2) -> pl.DataFrame:
    """A window of which a fortnight is over."""
    return kept(windows(folds=1, seed=seed)).filter(pl.col("ds") < MONDAY + timedelta(days=DAYS))


def times(factor: float, *keys: str) -> pl.Expr:
    """Sales of some series, or of all, at another level."""
    moved = pl.col("unique_id").is_in(keys) if keys else pl.lit(value=True)
    return pl.when(moved).then(pl.col("y") * factor).otherwise("y").alias("y")


def test_what_stays_as_it_was_gives_an_alarm_in_a_thousand_series_months() -> None:
    usual, looks = monitor(), 180  # of twelve series, half a month each
    assert sum(len(watch(usual, fortnight(seed))) for seed in range(100, 100 + looks)) <= 1


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_a_series_whose_level_shifts_is_named_and_the_others_are_not(factor: float) -> None:
    alarms = watch(monitor(), fortnight().with_columns(times(factor, "branch 03")))
    assert [(alarm.kind, alarm.unique_id) for alarm in alarms] == [("residuals", "branch 03")]
    assert np.sign(alarms[0].score) == np.sign(factor - 1)
    assert abs(alarms[0].score) > alarms[0].limit
    assert alarms[0].until == MONDAY + timedelta(days=DAYS - 1)
    assert "branch 03: sold 1," in alarms[0].told


def test_what_all_series_have_in_common_is_one_alarm_of_the_level() -> None:
    alarms = watch(monitor(), fortnight().with_columns(times(0.8)))
    residuals = [alarm for alarm in alarms if alarm.kind == "residuals"]
    assert [alarm.unique_id for alarm in residuals] == [None]
    assert residuals[0].told.startswith("branch as a whole: sold 13,")


def test_intervals_that_became_too_narrow_are_told_though_the_middle_holds() -> None:
    wider = pl.col("mean") + 3 * (pl.col("y") - pl.col("mean"))
    alarms = watch(monitor(), fortnight().with_columns(y=wider))
    assert "coverage" in {alarm.kind for alarm in alarms if alarm.unique_id is None}
    assert all("80 % intervals" in alarm.told for alarm in alarms if alarm.kind == "coverage")


def test_one_odd_day_is_no_shift() -> None:
    odd = (pl.col("unique_id") == "branch 03") & (pl.col("ds") == MONDAY)
    assert watch(monitor(), fortnight().with_columns(y=pl.when(odd).then(2_000.0).otherwise("y"))) == ()


def test_nothing_is_said_before_a_whole_fortnight_of_forecasts_is_over() -> None:
    shifted = fortnight().with_columns(times(0.3))
    assert watch(monitor(), shifted.filter(pl.col("ds") < MONDAY + timedelta(days=DAYS - 1))) == ()
    assert watch(monitor(), shifted) != ()
    assert watch(monitor(), shifted.clear()) == ()


def test_forecasts_made_within_the_fortnight_do_not_count() -> None:
    shifted = fortnight().with_columns(times(0.5))
    later = shifted.with_columns(cutoff=pl.col("ds") - pl.duration(days=1), mean=pl.col("y"))
    again = pl.concat([shifted, later.filter(pl.col("ds") > MONDAY)])
    assert watch(monitor(), again) == watch(monitor(), shifted)


def test_a_level_of_one_series_is_watched_as_that_series() -> None:
    alarms = watch(monitor(series=1), kept(windows(folds=1, series=1, seed=5)).with_columns(times(0.6)))
    assert {(alarm.kind, alarm.unique_id) for alarm in alarms} >= {("residuals", "branch 00")}


def test_weekly_levels_are_watched_by_fortnights_too() -> None:
    usual = learn(windows(grain=Grain.WEEK), level="category", grain=Grain.WEEK)
    calm = kept(windows(folds=1, grain=Grain.WEEK, seed=7)).filter(pl.col("ds") < MONDAY + timedelta(days=DAYS))
    assert watch(usual, calm) == ()
    alarms = watch(usual, calm.with_columns(times(0.4, "branch 01")))
    assert [alarm.unique_id for alarm in alarms] == ["branch 01"]
    assert alarms[0].until == MONDAY + timedelta(days=DAYS - 1)


def test_series_the_backtest_did_not_hold_and_series_without_noise_are_left_out() -> None:
    known = windows().with_columns(y=pl.when(pl.col("unique_id") == "branch 00").then("mean").otherwise("y"))
    usual = learn(known, level="branch", grain=Grain.DAY)
    assert usual.series["unique_id"].to_list() == [f"branch {number:02}" for number in range(1, SERIES)]
    stranger = fortnight().filter(pl.col("unique_id") == "branch 01").with_columns(unique_id=pl.lit("new"))
    assert watch(usual, stranger.with_columns(times(9.0))) == ()


def test_a_smaller_budget_needs_a_larger_shift() -> None:
    limits = [
        learn(windows(), level="branch", grain=Grain.DAY, rules=DriftRules(false_alarms=budget)).limit
        for budget in (0.01, 0.001, 0.0001)
    ]
    assert limits == sorted(limits)
    assert len(set(limits)) == len(limits)


def test_a_method_is_chosen_anew_when_the_level_or_much_of_its_sales_drifts() -> None:
    rows, usual = fortnight(), monitor()
    assert due((), rows) == ""
    one = watch(usual, rows.with_columns(times(0.5, "branch 03")))
    assert "1 series with 8% of the sales" in due(one, rows)
    assert due(one, rows, DriftRules(sales=0.2)) == ""
    whole = watch(usual, rows.with_columns(times(0.7)))
    assert due(whole, rows, DriftRules(sales=1.0)).startswith("branch as a whole")


@pytest.mark.parametrize("missing", ["fold", "hi80", "demand_class", "y"])
def test_windows_without_a_column_are_refused_by_its_name(missing: str) -> None:
    with pytest.raises(ModelError, match=f"missing {missing}"):
        learn(windows().drop(missing), level="branch", grain=Grain.DAY)


def test_kept_forecasts_without_cutoff_are_refused() -> None:
    with pytest.raises(ModelError, match="missing cutoff"):
        watch(monitor(), fortnight().drop("cutoff"))


def test_one_window_is_too_few_to_learn_from() -> None:
    with pytest.raises(ModelError, match="two windows"):
        learn(windows(folds=1), level="branch", grain=Grain.DAY)
    unbound = windows(folds=2).with_columns(hi80=pl.when(pl.col("fold") == 1).then("hi80"))
    with pytest.raises(ModelError, match="got 1"):
        learn(unbound, level="branch", grain=Grain.DAY)


def panel(*, days: int = 336, seed: int = 3) -> Panel:
    """Twenty series, each sold on nine days of ten."""
    random = np.random.default_rng(seed)
    ds = [MONDAY + timedelta(days=day) for day in range(days)]
    rows = pl.concat(
        [
            pl.DataFrame({"ds": ds, "y": np.where(random.random(days) < 0.9, 10.0, 0.0)}).select(
                pl.lit(f"article {number:02}").alias("unique_id"), "ds", "y", is_open=pl.lit(value=True)
            )
            for number in range(20)
        ]
    )
    return Panel(rows, pl.DataFrame({"ds": ds}).with_columns(is_open=pl.lit(value=True)), Grain.DAY)


def inputs(changed: Panel) -> tuple[Alarm, ...]:
    return watch_inputs(changed, fitted_on=changed.last_period - timedelta(days=DAYS), level="article")


def recent(changed: Panel) -> pl.Expr:
    return pl.col("ds") > changed.last_period - timedelta(days=DAYS)


def test_inputs_as_they_were_give_no_alarm() -> None:
    for seed in range(20):
        assert inputs(panel(seed=seed)) == ()


def test_days_without_a_sale_are_told() -> None:
    calm = panel()
    rows = calm.rows.with_columns(y=pl.when(recent(calm) & (pl.int_range(pl.len()) % 2 == 0)).then(0.0).otherwise("y"))
    alarms = inputs(Panel(rows, calm.calendar, calm.grain))
    assert [alarm.kind for alarm in alarms] == ["inputs"]
    assert "without a sale" in alarms[0].told


def test_series_sold_for_the_first_time_are_told() -> None:
    calm = panel()
    usual = calm.rows.filter(~pl.col("unique_id").is_in(["article 00"]) | (pl.col("ds") >= date(2025, 8, 1)))
    new = calm.rows.filter(recent(calm)).with_columns(unique_id=pl.concat_str(pl.lit("new "), "unique_id"))
    rows = pl.concat([usual, new]).sort("unique_id", "ds")
    alarms = inputs(Panel(rows, calm.calendar, calm.grain))
    assert ["for the first time 20 in the last" in alarm.told for alarm in alarms] == [True]


def test_inputs_are_silent_until_a_fortnight_has_passed_and_without_history() -> None:
    calm = panel()
    assert watch_inputs(calm, fitted_on=calm.last_period - timedelta(days=DAYS - 1), level="article") == ()
    assert inputs(panel(days=60)) == ()
