"""Calendar regression and boosting, both with a plan: what days are worth, and what is planned for them."""

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
