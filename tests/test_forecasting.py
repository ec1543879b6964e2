"""Forecasting: series, candidates, backtest, intervals, and what is kept of a champion."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mercurios.config import ROOT
from mercurios.errors import ConfigError, ModelError, SeriesTooShort
from mercurios.forecasting import (
    FittedLevel,
    ForecastSpec,
    Grain,
    Panel,
    Windows,
    backtest,
    fit_part,
    score_windows,
    split_series,
)
from mercurios.forecasting.boosting import LightGBM
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.candidates import (
    ADIDA,
    AutoETS,
    AutoTheta,
    Candidate,
    RecentMean,
    SeasonalNaive,
    build,
    describe,
)
from mercurios.forecasting.cold import ColdStart
from mercurios.forecasting.direct import DirectLightGBM
from mercurios.forecasting.ensembles import MedianEnsemble, WeightedEnsemble
from mercurios.forecasting.fitted import _load_pyfunc
from mercurios.forecasting.intervals import Bands, Quantiles, calibrate, spreads
from mercurios.forecasting.neural import MLP, NHITS
from mercurios.forecasting.scores import bias, coverage, rmsse, scaled_quantile_loss, wape
from mercurios.forecasting.series import Rules

MONDAY = date(2024, 1, 1)
DAILY = Rules(Grain.DAY, min_periods_sold=60, active_periods=14, tail_periods=28)


def sales(values: dict[str, list[float | None]], *, first: date = MONDAY) -> pl.DataFrame:
    """One row per key and day; None is a day without a row."""
    rows = [
        {"key": key, "sold_on": first + timedelta(days=day), "revenue": revenue}
        for key, series in values.items()
        for day, revenue in enumerate(series)
        if revenue is not None
    ]
    return pl.DataFrame(rows, schema={"key": pl.String, "sold_on": pl.Date, "revenue": pl.Float64})


def last_day(days: int) -> date:
    return MONDAY + timedelta(days=days - 1)


def noisy_panel(series: int = 4, days: int = 140, seed: int = 7) -> Panel:
    """Weekly pattern, a level of its own per series, noise."""
    random = np.random.default_rng(seed)
    week = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.8, 0.6])
    values = {
        str(n): [float(v) for v in 100 * (n + 1) * week[np.arange(days) % 7] * random.normal(1, 0.1, days)]
        for n in range(series)
    }
    return split_series(sales(values), DAILY, until=last_day(days)).modelled


class TestSeries:
    def test_a_branch_without_a_sale_sold_zero_and_a_day_without_any_sale_was_closed(self) -> None:
        days = 70
        busy: list[float | None] = [10.0 + day % 7 for day in range(days)]
        quiet: list[float | None] = [5.0] * days
        busy[40] = quiet[40] = None  # everybody is closed
        quiet[41] = None  # only this one sold nothing
        rows = split_series(sales({"busy": busy, "quiet": quiet}), DAILY, until=last_day(days)).modelled.rows
        closed = rows.filter(pl.col("ds") == MONDAY + timedelta(days=40)).sort("unique_id")
        assert closed["is_open"].to_list() == [False, False]
        assert closed["y"].to_list() == [10.0 + 40 % 7, 5.0], "filled with the same weekday, a week before"
        nothing = rows.filter(pl.col("unique_id") == "quiet", pl.col("ds") == MONDAY + timedelta(days=41))
        assert nothing.select("y", "is_open").row(0) == (0.0, True)

    def test_a_weekday_that_never_opens_stays_closed_and_is_forecast_as_zero(self) -> None:
        days = 84
        german = [None if day % 7 == 6 else 100.0 for day in range(days)]
        panel = split_series(sales({"1": german}), DAILY, until=last_day(days)).modelled
        assert panel.closed_weekdays == (7,)
        assert panel.rows.filter(pl.col("ds").dt.weekday() == 7)["y"].unique().to_list() == [0.0]
        trial = backtest(panel, {"RecentMean": RecentMean(periods=28)}, Windows(7, 2))
        assert trial.score("RecentMean").wape == 0.0, "closed days are no errors"
        forecast = FittedLevel(
            (fit_part(panel, trial, "RecentMean", fallback=Bands(Quantiles(-1, 1, -2, 2, 1))),)
        ).forecast(7)
        assert panel.cutoff == last_day(83), "a Saturday"
        assert forecast["mean"].to_list() == [0.0, *[100.0] * 6]
        assert forecast["hi95"].to_list()[0] == 0.0

    @pytest.mark.parametrize(
        ("first", "days", "until", "weeks"),
        [
            (MONDAY, 21, last_day(21), ["2024-01-01", "2024-01-08", "2024-01-15"]),
            (MONDAY - timedelta(days=1), 22, last_day(21), ["2024-01-01", "2024-01-08", "2024-01-15"]),
            (MONDAY, 20, last_day(20), ["2024-01-01", "2024-01-08"]),
            (MONDAY, 20, last_day(21), ["2024-01-01", "2024-01-08", "2024-01-15"]),
            (MONDAY, 20, last_day(400), ["2024-01-01", "2024-01-08"]),
        ],
        ids=["whole weeks", "a Sunday before", "Sunday is not over", "closed on Sunday", "the source fell silent"],
    )
    def test_only_complete_weeks_count(self, first: date, days: int, until: date, weeks: list[str]) -> None:
        rules = Rules(Grain.WEEK, min_periods_sold=2, active_periods=2, tail_periods=2)
        panel = split_series(sales({"a": [7.0] * days}, first=first), rules, until=until).modelled
        assert [str(week) for week in panel.calendar["ds"]] == weeks
        assert panel.cutoff == date.fromisoformat(weeks[-1]) + timedelta(days=6)
        assert panel.rows["y"].to_list()[0] == 49.0

    def test_what_lies_after_until_is_not_seen(self) -> None:
        panel = split_series(sales({"a": [1.0] * 90}), DAILY, until=last_day(80)).modelled
        assert panel.cutoff == last_day(80)

    def test_series_are_modelled_tail_or_dormant(self) -> None:
        days = 100
        values: dict[str, list[float | None]] = {
            "long": [1.0] * days,
            "new": [None] * 80 + [1.0] * 20,
            "paused": [1.0] * 80 + [None] * 20,
            "gone": [1.0] * 70 + [None] * 30,
        }
        split = split_series(sales(values), DAILY, until=last_day(days))
        assert split.modelled.keys == ("long",)
        assert split.tail.keys == ("new", "paused")
        assert split.dormant == ("gone",)
        assert split.share_modelled() == pytest.approx(100 / (100 + 20 + 80))

    def test_no_series_long_enough_is_an_error_that_says_how_long_they_are(self) -> None:
        with pytest.raises(SeriesTooShort, match="at least 60 days of sales, the longest has 20"):
            split_series(sales({"a": [1.0] * 20}), DAILY, until=last_day(20))
        with pytest.raises(SeriesTooShort, match="got none"):
            split_series(sales({}), DAILY, until=last_day(20))

    def test_a_series_too_short_for_the_backtest_is_named(self) -> None:
        panel = noisy_panel(series=2, days=70)
        with pytest.raises(SeriesTooShort, match=r"series '0': expected at least 84 periods, got 70 \(2 series"):
            backtest(panel, {"RecentMean": RecentMean(periods=7)}, Windows(28, 2))


CANDIDATES: list[Candidate] = [
    SeasonalNaive(season_length=7),
    RecentMean(periods=28),
    AutoETS(season_length=7, model="ANA"),
    AutoTheta(season_length=7),
    LightGBM(season_length=7, lags=(7, 14), rolling_means=(7,), seasonal_means=(4,), weekday=True, n_estimators=20),
    NHITS(input_size=14, max_steps=5),
    MLP(input_size=14, max_steps=5),
    ADIDA(),
    ColdStart(periods=28, members=(RecentMean(periods=28),)),
    CalendarRegression(),
    DirectLightGBM(n_estimators=20, rows=2_000),
    MedianEnsemble(members=(SeasonalNaive(season_length=7), RecentMean(periods=28))),
    WeightedEnsemble(members=(SeasonalNaive(season_length=7), RecentMean(periods=28)), folds=2),
]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
class TestEveryCandidate:
    def test_forecasts_every_series_and_period_and_nothing_else(self, candidate: Candidate) -> None:
        panel = noisy_panel()
        forecast = candidate.forecast(panel, 9).sort("unique_id", "ds")
        assert forecast.columns == ["unique_id", "ds", "mean"]
        assert forecast["unique_id"].to_list() == [key for key in panel.keys for _ in range(9)]
        assert forecast["ds"].to_list() == [panel.cutoff + timedelta(days=d) for _ in panel.keys for d in range(1, 10)]
        assert forecast["mean"].is_finite().all()

    def test_the_same_panel_gives_the_same_forecast(self, candidate: Candidate) -> None:
        one, two = (candidate.forecast(noisy_panel(), 7).sort("unique_id", "ds") for _ in range(2))
        assert_frame_equal(one, two, check_exact=True)

    def test_what_lies_after_the_cutoff_changes_nothing(self, candidate: Candidate) -> None:
        panel = noisy_panel()
        changed = pl.when(pl.col("ds") > panel.before(14).cutoff).then(pl.col("y") * 50).otherwise(pl.col("y"))
        tampered = Panel(panel.rows.with_columns(y=changed), panel.calendar, panel.grain)
        trials = [score_windows(p, {"it": candidate}, Windows(7, 3)).scored for p in (panel, tampered)]
        old = [t.filter(pl.col("fold") < 2).drop("y") for t in trials]
        assert_frame_equal(*old, check_exact=True)
        assert not trials[0].equals(trials[1])

    def test_is_plain_data_and_back(self, candidate: Candidate) -> None:
        assert build(**describe(candidate)) == candidate


class TestKnownAnswers:
    def test_seasonal_naive_repeats_the_last_season(self) -> None:
        panel = split_series(sales({"a": [float(day) for day in range(70)]}), DAILY, until=last_day(70)).modelled
        forecast = SeasonalNaive(season_length=7).forecast(panel, 10).sort("ds")
        assert forecast["mean"].to_list() == [63.0, 64.0, 65.0, 66.0, 67.0, 68.0, 69.0, 63.0, 64.0, 65.0]

    def test_recent_mean_counts_the_time_before_the_first_sale_as_zero(self) -> None:
        values: dict[str, list[float | None]] = {"old": [4.0] * 70, "new": [None] * 63 + [4.0] * 7}
        split = split_series(sales(values), DAILY, until=last_day(70))
        assert RecentMean(periods=28).forecast(split.modelled, 1)["mean"].to_list() == [4.0]
        assert RecentMean(periods=28).forecast(split.tail, 1)["mean"].to_list() == [1.0]

    @pytest.mark.parametrize("candidate", [AutoETS(season_length=7), AutoTheta(season_length=7)], ids=lambda c: c.name)
    def test_a_constant_stays_constant(self, candidate: Candidate) -> None:
        panel = split_series(sales({"a": [42.0] * 70}), DAILY, until=last_day(70)).modelled
        assert candidate.forecast(panel, 7)["mean"].to_list() == pytest.approx([42.0] * 7)

    def test_lightgbm_learns_a_weekly_pattern(self) -> None:
        panel = noisy_panel(series=6, days=210)
        boosted = LightGBM(season_length=7, lags=(7, 14), seasonal_means=(4,), weekday=True, learning_rate=0.1)
        trial = backtest(panel, {"naive": SeasonalNaive(season_length=7), "it": boosted}, Windows(14, 3))
        assert trial.best().name == "it"
        assert trial.score("it").wape < 0.9 * trial.score("naive").wape


def frames(*values: float) -> list[list[pl.DataFrame]]:
    """One window of one series and period, by member."""
    return [[pl.DataFrame({"unique_id": ["a"], "ds": [MONDAY], "mean": [value]})] for value in values]


class TestEnsembles:
    def test_the_median_of_the_members(self) -> None:
        [combined] = MedianEnsemble(members=()).combine(frames(1.0, 50.0, 3.0), [noisy_panel(series=1)])
        assert combined["mean"].to_list() == [3.0]
        with pytest.raises(ModelError, match="at least one member"):
            MedianEnsemble(members=()).combine([], [])

    def test_who_erred_least_of_late_weighs_most_in_each_class_of_demand(self) -> None:
        weekly, rare = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0] * 20, ([0.0] * 4 + [70.0, 0.0, 0.0]) * 20
        panel = split_series(
            sales({"busy": weekly, "rare": rare}), replace(DAILY, min_periods_sold=1), until=last_day(140)
        )
        members = (SeasonalNaive(season_length=7), RecentMean(periods=7))
        exact = WeightedEnsemble(members=members, folds=2).forecast(panel.modelled, 7).sort("unique_id", "ds")
        assert exact["mean"].to_list() == pytest.approx([*weekly[:7], *rare[:7]], abs=1e-6), (
            "the naive one was never wrong"
        )
        alike = WeightedEnsemble(members=members, folds=2, power=0).forecast(panel.modelled, 7).sort("unique_id", "ds")
        assert alike["mean"].to_list()[:7] == pytest.approx([25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0])

    def test_weights_by_hand(self) -> None:
        # The last two days sold 4 and 4; one member said 5 and 3 (wrong by 1), the other 2 and 2 (wrong by 2).
        panel = split_series(sales({"a": [4.0] * 100}), DAILY, until=last_day(100)).modelled
        days = [last_day(99), last_day(100), last_day(101)]
        made = [
            [
                pl.DataFrame({"unique_id": ["a"], "ds": [day], "mean": [said]})
                for day, said in zip(days, one, strict=True)
            ]
            for one in ((5.0, 3.0, 10.0), (2.0, 2.0, 20.0))
        ]
        panels = [panel.before(2), panel.before(1), panel]
        [combined] = WeightedEnsemble(members=(), folds=2, power=2).combine(made, panels)
        assert combined["mean"].to_list() == pytest.approx([(10 * 4 + 20 * 1) / 5])

    def test_in_a_backtest_members_serve_everybody_and_the_ensemble_is_what_it_would_be_alone(self) -> None:
        panel = noisy_panel()
        members = (SeasonalNaive(season_length=7), RecentMean(periods=28))
        ensemble = WeightedEnsemble(members=members, folds=2)
        trial = backtest(panel, {"it": ensemble, "naive": members[0]}, Windows(7, 3))
        alone = pl.concat(ensemble.roll([panel.before(7 * back) for back in (3, 2, 1)], 7)).sort("unique_id", "ds")
        assert_frame_equal(trial.scored_by("it").select("unique_id", "ds", "mean"), alone, check_exact=True)
        assert trial.scored_by("naive").height == trial.scored_by("it").height == 4 * 21

    def test_an_ensemble_needs_history_for_the_windows_it_looks_back_to(self) -> None:
        ensemble = WeightedEnsemble(members=(RecentMean(periods=7),), folds=2)
        with pytest.raises(SeriesTooShort, match="expected at least 140 periods, got 112"):
            backtest(noisy_panel(days=112), {"it": ensemble}, Windows(28, 2))


MONEY = st.integers(0, 10**8).map(lambda cents: cents / 100)
PAIRS = st.lists(st.tuples(MONEY, MONEY), min_size=1, max_size=30)


class TestScores:
    def test_by_hand(self) -> None:
        y, mean = pl.Series([100.0, 50.0, 0.0]), pl.Series([90.0, 60.0, 5.0])
        assert wape(y, mean) == pytest.approx(25 / 150)
        assert bias(y, mean) == pytest.approx(5 / 150)
        assert coverage(y, pl.Series([90.0, 51.0, 0.0]), pl.Series([100.0, 60.0, 1.0])) == pytest.approx(2 / 3)

    def test_nothing_sold_is_no_number(self) -> None:
        nothing = pl.Series([0.0, 0.0])
        assert np.isnan(wape(nothing, pl.Series([1.0, 2.0])))
        assert np.isnan(coverage(pl.Series([], dtype=pl.Float64), *[pl.Series([], dtype=pl.Float64)] * 2))

    def test_scaled_errors_are_those_of_utilsforecast(self) -> None:
        from utilsforecast.losses import rmsse as their_rmsse
        from utilsforecast.losses import scaled_mqloss

        panel = noisy_panel()
        trial = backtest(panel, {"RecentMean": RecentMean(periods=28)}, Windows(14, 2, calibration=1))
        cutoff = pl.lit(panel.cutoff) - pl.duration(days=14 * (2 - pl.col("fold")))
        rows = trial.scored.filter(pl.col("fold") >= 0).with_columns(cutoff=cutoff.cast(pl.Date))
        known = {"seasonality": 7, "train_df": panel.rows.select("unique_id", "ds", "y")}
        squared = their_rmsse(rows.select("unique_id", "ds", "y", "cutoff", "mean"), ["mean"], **known)
        bounds = ["lo95", "lo80", "hi80", "hi95"]
        quantiles = np.array([0.025, 0.1, 0.9, 0.975])
        banded = rows.select("unique_id", "ds", "y", "cutoff", *bounds)
        pinball = scaled_mqloss(banded, {"it": bounds}, quantiles, **known)
        score = trial.score("RecentMean")
        assert score.rmsse == pytest.approx(squared["mean"].mean())
        assert score.scaled_quantile_loss == pytest.approx(pinball["it"].mean())

    def test_series_that_never_differed_scale_nothing(self) -> None:
        rows = pl.DataFrame({"unique_id": ["a"], "fold": [0], "y": [1.0], "mean": [2.0], "naive_mse": [0.0]})
        assert np.isnan(rmsse(rows))
        bounds = dict.fromkeys(("lo80", "hi80", "lo95", "hi95"), 1.0)
        assert np.isnan(scaled_quantile_loss(rows.with_columns(naive_mae=pl.lit(0.0), **bounds)))

    @given(PAIRS, st.floats(0.01, 100))
    def test_wape_does_not_depend_on_the_currency(self, pairs: list[tuple[float, float]], rate: float) -> None:
        y, mean = pl.Series([p[0] for p in pairs]), pl.Series([p[1] for p in pairs])
        before, after = wape(y, mean), wape(y * rate, mean * rate)
        assert after == pytest.approx(before, rel=1e-6, nan_ok=True)

    @given(PAIRS)
    def test_bias_is_never_larger_than_wape(self, pairs: list[tuple[float, float]]) -> None:
        y, mean = pl.Series([p[0] for p in pairs]), pl.Series([p[1] for p in pairs])
        assert np.isnan(wape(y, mean)) or abs(bias(y, mean)) <= wape(y, mean) * (1 + 1e-9)

    @given(st.lists(MONEY, min_size=1, max_size=30).filter(any))
    def test_perfect_is_zero_and_nothing_is_one(self, values: list[float]) -> None:
        y = pl.Series(values)
        assert wape(y, y) == 0.0
        assert wape(y, y * 0) == pytest.approx(1.0)


class TestIntervals:
    @given(
        st.lists(st.floats(-5, 5), min_size=4, max_size=4),
        st.floats(-100, 1e5),
        st.floats(0, 1e4),
        st.sampled_from([0.0, -50.0]),
    )
    def test_bounds_are_in_order_and_not_below_the_floor(
        self, quantiles: list[float], mean: float, spread: float, floor: float
    ) -> None:
        low95, low80, high80, high95 = sorted(quantiles)
        bands = Bands(Quantiles(lo80=low80, hi80=high80, lo95=low95, hi95=high95, errors=1))
        forecast = pl.DataFrame({"unique_id": ["a"], "mean": [mean], "near_holiday": [False]})
        told = pl.DataFrame({"unique_id": ["a"], "spread": [spread], "floor": [floor], "demand_class": ["smooth"]})
        row = bands.around(forecast, told).row(0, named=True)
        assert floor <= row["lo95"] <= row["lo80"] <= row["mean"] <= row["hi80"] <= row["hi95"]

    def test_intervals_cover_what_they_say(self) -> None:
        panel = noisy_panel(series=12, days=220)
        score = backtest(panel, {"it": RecentMean(periods=28)}, Windows(14, 6)).score("it")
        assert score.coverage80 == pytest.approx(0.80, abs=0.06)
        assert score.coverage95 == pytest.approx(0.95, abs=0.04)

    def test_the_floor_is_zero_unless_returns_were_more_than_sales(self) -> None:
        values: dict[str, list[float | None]] = {"a": [5.0] * 70, "b": [5.0] * 69 + [-3.0]}
        panel = split_series(sales(values), DAILY, until=last_day(70)).modelled
        assert spreads(panel).sort("unique_id")["floor"].to_list() == [0.0, -3.0]

    def test_a_series_that_changed_its_level_does_not_blow_up_its_intervals(self) -> None:
        random = np.random.default_rng(4)
        values: list[float | None] = [float(v) for v in np.r_[random.normal(100, 1, 98), random.normal(900, 1, 14)]]
        panel = split_series(sales({"a": values}), DAILY, until=last_day(112)).modelled
        trial = backtest(panel, {"it": RecentMean(periods=28)}, Windows(14, 3))
        forecast = fit_part(panel, trial, "it").forecast(14)
        assert forecast["hi95"].max() < 2000  # type: ignore[operator]

    def test_what_never_moved_has_an_interval_without_width_and_no_coverage(self) -> None:
        panel = split_series(sales({"a": [5.0] * 70}), DAILY, until=last_day(70)).modelled
        trial = backtest(panel, {"RecentMean": RecentMean(periods=7)}, Windows(7, 2))
        assert calibrate(trial.scored, spreads(panel)) is None
        assert np.isnan(trial.score("RecentMean").coverage80)
        row = fit_part(panel, trial, "RecentMean").forecast(1).row(0, named=True)
        assert {row[name] for name in ("mean", "lo80", "hi80", "lo95", "hi95")} == {5.0}


class TestBacktest:
    def test_windows_follow_each_other_and_end_with_the_data(self) -> None:
        panel = noisy_panel(series=1, days=70)
        scored = backtest(panel, {"it": RecentMean(periods=7)}, Windows(7, 3)).scored
        spans = scored.group_by("fold").agg(first=pl.col("ds").min(), last=pl.col("ds").max()).sort("fold")
        assert spans["first"].to_list() == [panel.cutoff - timedelta(days=d) for d in (20, 13, 6)]
        assert spans["last"].to_list() == [panel.cutoff - timedelta(days=d) for d in (14, 7, 0)]

    def test_wape_by_hand(self) -> None:
        values: list[float | None] = [10.0] * 63 + [20.0] * 7
        panel = split_series(sales({"a": values}), DAILY, until=last_day(70)).modelled
        score = backtest(panel, {"it": SeasonalNaive(season_length=7)}, Windows(7, 2)).score("it")
        assert score.fold_wapes == (0.0, 0.5)
        assert score.wape == pytest.approx(70 / 210)
        assert score.bias == pytest.approx(-70 / 210)

    def test_the_best_is_the_one_with_the_lowest_wape_and_of_equals_the_first(self) -> None:
        twins = {"first": RecentMean(periods=28), "second": RecentMean(periods=28), "poor": RecentMean(periods=1)}
        assert backtest(noisy_panel(), twins, Windows(7, 2)).best().name == "first"

    def test_a_name_that_did_not_take_part_is_an_error(self) -> None:
        trial = backtest(noisy_panel(series=1), {"it": RecentMean(periods=7)}, Windows(7, 2))
        with pytest.raises(ModelError, match="'other' was not in the backtest; it held it"):
            trial.score("other")


class TestFitted:
    def level(self) -> FittedLevel:
        random = np.random.default_rng(1)
        long = [float(v) for v in random.uniform(50, 100, 100)]
        values: dict[str, list[float | None]] = {"long": [*long], "new": [*[None] * 70, *long[:30]]}
        split = split_series(sales(values), DAILY, until=last_day(100))
        model = {"AutoETS": AutoETS(season_length=7, model="ANZ")}
        modelled = fit_part(split.modelled, backtest(split.modelled, model, Windows(7, 2)), "AutoETS")
        tail = score_windows(split.tail, {"RecentMean": RecentMean(periods=28)}, Windows(7, 2))
        return FittedLevel((modelled, fit_part(split.tail, tail, "RecentMean", fallback=modelled.bands)))

    def test_forecasts_all_parts_in_order_and_in_cents(self) -> None:
        forecast = self.level().forecast(7)
        assert forecast["candidate"].to_list() == ["AutoETS"] * 7 + ["RecentMean"] * 7
        ordered = forecast.select(
            pl.col("lo95") <= pl.col("lo80"),
            pl.col("lo80") <= pl.col("mean"),
            pl.col("mean") <= pl.col("hi80"),
            pl.col("hi80") <= pl.col("hi95"),
        )
        assert ordered.to_numpy().all()
        assert forecast["mean"].to_list() == forecast["mean"].round(2).to_list()

    def test_read_back_it_forecasts_the_same(self, tmp_path: Path) -> None:
        level = self.level()
        level.save(tmp_path)
        assert_frame_equal(FittedLevel.load(tmp_path).forecast(9), level.forecast(9), check_exact=True)

    def test_served_it_takes_a_horizon(self, tmp_path: Path) -> None:
        self.level().save(tmp_path)
        served = _load_pyfunc(str(tmp_path))
        assert len(served.predict(pl.DataFrame({"horizon": [3]}).to_pandas())) == 6
        with pytest.raises(ModelError, match="column `horizon`"):
            served.predict(pl.DataFrame({"days": [3]}).to_pandas())
        for horizon in (0, 10_000):
            with pytest.raises(ModelError, match=f"horizon {horizon}: expected 1 to 366 periods"):
                served.predict(pl.DataFrame({"horizon": [horizon]}).to_pandas())
            with pytest.raises(ModelError, match="expected 1 to 366 periods"):
                Windows(horizon, 3)

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no level\.json"):
            FittedLevel.load(tmp_path)


class TestSpec:
    def test_the_shipped_one_holds_all_levels_and_all_kinds_of_candidates(self) -> None:
        spec = ForecastSpec.parse((ROOT / "models" / "forecast.yaml").read_text())
        assert list(spec.levels) == ["category", "total", "department", "branch", "branch_department", "product_type"]
        for level in ("category", "branch"):
            methods = set(spec.levels[level].candidates)
            assert {"SeasonalNaive", "AutoETS", "AutoTheta", "LightGBM", "NHITS"} <= methods

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ("horizon: 0", "horizon"),
            ("horizon: 60", "min_periods_sold is 100, expected at least"),
            ("baseline: Prophet", "baseline and tail must be among the candidates"),
            ("candidates: {Prophet: {}}", "unknown forecast method 'Prophet'"),
            ("candidates: {Neural: {input_size: 7, max_steps: 9}}", "unknown forecast method 'Neural'; known: ADIDA, "),
            ("candidates: {SeasonalNaive: {season: 7}}", "SeasonalNaive"),
            ("candidates: {MedianEnsemble: {of: [AutoETS]}}", "does not list above it"),
            ("colour: blue", "colour"),
        ],
    )
    def test_what_is_wrong_is_named(self, change: str, complaint: str) -> None:
        lines = {
            "grain": "grain: day",
            "horizon": "horizon: 7",
            "folds": "folds: 3",
            "min_periods_sold": "min_periods_sold: 100",
            "active_periods": "active_periods: 7",
            "tail_periods": "tail_periods: 7",
            "baseline": "baseline: SeasonalNaive",
            "tail": "tail: SeasonalNaive",
            "candidates": "candidates: {SeasonalNaive: {season_length: 7}}",
        }
        lines[change.partition(":")[0]] = change
        text = "levels:\n  branch:\n" + "\n".join(f"    {line}" for line in lines.values())
        with pytest.raises(ConfigError, match=complaint):
            ForecastSpec.parse(text)

    def test_no_yaml_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="the forecast specification is wrong"):
            ForecastSpec.parse("levels: [")
