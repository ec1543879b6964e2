"""Calendar regression and boosting, both with a plan: what days are worth, and what is planned for them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mercurios.errors import ModelError
from mercurios.forecasting import Grain, Panel, split_series
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.direct import DirectLightGBM
from mercurios.forecasting.planned import PlannedCalendar
from mercurios.forecasting.series import NO_HOLIDAYS, Rules

FIRST = date(2024, 1, 1)
WEEK = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.6, 0.4])
HOLIDAYS = pl.DataFrame(
    {
        "ds": [date(2024, 5, 1), date(2024, 10, 3), date(2024, 12, 25), date(2024, 12, 26), date(2025, 5, 1)],
        "name": [
            "Tag der Arbeit",
            "Tag der Deutschen Einheit",
            "Weihnachten",
            "Zweiter Weihnachtstag",
            "Tag der Arbeit",
        ],
    }
)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=day) for day in range(count)]


def panel(
    values: dict[str, list[float]], grain: Grain = Grain.DAY, *, holidays: pl.DataFrame = NO_HOLIDAYS, closed: int = 8
) -> Panel:
    """One value per series and day from the first of January on; no sale on the ISO weekday `closed`."""
    rows = [
        {"key": key, "sold_on": day, "revenue": value}
        for key, series in values.items()
        for day, value in zip(days(len(series)), series, strict=True)
        if day.isoweekday() != closed
    ]
    rules = Rules(grain, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
    until = FIRST + timedelta(days=max(map(len, values.values())) - 1)
    return split_series(pl.DataFrame(rows), rules, until=until, holidays=holidays).modelled


def weekly_pattern(level: float, count: int) -> list[float]:
    return [float(level * WEEK[day % 7]) for day in range(count)]


class TestCalendarRegression:
    def test_learns_what_a_weekday_is_worth(self) -> None:
        known = panel({"a": weekly_pattern(100, 280), "b": weekly_pattern(7, 280)})
        forecast = CalendarRegression().forecast(known, 14)
        assert forecast.filter(unique_id="a")["mean"].to_list() == pytest.approx(
            [*(100 * WEEK), *(100 * WEEK)], rel=0.03
        )
        assert forecast.filter(unique_id="b")["mean"].to_list() == pytest.approx([*(7 * WEEK), *(7 * WEEK)], rel=0.03)

    def test_a_run_before_one_feast_tells_of_the_run_before_another(self) -> None:
        easter = date(2024, 3, 31)
        before = {easter - timedelta(days=back) for back in (1, 2, 3)}
        sold = [150.0 if day in before else 100.0 for day in days(345)]
        forecast = CalendarRegression(holiday_penalty=0.01).forecast(panel({"a": sold}), 21)
        run = pl.col("ds").is_between(date(2024, 12, 21), date(2024, 12, 23))
        assert (
            forecast.filter(run)["mean"].mean()
            > 1.3 * forecast.filter(pl.col("ds") < date(2024, 12, 20))["mean"].mean()
        )

    def test_follows_a_new_level_within_weeks(self) -> None:
        sold = [*weekly_pattern(100, 252), *weekly_pattern(200, 28)]
        fast, slow = (CalendarRegression(half_life=h).forecast(panel({"a": sold}), 7)["mean"].sum() for h in (5, 60))
        assert fast == pytest.approx(200 * WEEK.sum(), rel=0.05)
        assert slow < 0.8 * fast

    def test_weeks_are_sums_of_days(self) -> None:
        random = np.random.default_rng(3)
        sold = [float(v) for v in 50 * WEEK[np.arange(280) % 7] * random.gamma(4, 0.25, 280)]
        by_week, by_day = (panel({"a": sold}, grain, holidays=HOLIDAYS) for grain in (Grain.WEEK, Grain.DAY))
        weeks = CalendarRegression().forecast(by_week, 2)["mean"].to_list()
        daily = CalendarRegression().forecast(by_day, 14)["mean"].to_list()
        assert weeks == pytest.approx([sum(daily[:7]), sum(daily[7:])])

    def test_weeks_without_their_days_say_so(self) -> None:
        weeks = panel({"a": weekly_pattern(1, 70)}, Grain.WEEK)
        bare = Panel(weeks.rows, weeks.calendar, weeks.grain)
        with pytest.raises(ModelError, match="without their days"):
            CalendarRegression().forecast(bare, 1)

    @given(st.floats(1e-3, 1e6))
    @settings(max_examples=10, deadline=None)
    def test_does_not_depend_on_the_currency(self, rate: float) -> None:
        random = np.random.default_rng(5)
        sold = [float(v) for v in random.gamma(2, 10, 100)]
        known = panel({"a": sold})
        changed = Panel(known.rows.with_columns(pl.col("y") * rate), known.calendar, known.grain)
        one, other = (CalendarRegression().forecast(each, 7)["mean"] for each in (known, changed))
        assert other.to_list() == pytest.approx((one * rate).to_list())

    @pytest.mark.parametrize("sold", [[0.0] * 60, [4.0, 0.0, 8.0], [5.0], [-3.0, *[10.0] * 40]])
    def test_short_empty_and_returned_series_get_a_number(self, sold: list[float]) -> None:
        both = panel({"odd": sold, "plain": weekly_pattern(10, max(len(sold), 60))})
        forecast = CalendarRegression().forecast(both, 30)
        assert forecast.height == 60
        assert forecast["mean"].is_finite().all()
        if not any(sold):
            assert forecast.filter(unique_id="odd")["mean"].unique().to_list() == [0.0]


class TestOpenDays:
    def opened(self, known: Panel, *ds: date) -> list[bool]:
        return known.opens(pl.Series(list(ds))).to_list()

    def test_a_holiday_is_closed_if_its_namesakes_were(self) -> None:
        sold = [100.0] * 350
        known = panel({"a": sold}, holidays=HOLIDAYS)
        closed_in_may = known.calendar.with_columns(is_open=pl.col("ds") != date(2024, 5, 1))
        shut = Panel(known.rows, closed_in_may, known.grain, known.closed_weekdays, HOLIDAYS)
        assert self.opened(shut, date(2025, 5, 1), date(2025, 5, 2)) == [False, True]
        assert self.opened(known, date(2025, 5, 1)) == [True], "it was open on that day before"

    def test_christmas_is_closed_until_it_was_open_once_and_the_day_after_is_as_most_holidays_are(self) -> None:
        known = panel({"a": [100.0] * 340}, holidays=HOLIDAYS)
        assert self.opened(known, date(2024, 12, 24), date(2024, 12, 25), date(2024, 12, 26)) == [True, False, True]
        shut = known.calendar.with_columns(is_open=~pl.col("ds").is_in([date(2024, 5, 1), date(2024, 10, 3)]))
        german = Panel(known.rows, shut, known.grain, (), HOLIDAYS)
        assert self.opened(german, date(2024, 12, 26)) == [False]

    def test_without_a_calendar_only_weekdays_are_closed(self) -> None:
        known = panel({"a": [100.0] * 100}, closed=7)
        assert self.opened(known, date(2024, 12, 22), date(2024, 12, 23), date(2024, 12, 25)) == [False, True, True]


def planned(seed: int = 1) -> Panel:
    """Forty products, weekly; a mailer doubles what is sold, for some in the weeks to come."""
    random = np.random.default_rng(seed)
    weeks, keys = 44, [f"{n:02}" for n in range(40)]
    mailer = random.random((40, weeks)) < 0.25
    sold = random.poisson(20 * np.where(mailer, 2.0, 1.0)).astype(float)
    values = {key: [v / 7 for v in row[:40] for _ in range(7)] for key, row in zip(keys, sold, strict=True)}
    plan = pl.DataFrame(
        [
            {"unique_id": key, "ds": FIRST + timedelta(weeks=week), "mailer": int(row[week])}
            for key, row in zip(keys, mailer, strict=True)
            for week in range(weeks)
        ]
    )
    made = panel(values, Grain.WEEK)
    return Panel(made.rows, made.calendar, made.grain, days=made.days, plan=plan)


class TestPlannedCalendar:
    def test_what_is_planned_is_forecast_from_what_was_planned_of_late(self) -> None:
        known = planned()
        assert known.plan is not None
        told, blind = (one.forecast(known, 4) for one in (PlannedCalendar(), CalendarRegression()))
        both = told.join(blind, on=["unique_id", "ds"], suffix="_blind").join(known.plan, on=["unique_id", "ds"])
        means = dict(both.group_by("mailer").agg(pl.col("mean").mean()).iter_rows())
        assert 1.6 < means[1] / means[0] < 2.4
        right = 20 * (1 + both["mailer"])
        errors = [float((both[name] - right).abs().mean()) for name in ("mean", "mean_blind")]  # type: ignore[arg-type]
        assert errors[0] < 0.6 * errors[1]

    def test_without_a_plan_or_one_that_never_moved_it_is_the_calendar(self) -> None:
        known = planned()
        assert known.plan is not None
        blind = CalendarRegression().forecast(known, 4)
        for plan in (None, known.plan.with_columns(mailer=pl.lit(0))):
            still = replace(known, plan=plan)
            assert_frame_equal(PlannedCalendar().forecast(still, 4), blind, check_exact=True)
        assert_frame_equal(
            PlannedCalendar().forecast(known.before(30), 4), CalendarRegression().forecast(known.before(30), 4)
        )

    def test_no_sale_after_the_cutoff_is_seen(self) -> None:
        known = planned()
        assert known.days is not None
        after = pl.col("ds") > known.before(4).cutoff
        rows, days = (
            each.with_columns(y=pl.when(after).then(9.0).otherwise("y")) for each in (known.rows, known.days.rows)
        )
        other = replace(known, rows=rows, days=replace(known.days, rows=days))
        one, two = (PlannedCalendar().forecast(each.before(4), 4) for each in (known, other))
        assert_frame_equal(one, two, check_exact=True)


ALWAYS = date(1900, 1, 1)
BREAK = (np.arange(500) // 10) % 5 == 0


def shop(seed: int, gain: float, grain: Grain = Grain.DAY) -> Panel:
    """Six series of 500 days that sell so much more in school breaks, ten days of fifty."""
    random = np.random.default_rng(seed)
    weekday, lifted = WEEK[np.arange(500) % 7], 1 + gain * BREAK
    sold = {str(key): 10 * key * weekday * lifted * random.normal(1, 0.15, 500) for key in range(2, 8)}
    return panel({key: [float(value) for value in values] for key, values in sold.items()}, grain)


def factor(values: Mapping[date, float], known_on: Callable[[date], date] = lambda day: ALWAYS) -> pl.DataFrame:
    """A factor by day, known on the day that `known_on` says."""
    rows = [(day, "factor", float(value), known_on(day)) for day, value in values.items()]
    schema = {"ds": pl.Date, "name": pl.String, "value": pl.Float64, "known_on": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def breaks(shift: int = 0) -> dict[date, float]:
    return {day: float(BREAK[place - shift]) for place, day in enumerate(days(500))}


def error(known: Panel, method: CalendarRegression) -> float:
    """WAPE of the last four windows of four weeks."""
    step = 28 // known.grain.days
    made = pl.concat([method.forecast(known.before(step * back), step) for back in range(4, 0, -1)])
    both = made.join(known.rows, on=["unique_id", "ds"])
    return float((both["mean"] - both["y"]).abs().sum() / both["y"].sum())


class TestFactors:
    @pytest.mark.parametrize("method", [CalendarRegression(), PlannedCalendar()], ids=lambda method: method.name)
    @pytest.mark.parametrize("grain", Grain)
    def test_school_breaks_are_found_where_they_matter_and_nowhere_else(
        self, method: CalendarRegression, grain: Grain
    ) -> None:
        north, south = shop(1, 0.3, grain), shop(2, 0.0, grain)
        told = [error(each.knowing(factor(breaks())), method) for each in (north, south)]
        blind = [error(each, method) for each in (north, south)]
        assert told[0] < 0.85 * blind[0]
        assert abs(told[1] - blind[1]) < 0.02 * blind[1]
        ahead = method.forecast(north.knowing(factor(breaks())).before(28 // grain.days), 28 // grain.days)
        plain = method.forecast(north.before(28 // grain.days), 28 // grain.days)
        assert not ahead.equals(plain)

    @given(st.integers(0, 60), st.sampled_from(Grain), st.integers(0, 9))
    @settings(max_examples=12, deadline=None)
    def test_nothing_that_became_known_after_the_cutoff_moves_a_forecast(
        self, ahead: int, grain: Grain, seed: int
    ) -> None:
        """Weather: forecast so many days ahead as a mean, measured the day after."""
        random = np.random.default_rng(seed)
        measured = dict(zip(days(500), random.normal(10, 5, 500).tolist(), strict=True))
        told = pl.concat(
            [
                factor(dict.fromkeys(measured, 10.0), lambda day: day - timedelta(days=ahead)),
                factor(measured, lambda day: day + timedelta(days=1)),
            ]
        )
        known, back = shop(3, 0.0, grain), 28 // grain.days
        known = replace(known, plan=known.rows.select("unique_id", "ds", mailer=pl.col("y").hash() % 2))
        late = pl.col("known_on") > known.before(back).cutoff
        other = told.with_columns(value=pl.when(late).then(-3 * pl.col("value") - 500).otherwise("value"))
        assert not other.equals(told)
        for method in (CalendarRegression(), PlannedCalendar()):
            one, two, cut = (
                method.forecast(known.knowing(each).before(back), back) for each in (told, other, told.filter(~late))
            )
            assert_frame_equal(one, two, check_exact=True)
            assert_frame_equal(one, cut, check_exact=True)

    def test_what_is_known_at_the_cutoff_does_move_it_and_the_newest_counts(self) -> None:
        known = shop(1, 0.3)
        cutoff = known.before(28).cutoff
        wrong = factor({day: 1 - value for day, value in breaks().items()})
        right = factor(breaks(), lambda day: min(day, cutoff))
        made = [
            CalendarRegression().forecast(known.knowing(each).before(28), 28)
            for each in (factor(breaks()), pl.concat([right, wrong]), wrong)
        ]
        assert_frame_equal(made[0], made[1], check_exact=True)
        both = made[0].join(CalendarRegression().forecast(known.before(28), 28), on=["unique_id", "ds"])
        assert (both["mean"] != both["mean_right"]).all()
        late = factor(breaks(), lambda day: cutoff + timedelta(days=1))
        unknown = CalendarRegression().forecast(known.knowing(pl.concat([wrong, late])).before(28), 28)
        assert_frame_equal(made[2], unknown, check_exact=True)

    def test_days_that_nobody_tells_of_are_usual(self) -> None:
        known = shop(1, 0.3)
        past = {day: value for day, value in breaks().items() if day <= known.cutoff}
        usual = dict.fromkeys((known.cutoff + timedelta(days=more) for more in range(1, 8)), float(BREAK.mean()))
        one, other = (
            CalendarRegression().forecast(known.knowing(factor(each)), 7)["mean"] for each in (past, past | usual)
        )
        assert one.to_list() == pytest.approx(other.to_list())

    @pytest.mark.parametrize(
        "told",
        [None, {}, dict.fromkeys(days(500), 0.1), dict(list(breaks().items())[-27:])],
        ids=["nobody told", "nothing", "never moved", "27 days"],
    )
    def test_without_factors_that_moved_nothing_changes(self, told: dict[date, float] | None) -> None:
        known, factors = shop(4, 0.3), None if told is None else factor(told)
        for method in (CalendarRegression(), PlannedCalendar()):
            same = method.forecast(known.knowing(factors), 14)
            assert_frame_equal(same, method.forecast(known, 14), check_exact=True)


class TestDirectLightGBM:
    boosting = DirectLightGBM(n_estimators=60, min_child_samples=20)

    def test_what_is_planned_is_forecast(self) -> None:
        known = planned()
        assert known.plan is not None
        told = self.boosting.forecast(known, 4).join(known.plan, on=["unique_id", "ds"])
        means = dict(told.group_by("mailer").agg(pl.col("mean").mean()).iter_rows())
        assert means[1] > 1.6 * means[0]

    def test_no_plan_beyond_the_horizon_and_no_sale_after_the_cutoff_is_seen(self) -> None:
        known = planned()
        assert known.plan is not None
        late = pl.col("ds") > known.before(4).last_period + timedelta(weeks=2)
        plan = known.plan.with_columns(mailer=pl.when(late).then(1 - pl.col("mailer")).otherwise("mailer"))
        rows = known.rows.with_columns(y=pl.when(pl.col("ds") > known.before(4).last_period).then(999.0).otherwise("y"))
        other = Panel(rows, known.calendar, known.grain, plan=plan)
        one, two = (self.boosting.forecast(each.before(4), 2) for each in (known, other))
        assert_frame_equal(one, two, check_exact=True)
        changed = Panel(known.rows, known.calendar, known.grain, plan=plan)
        assert not one.equals(
            self.boosting.forecast(changed.before(4), 3).filter(pl.col("ds").is_in(one["ds"].implode()))
        )

    @pytest.mark.parametrize("weeks", [1, 2, 5])
    def test_the_shortest_history_gets_a_number(self, weeks: int) -> None:
        short = panel({"a": [1.0] * 7 * weeks, "b": [0.0] * 7 * weeks}, Grain.WEEK)
        forecast = self.boosting.forecast(short, 4)
        assert forecast.height == 8
        assert (forecast["mean"] >= 0).all()
        assert forecast["mean"].is_finite().all()
