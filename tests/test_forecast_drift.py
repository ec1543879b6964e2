"""Drift of served forecasts: what is due is told from what was kept, and retraining does just that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mercurios.forecasting import ForecastSpec
from mercurios.jobs.drift import DriftReport, drift
from mercurios.jobs.retrain import RetrainReport, Specs, retrain
from mercurios.jobs.retrain.choice import CHOSEN_ON
from mercurios.jobs.retrain.desk import SCORED_WINDOWS, table_of
from mercurios.lake import Release
from mercurios.lake.releases import ReleaseTable
from mercurios.registry import CHALLENGER, CHAMPION, Registry
from mercurios.serving import Session
from mercurios.tables import TABLES
from tests.test_retrain import AS_OF, DAYS, FIRST, SPECS, daily, lines, session

LAST = FIRST + timedelta(days=DAYS - 1)
FORTNIGHT = timedelta(days=14)
BRANCH = """
levels:
  branch:
    {grain: day, horizon: 14, folds: 2, calibration: 6, min_periods_sold: 60, active_periods: 14, tail_periods: 28,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates:
       {SeasonalNaive: {season_length: 7}, AutoETS: {season_length: 7, model: ANA}, RecentMean: {periods: 28}}}
"""
BY_BRANCH = replace(SPECS, forecast=ForecastSpec.parse(BRANCH))
FALL = 0.4
"""What is left of north's sales in the fortnight after the first retraining."""


@dataclass(frozen=True)
class Shops:
    """Two merchants on one registry: after a first retraining, and a fortnight later."""

    registry: Registry
    first: Mapping[str, RetrainReport]
    later: Mapping[str, Session]

    def drift(self, tenant: str, specs: Specs = BY_BRANCH) -> DriftReport:
        return drift(self.later[tenant], self.registry, as_of=AS_OF + FORTNIGHT, specs=specs)

    def retrain(self, tenant: str) -> RetrainReport:
        due = self.drift(tenant).due
        return retrain(self.later[tenant], self.registry, as_of=AS_OF + FORTNIGHT, specs=BY_BRANCH, due=due)


def sales(tenant: str) -> pl.DataFrame:
    """A fortnight more than is known at first; north has fallen in it."""
    known = daily(*{"north": (1, 1.0), "south": (2, 7.0)}[tenant]).filter(pl.col("branch") != 9)
    repeated = known.filter(pl.col("sold_on") > LAST - FORTNIGHT).with_columns(pl.col("sold_on") + FORTNIGHT)
    left = FALL if tenant == "north" else 1.0
    return pl.concat([known, repeated.with_columns(pl.col("revenue") * left)])


def accuracy(tenant: str, report: RetrainReport) -> pl.DataFrame:
    """What dbt makes of kept forecasts when the fortnight is over."""
    truth = sales(tenant).group_by(key=pl.col("branch").cast(pl.String), ds="sold_on").agg(y=pl.col("revenue").sum())
    kept = pl.DataFrame(report.kept).join(truth, on=["key", "ds"])
    scored = kept.with_columns(
        error=pl.col("mean") - pl.col("y"),
        absolute_error=(pl.col("mean") - pl.col("y")).abs(),
        horizon=pl.lit(1),
        scaled=pl.lit(1.0),
        within80=pl.lit(value=True),
        within95=pl.lit(value=True),
    )
    return scored.select(TABLES["mart_forecast_accuracy"].schema.names)


def with_truth(tenant: str, report: RetrainReport) -> Session:
    """The release a fortnight later."""
    release = Release(
        "r000009", 9, AS_OF + FORTNIGHT, AS_OF + FORTNIGHT, (ReleaseTable("mart_forecast_accuracy", 1, 1),)
    )
    opened = session(tenant, sales(tenant), lines(1, 1000), release)
    connection: duckdb.DuckDBPyConnection = opened._connection
    connection.register("incoming", accuracy(tenant, report).to_arrow())
    connection.execute("create table marts.mart_forecast_accuracy as from incoming")
    return opened


@pytest.fixture
def shops(tmp_path: Path) -> Shops:
    registry, first, later = Registry.open(f"sqlite:///{tmp_path}/mlflow.db"), {}, {}
    for tenant in ("north", "south"):
        known = session(tenant, sales(tenant).filter(pl.col("sold_on") <= LAST), lines(1, 1000))
        first[tenant] = retrain(known, registry, as_of=AS_OF, specs=BY_BRANCH)
        later[tenant] = with_truth(tenant, first[tenant])
    return Shops(registry, first, later)


def test_only_the_merchant_whose_sales_fell_is_due_and_is_told_why(shops: Shops) -> None:
    north, south = shops.drift("north"), shops.drift("south")
    assert set(north.due) == {"branch"}
    assert {alarm.unique_id for alarm in north.alarms if alarm.kind == "residuals"} >= {"1", "2"}
    assert north.due["branch"].startswith("branch")
    assert south.due == {}
    assert south.alarms == ()
    assert south.levels[0].unwatched == ""


def test_what_is_due_is_compared_and_the_rest_is_fitted_anew(shops: Shops) -> None:
    north, south = shops.retrain("north"), shops.retrain("south")
    assert "compared because" in north.forecast[0].reason
    assert "fitted anew; methods were compared on 2025-06-29" in south.forecast[0].reason
    assert south.forecast[0].model == shops.first["south"].forecast[0].model
    assert pl.DataFrame(south.tables["forecasts"])["cutoff"].unique().to_list() == [LAST + FORTNIGHT]
    chosen = {name: shops.registry.champion(f"{name}.forecast.branch").tags[CHOSEN_ON] for name in ("north", "south")}
    assert chosen == {"north": str(LAST + FORTNIGHT), "south": str(LAST)}


def test_what_was_compared_is_not_told_again_the_next_night(shops: Shops) -> None:
    shops.retrain("north")
    again = drift(shops.later["north"], shops.registry, as_of=AS_OF + FORTNIGHT, specs=BY_BRANCH)
    assert (again.due, again.alarms) == ({}, ())


def test_a_refitted_champion_keeps_the_windows_it_was_chosen_in_and_its_shadow(shops: Shops) -> None:
    name = "south.forecast.branch"
    before = {alias: shops.registry.find(name, alias) for alias in (CHAMPION, CHALLENGER)}
    shops.retrain("south")
    for alias, old in before.items():
        new = shops.registry.find(name, alias)
        assert (old is None) == (new is None)
        if old and new:
            assert new.version > old.version
            windows = [table_of(shops.registry, version, SCORED_WINDOWS) for version in (old, new)]
            assert_frame_equal(*windows)


def test_methods_are_compared_again_after_four_weeks_and_when_the_specification_changes(shops: Shops) -> None:
    late = drift(shops.later["south"], shops.registry, as_of=AS_OF + 2 * FORTNIGHT, specs=BY_BRANCH)
    assert late.due == {"branch": "methods were compared 28 days ago"}
    changed = replace(SPECS, forecast=ForecastSpec.parse(BRANCH.replace("periods: 28", "periods: 21")))
    assert "specification has changed" in shops.drift("south", changed).due["branch"]


def test_without_a_champion_everything_is_due(shops: Shops) -> None:
    other = Session("west", shops.later["south"].release, shops.later["south"]._connection)
    report = drift(other, shops.registry, as_of=AS_OF, specs=SPECS)
    assert set(report.due) == {"category", "branch"}
    assert set(report.due.values()) == {"there is no champion yet"}


def test_a_champion_that_no_longer_beats_the_baseline_is_compared(shops: Shops) -> None:
    first = shops.first["south"].forecast[0]
    assert first.model != first.baseline
    every_week_alike = sales("south").with_columns(revenue=100.0 * pl.col("sold_on").dt.weekday())
    opened = session("south", every_week_alike, lines(1, 1000))
    report = retrain(opened, shops.registry, as_of=AS_OF + FORTNIGHT, specs=BY_BRANCH, due={})
    assert report.forecast[0].model == first.baseline
    assert "compared because the champion no longer beats the baseline" in report.forecast[0].reason


def test_before_the_first_truth_nothing_is_alarming(shops: Shops) -> None:
    bare = session("south", sales("south").filter(pl.col("sold_on") <= LAST), lines(1, 1000))
    report = drift(bare, shops.registry, as_of=AS_OF, specs=BY_BRANCH)
    assert (report.due, report.alarms) == ({}, ())


def test_the_day_is_the_merchants(shops: Shops) -> None:
    moment: datetime = AS_OF + 2 * FORTNIGHT - timedelta(hours=8)  # 22:00 in Berlin, the 28th day is not over
    report = drift(shops.later["south"], shops.registry, as_of=moment, specs=BY_BRANCH)
    assert report.due == {}
