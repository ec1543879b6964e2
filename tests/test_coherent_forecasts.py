"""Served daily forecasts add up: whole, with keys that come and go, and after a level was rolled back."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mercurios import wiring
from mercurios.config import Settings
from mercurios.forecasting import ForecastSpec
from mercurios.jobs.retrain import RetrainReport, retrain
from mercurios.jobs.retrain.coherent import BOTTOM, TREE, Base, add_up
from mercurios.jobs.retrain.desk import NEWEST_WINDOWS, PUBLISHED, table_of
from mercurios.jobs.rollback import roll_back
from mercurios.lake import Lake
from mercurios.registry import Registry
from mercurios.serving import Session, open_session
from mercurios.summary import left_out_lines
from tests.test_retrain import AS_OF, DAYS, FIRST, SPECS, daily, lines, session
from tests.test_rollback import forecasts, mart

LAST = FIRST + timedelta(days=DAYS - 1)
DAILY = """
    {grain: day, horizon: 7, folds: 2, calibration: 2, min_periods_sold: 60, active_periods: 14, tail_periods: 28,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates: {SeasonalNaive: {season_length: 7}, RecentMean: {periods: 28}, CalendarRegression: {half_life: 28}}}
"""
WEEKLY = """
    {grain: week, horizon: 2, folds: 2, calibration: 2, min_periods_sold: 8, active_periods: 4, tail_periods: 8,
     baseline: RecentMean, tail: RecentMean, candidates: {RecentMean: {periods: 4}}}
"""
LEVELS = "levels:\n" + "".join(f"  {level}: {DAILY.strip()}\n" for level in TREE)
TOGETHER = replace(SPECS, forecast=ForecastSpec.parse(LEVELS))
WITH_WEEKS = replace(SPECS, forecast=ForecastSpec.parse(f"{LEVELS}  category: {WEEKLY.strip()}\n"))
BOUNDS = ("lo95", "lo80", "mean", "hi80", "hi95")
KEY = ["level", "key", "ds"]


def sales(seed: int, scale: float) -> pl.DataFrame:
    """Branch 9 opened three weeks ago; Sundays are closed; a department with a slash, and one that ended in spring."""
    known = daily(seed, scale).filter(pl.col("sold_on").dt.weekday() < 7)
    named = known.with_columns(department=pl.col("category").replace({"Brot": "Brot/Backwaren"}))
    ended = named.filter(pl.col("sold_on") < FIRST + timedelta(days=60), branch=1).with_columns(
        department=pl.lit("Ski")
    )
    return pl.concat([named, ended])


def shop(tenant: str, name: str = "") -> Session:
    return session(name or tenant, sales(*{"north": (1, 1.0), "south": (2, 7.0)}[tenant]), lines(1, 1000))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry.open(f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db")


@pytest.fixture(scope="module")
def reports(registry: Registry) -> Mapping[str, RetrainReport]:
    return {name: retrain(shop(name), registry, as_of=AS_OF, specs=TOGETHER) for name in ("north", "south")}


def bases(registry: Registry, tenant: str, levels: Sequence[str] = TREE) -> dict[str, Base]:
    """What the champions forecast alone."""
    versions = {level: registry.champion(f"{tenant}.forecast.{level}") for level in levels}
    return {
        level: Base(table_of(registry, version, PUBLISHED), table_of(registry, version, NEWEST_WINDOWS))
        for level, version in versions.items()
    }


def incoherence(forecasts: pl.DataFrame) -> float:
    """The largest difference between a forecast and the sum of what lies below it."""
    place = pl.col("key").str.splitn("/", 2)
    bottom = forecasts.filter(level=BOTTOM).with_columns(
        branch=place.struct.field("field_0"), department=place.struct.field("field_1"), total=pl.lit("total")
    )
    worst = 0.0
    for level in ("total", "department", "branch"):
        sums = bottom.group_by("ds", key=level).agg(pl.col("mean").sum().alias("sum"))
        both = forecasts.filter(level=level).join(sums, on=["ds", "key"], how="full")
        worst = max(worst, float((both["mean"] - both["sum"]).abs().fill_null(float("inf")).to_numpy().max()))
    return worst


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_what_is_served_adds_up_and_what_is_judged_does_not(
    reports: Mapping[str, RetrainReport], registry: Registry, tenant: str
) -> None:
    report = reports[tenant]
    assert report.alone == ""
    served = pl.DataFrame(report.tables["forecasts"])
    assert set(served["level"]) == set(TREE)
    assert set(served.filter(level=BOTTOM)["key"]) == {
        f"{branch}/{department}" for branch in (1, 2, 9) for department in ("Brot/Backwaren", "Jeans")
    }
    assert incoherence(served) < 1e-6
    alone = pl.concat([base.rows for base in bases(registry, tenant).values()])
    assert incoherence(alone) > 1.0
    assert served.select(pl.col("mean").min()).item() >= 0
    for lower, upper in pairwise(BOUNDS):
        assert served.filter(pl.col(lower) > pl.col(upper)).is_empty()


def test_closed_days_stay_closed(reports: Mapping[str, RetrainReport]) -> None:
    served = pl.DataFrame(reports["north"].tables["forecasts"])
    sundays = served.filter(pl.col("ds").dt.weekday() == 7)
    assert not sundays.is_empty()
    assert sundays.select(pl.sum_horizontal(pl.col(BOUNDS).abs().sum())).item() == 0


def test_what_is_kept_of_the_champions_is_what_is_served(reports: Mapping[str, RetrainReport]) -> None:
    report = reports["south"]
    kept = pl.DataFrame(report.kept).filter(role="champion")
    served = pl.DataFrame(report.tables["forecasts"])
    assert_frame_equal(kept.sort(KEY).select(*KEY, *BOUNDS), served.sort(KEY).select(*KEY, *BOUNDS))


def test_numbers_of_merchants_do_not_mix(reports: Mapping[str, RetrainReport]) -> None:
    north, south = (pl.DataFrame(reports[name].tables["forecasts"]) for name in ("north", "south"))
    ratio = south.filter(level="total")["mean"].sum() / north.filter(level="total")["mean"].sum()
    assert 6 < ratio < 8


def test_without_a_level_the_others_are_served_alone_and_it_is_said(registry: Registry) -> None:
    known = bases(registry, "north")
    served = add_up({level: base for level, base in known.items() if level != "department"})
    assert served.why_not == "there is no forecast by department"
    for level, rows in served.rows.items():
        assert_frame_equal(rows, known[level].rows)


def test_a_level_with_too_little_history_is_told_by_name_and_the_others_are_served_alone(registry: Registry) -> None:
    levels = dict(TOGETHER.forecast.levels)
    levels["department"] = levels["department"].model_copy(update={"min_periods_sold": DAYS + 1})
    levels[BOTTOM] = levels[BOTTOM].model_copy(update={"min_periods_sold": DAYS + 1})
    specs = replace(TOGETHER, forecast=TOGETHER.forecast.model_copy(update={"levels": levels}))
    report = retrain(shop("north", "east"), registry, as_of=AS_OF, specs=specs)
    assert set(report.skipped) == {"forecast.department", f"forecast.{BOTTOM}"}
    assert report.alone == f"there is no forecast by department, {BOTTOM}"
    assert f"east adding daily forecasts up: {report.alone}" in left_out_lines([report])
    served = pl.DataFrame(report.tables["forecasts"])
    alone = pl.concat([base.rows for base in bases(registry, "east", ("total", "branch")).values()])
    assert_frame_equal(served.sort(KEY).select(*KEY, *BOUNDS), alone.sort(KEY).select(*KEY, *BOUNDS))


def test_levels_of_other_days_are_served_alone(registry: Registry) -> None:
    known = bases(registry, "north")
    later = known["branch"].rows.with_columns(pl.col("ds") + timedelta(days=100))
    served = add_up({**known, "branch": replace(known["branch"], rows=later)})
    assert served.why_not == "no period is forecast by every level"
    assert_frame_equal(served.rows["branch"], later)


def test_only_days_that_every_level_forecasts_add_up(registry: Registry) -> None:
    known = bases(registry, "north")
    shorter = known["branch"].rows.filter(pl.col("ds") <= LAST + timedelta(days=4))
    served = add_up({**known, "branch": replace(known["branch"], rows=shorter)})
    assert served.why_not == ""
    rows = pl.concat(served.rows.values())
    assert incoherence(rows.filter(pl.col("ds") <= LAST + timedelta(days=4))) < 1e-6
    later = pl.col("ds") > LAST + timedelta(days=4)
    assert_frame_equal(served.rows["total"].filter(later), known["total"].rows.filter(later))


def test_keys_that_are_forecast_by_one_level_only_do_no_harm(registry: Registry) -> None:
    known = bases(registry, "north")
    stranger = known["branch"].rows.filter(key="1").with_columns(key=pl.lit("77"))
    without = known["department"].rows.filter(pl.col("key") != "Jeans")
    served = add_up(
        {
            **known,
            "branch": replace(known["branch"], rows=pl.concat([known["branch"].rows, stranger])),
            "department": replace(known["department"], rows=without),
        }
    )
    assert served.why_not == ""
    assert_frame_equal(served.rows["branch"].filter(key="77"), stranger)
    rest = {level: rows.filter(pl.col("key") != "77") for level, rows in served.rows.items() if level != "department"}
    total = rest["total"].group_by("ds").agg(pl.col("mean").sum()).sort("ds")
    branches = rest["branch"].group_by("ds").agg(pl.col("mean").sum()).sort("ds")
    assert (total["mean"] - branches["mean"]).abs().to_numpy().max() < 1e-6


def test_numbers_that_are_none_are_told_and_served_alone(registry: Registry) -> None:
    known = bases(registry, "north")
    broken = known["total"].rows.with_columns(mean=pl.lit(float("nan")))
    served = add_up({**known, "total": replace(known["total"], rows=broken)})
    assert "is no number" in served.why_not
    assert_frame_equal(served.rows["branch"], known["branch"].rows)


@pytest.fixture(scope="module")
def two_nights(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of both merchants after two nights; in the second all had sold a tenth more, nothing was due."""
    lake = wiring.open_lake(Settings(home=tmp_path_factory.mktemp("home")))
    who = pl.DataFrame({"name": ["x"], "currency": ["EUR"], "time_zone": ["Europe/Berlin"], "locale": ["de"]})
    day = pl.DataFrame({"day": [date(2025, 5, 1)], "holiday": ["Tag der Arbeit"]})
    for night in range(2):
        more = (pl.col("revenue") * (1 + 0.1 * night)).round(2).cast(pl.Decimal(18, 2))
        shops = {"north": sales(1, 1.0).with_columns(more), "south": sales(2, 7.0).with_columns(more)}
        tables = {
            "dim_dates": mart("dim_dates", dict.fromkeys(shops, day)),
            "dim_tenants": mart("dim_tenants", dict.fromkeys(shops, who)),
            "mart_sales_daily": mart("mart_sales_daily", shops),
            "fct_sale_lines": mart("fct_sale_lines", {name: lines(1, 1000).with_row_index("line") for name in shops}),
        }
        lake.publish(tables, as_of=AS_OF)
        for tenant in shops:
            opened = open_session(lake.reader(tenant, lake.require_current()))
            report = retrain(opened, registry, as_of=AS_OF, specs=WITH_WEEKS, due={} if night else None)
            lake.publish(report.tables, as_of=AS_OF, tenants=(tenant,), base=opened.release)
    return lake


def test_what_was_served_can_be_made_again_of_what_the_versions_keep(two_nights: Lake, registry: Registry) -> None:
    for tenant in ("north", "south"):
        again = pl.concat(add_up(bases(registry, tenant)).rows.values()).sort(KEY)
        served = forecasts(two_nights, tenant).filter(pl.col("level").is_in(TREE)).sort(KEY)
        assert_frame_equal(again.select(*KEY, *BOUNDS), served.select(*KEY, *BOUNDS))


def test_a_rollback_of_categories_leaves_the_days_alone(two_nights: Lake, registry: Registry) -> None:
    before = forecasts(two_nights, "north")
    done = roll_back("north.forecast.category", two_nights, registry, reason="too low")
    after = forecasts(two_nights, "north")
    assert set(after.filter(level="category")["model_version"]) == {str(done.champion.version)}
    days = pl.col("level") != "category"
    assert_frame_equal(before.filter(days).sort(KEY), after.filter(days).sort(KEY))


def test_after_a_rollback_the_forecasts_add_up_again(two_nights: Lake, registry: Registry) -> None:
    before = {name: forecasts(two_nights, name) for name in ("north", "south")}
    total = before["north"].filter(level="total")["mean"].sum()
    started = time.monotonic()
    done = roll_back("north.forecast.total", two_nights, registry, reason="too high")
    assert time.monotonic() - started < 60
    after = forecasts(two_nights, "north")
    assert incoherence(after) < 1e-6
    assert after.select("level", "key", "ds").equals(before["north"].select("level", "key", "ds"))
    assert 0.9 * total < after.filter(level="total")["mean"].sum() < 0.999 * total, "between both nights"
    assert set(after.filter(level="total")["model_version"]) == {str(done.champion.version)}
    others = pl.col("level") != "total"
    assert_frame_equal(*(rows.filter(others).select("key", "model_version") for rows in (after, before["north"])))
    assert_frame_equal(forecasts(two_nights, "south"), before["south"])
