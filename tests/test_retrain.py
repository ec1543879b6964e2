"""Retrain: from a serving session to champions, scores and tables, for two tenants on one registry."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from mercurios.errors import ConfigError, ModelError
from mercurios.forecasting import ForecastSpec, Panel, backtest, score_windows
from mercurios.forecasting.gate import Check, Decision, GateRules
from mercurios.jobs.planned import category_plan
from mercurios.jobs.retrain import KEPT, PREDICTED, RetrainReport, Specs, retrain
from mercurios.jobs.retrain.desk import Desk
from mercurios.jobs.retrain.levels import SALES
from mercurios.jobs.retrain.promotion import INCUMBENT, Contest, find_incumbent, gated, judge, with_incumbent
from mercurios.jobs.retrain.trial import Trial, split_sales
from mercurios.lake import Release, ReleaseTable
from mercurios.recommendation import RecommenderSpec
from mercurios.registry import CHALLENGER, CHAMPION, Registry
from mercurios.serving import Session
from mercurios.tables import TABLES

FIRST = date(2025, 1, 6)
DAYS = 175
AS_OF = datetime(2025, 6, 30, 4, tzinfo=UTC)  # 06:00 in Berlin, the day after the last
RELEASE = Release("r000003", 3, AS_OF, AS_OF, ())

FORECAST = """
levels:
  category:
    {grain: week, horizon: 2, folds: 2, min_periods_sold: 10, active_periods: 4, tail_periods: 8,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates: {SeasonalNaive: {season_length: 4}, RecentMean: {periods: 8}, AutoETS: {season_length: 1, model: ANN}}}
  branch:
    {grain: day, horizon: 7, folds: 2, min_periods_sold: 60, active_periods: 14, tail_periods: 28,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates:
       {SeasonalNaive: {season_length: 7}, AutoETS: {season_length: 7, model: ANA}, RecentMean: {periods: 28}}}
"""
RECOMMENDER = """
k: 5
articles_per_customer: 6
baseline: GlobalTop
candidates:
  {GlobalTop: {}, PersonalGlobalTop: {},
   PersonalALS: {half_life_days: 60, weight: 1, als: {factors: 4, iterations: 3}}}
"""
SPECS = Specs(ForecastSpec.parse(FORECAST), RecommenderSpec.parse(RECOMMENDER))
WEEK = np.array([1.0, 0.7, 0.8, 0.9, 1.4, 2.0, 0.5])


def daily(seed: int, scale: float) -> pl.DataFrame:
    """mart_sales_daily of one tenant: three branches, two categories; branch 9 opened three weeks ago."""
    random = np.random.default_rng(seed)
    rows = []
    for branch, since in ((1, 0), (2, 0), (9, DAYS - 21)):
        for category in ("Brot", "Jeans"):
            for day in range(since, DAYS):
                revenue = scale * branch * WEEK[day % 7] * random.normal(100, 10)
                rows.append((FIRST + timedelta(days=day), branch, category, round(float(revenue), 2)))
    return pl.DataFrame(rows, schema=["sold_on", "branch", "category", "revenue"], orient="row")


def lines(seed: int, first_article: int) -> pl.DataFrame:
    """fct_sale_lines of one tenant: twelve customers with habits, anonymous receipts, fuel, returns."""
    random = np.random.default_rng(seed)
    rows = []
    for customer in range(13):
        habits = random.choice(12, 4, replace=False)
        for visit in range(8):
            at = datetime(2025, 2, 1, tzinfo=UTC) + timedelta(days=10 * visit, hours=customer)
            for article in random.choice(habits, 2, replace=False):
                rows.append((customer, f"{customer}-{visit}", first_article + int(article), at, True, False, 1.0))
            rows.append((customer, f"{customer}-{visit}", first_article + 90, at, False, False, 40.0))
        rows.append((customer, f"{customer}-r", first_article + 91, at + timedelta(days=1), True, True, -1.0))
    names = ["customer_number", "receipt_id", "article_number", "sold_at", "is_merchandise", "is_return", "quantity"]
    return pl.DataFrame(rows, schema=names, orient="row")


def session(
    tenant: str,
    sales: pl.DataFrame,
    receipts: pl.DataFrame,
    release: Release = RELEASE,
    more: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> Session:
    connection = duckdb.connect()
    connection.execute("create schema marts")
    who = pl.DataFrame({"currency": ["EUR"], "time_zone": ["Europe/Berlin"], "locale": ["de"]})
    dates = pl.DataFrame({"day": [date(2024, 5, 1), date(2024, 5, 2)], "holiday": ["Tag der Arbeit", None]})
    tables = {"mart_sales_daily": sales, "fct_sale_lines": receipts, "dim_tenants": who, "dim_dates": dates}
    told = [ReleaseTable(name, 1, rows.height, "") for name, rows in more.items()]
    release = replace(release, tables=(*release.tables, *told))
    for name, rows in {**tables, **more}.items():
        connection.register("incoming", rows.to_arrow())
        connection.execute(f"create table marts.{name} as from incoming")
        connection.unregister("incoming")
    return Session(tenant, release, connection)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlruns")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return Registry.open(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def sessions() -> Mapping[str, Session]:
    return {
        "north": session("north", daily(1, 1.0), lines(1, 1000)),
        "south": session("south", daily(2, 7.0), lines(2, 2000)),
    }


@pytest.fixture(scope="module")
def reports(registry: Registry, sessions: Mapping[str, Session]) -> Mapping[str, RetrainReport]:
    return {tenant: retrain(one, registry, as_of=AS_OF, specs=SPECS) for tenant, one in sessions.items()}


def frame(table: pa.Table) -> pl.DataFrame:
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    return rows


def test_the_tenants_holidays_are_at_hand(registry: Registry) -> None:
    desk = Desk.open(session("north", daily(1, 1.0), lines(1, 1000)), registry, AS_OF)
    assert desk.holidays.rows() == [(date(2024, 5, 1), "Tag der Arbeit")]


@pytest.mark.parametrize("tenant", ["north", "south"])
class TestOneTenant:
    def test_tables_are_what_the_release_holds(self, reports: Mapping[str, RetrainReport], tenant: str) -> None:
        for name, table in reports[tenant].tables.items():
            assert table.schema.equals(TABLES[name].schema)
            rows = frame(table)
            assert set(rows["tenant_id"]) == {tenant}
            assert rows.select(TABLES[name].key).is_unique().all()
            assert rows.null_count().sum_horizontal().item() == 0

    def test_every_key_is_forecast_to_the_horizon(self, reports: Mapping[str, RetrainReport], tenant: str) -> None:
        forecasts = frame(reports[tenant].tables["forecasts"])
        counts = forecasts.group_by("level", "key", "cutoff").agg(pl.len(), first=pl.col("ds").min())
        assert set(counts.rows()) == {
            *(("branch", key, date(2025, 6, 29), 7, date(2025, 6, 30)) for key in "129"),
            *(("category", key, date(2025, 6, 29), 2, date(2025, 6, 30)) for key in ("Brot", "Jeans")),
        }
        new = forecasts.filter(pl.col("key") == "9")
        assert set(new["model"]) == {"RecentMean"}, "the tail"

    def test_champions_beat_their_baselines(self, reports: Mapping[str, RetrainReport], tenant: str) -> None:
        report = reports[tenant]
        assert {score.level for score in report.forecast} == {"category", "branch"}
        for score in report.forecast:
            assert score.wape < score.baseline_wape
            assert score.baseline == "SeasonalNaive"
        assert report.recommender is not None
        assert report.recommender.ndcg > report.recommender.baseline_ndcg
        branch = next(score for score in report.forecast if score.level == "branch")
        assert (branch.model, branch.series, branch.tail, branch.dormant) == ("AutoETS", 2, 1, ())

    def test_the_registered_champion_forecasts_what_was_published(
        self, reports: Mapping[str, RetrainReport], registry: Registry, tenant: str
    ) -> None:
        forecasts = frame(reports[tenant].tables["forecasts"])
        for level, horizon in (("branch", 7), ("category", 2)):
            champion = registry.champion(f"{tenant}.forecast.{level}")
            told = registry.load(champion).predict(pl.DataFrame({"horizon": [horizon]}))
            published = forecasts.filter(pl.col("level") == level)
            assert set(published["model_version"]) == {str(champion.version)}
            columns = ["mean", "lo80", "hi80", "lo95", "hi95"]
            assert_frame_equal(told.select(columns), published.select(columns), check_exact=True)

    def test_the_registered_recommender_recommends_what_was_published(
        self, reports: Mapping[str, RetrainReport], registry: Registry, tenant: str
    ) -> None:
        published = frame(reports[tenant].tables["recommendations"]).filter(pl.col("customer_number") == 3)
        champion = registry.champion(f"{tenant}.recommender")
        told = registry.load(champion).predict(pl.DataFrame({"customer_number": [3], "limit": [6]}))
        columns = ["rank", "article_number", "score", "reason"]
        assert_frame_equal(told.select(columns), published.select(columns), check_exact=True)

    def test_only_merchandise_goes_to_known_customers_only(
        self, reports: Mapping[str, RetrainReport], tenant: str
    ) -> None:
        rows = frame(reports[tenant].tables["recommendations"])
        assert set(rows["customer_number"]) == set(range(1, 13)), "customer 0 is nobody"
        own = range(1000, 1012) if tenant == "north" else range(2000, 2012)
        assert set(rows["article_number"]) <= set(own), "no fuel, no returned article, nothing of the other tenant"
        assert rows.group_by("customer_number").len()["len"].to_list() == [6] * 12

    def test_runs_tell_release_and_every_candidates_score(
        self, reports: Mapping[str, RetrainReport], registry: Registry, tenant: str
    ) -> None:
        champion = registry.champion(f"{tenant}.forecast.branch")
        assert champion.tags["data_release"] == "r000003"
        assert champion.metrics["wape"] == pytest.approx(reports[tenant].forecast[1].wape)
        assert {"wape.SeasonalNaive", "wape.AutoETS", "wape.RecentMean", "coverage80"} <= set(champion.metrics)
        assert "beats the baseline SeasonalNaive" in champion.reason
        assert [version.name.partition(".")[2] for version in registry.champions(tenant)] == [
            "forecast.branch",
            "forecast.category",
            "recommender",
        ]

    def test_the_report_is_fit_for_a_table_and_a_picture(
        self, reports: Mapping[str, RetrainReport], tenant: str
    ) -> None:
        rows = reports[tenant].score_rows()
        assert [row["what"] for row in rows] == ["forecast category", "forecast branch", "recommender"]
        assert {row["tenant"] for row in rows} == {tenant}
        json.dumps(rows)
        assert reports[tenant].forecast_png.startswith(b"\x89PNG")


def test_running_again_gives_the_same_tables_and_keeps_the_champions_method(
    registry: Registry, sessions: Mapping[str, Session], reports: Mapping[str, RetrainReport]
) -> None:
    again = retrain(sessions["north"], registry, as_of=AS_OF, specs=SPECS)
    for name, table in again.tables.items():
        before, after = (frame(t).drop("model_version", strict=False) for t in (reports["north"].tables[name], table))
        assert_frame_equal(after, before, check_exact=True)
    champion = registry.champion("north.forecast.branch")
    assert champion.version == reports["north"].forecast[1].version + 1
    assert "it was champion before" in champion.reason


def test_the_day_that_is_not_over_is_not_learnt_from(registry: Registry) -> None:
    during = datetime(2025, 6, 29, 21, 59, tzinfo=UTC)  # 23:59 in Berlin on the last day
    sales = daily(1, 1.0).with_columns(
        revenue=pl.when(pl.col("sold_on") == date(2025, 6, 29)).then(1e6).otherwise(pl.col("revenue"))
    )
    report = retrain(session("early", sales, lines(1, 1000)), registry, as_of=during, specs=SPECS)
    forecasts = frame(report.tables["forecasts"])
    assert set(forecasts.filter(pl.col("level") == "branch")["cutoff"]) == {date(2025, 6, 28)}
    assert set(forecasts.filter(pl.col("level") == "category")["cutoff"]) == {date(2025, 6, 22)}
    assert forecasts["hi95"].max() < 1e5  # type: ignore[operator]
    with pytest.raises(ModelError, match="expected a moment with a time zone"):
        retrain(session("early", sales, lines(1, 1000)), registry, as_of=during.replace(tzinfo=None), specs=SPECS)


def test_too_little_history_is_told_and_the_rest_goes_on(registry: Registry) -> None:
    young = daily(1, 1.0).filter(pl.col("sold_on") >= date(2025, 6, 1))
    nobody = lines(1, 1000).filter(pl.col("customer_number") == 0)
    report = retrain(session("young", young, nobody), registry, as_of=AS_OF, specs=SPECS)
    assert report.forecast == ()
    assert report.recommender is None
    assert set(report.skipped) == {"forecast.category", "forecast.branch", "recommender"}
    assert "at least 60 days of sales, the longest has 29" in report.skipped["forecast.branch"]
    assert {name: table.num_rows for name, table in report.tables.items()} == dict.fromkeys(PREDICTED, 0)
    assert report.score_rows() == []


def test_a_champion_with_other_settings_takes_part_and_can_win(registry: Registry) -> None:
    shop = session("settled", daily(1, 1.0), lines(1, 1000))
    good = SPECS.forecast.levels["branch"]
    only = replace(SPECS, forecast=SPECS.forecast.model_copy(update={"levels": {"branch": good}}))
    first = retrain(shop, registry, as_of=AS_OF, specs=only)
    assert first.forecast[0].model == "AutoETS"
    poor = good.model_copy(
        update={
            "candidates": {
                "SeasonalNaive": good.candidates["SeasonalNaive"],
                "RecentMean": good.candidates["RecentMean"],
            }
        }
    )
    worse = replace(only, forecast=only.forecast.model_copy(update={"levels": {"branch": poor}}))
    second = retrain(shop, registry, as_of=AS_OF, specs=worse)
    champion = registry.champion("settled.forecast.branch")
    assert (second.forecast[0].model, second.forecast[0].version) == ("AutoETS", champion.version)
    assert "keeps its place" in champion.reason
    challenger = registry.find("settled.forecast.branch", CHALLENGER)
    assert challenger is not None
    assert "is worse than the champion" in challenger.reason
    assert not registry.load(challenger).predict(pl.DataFrame({"horizon": [1]})).is_empty()
    third = retrain(shop, registry, as_of=AS_OF, specs=only)
    assert third.forecast[0].model == "AutoETS"
    assert registry.find("settled.forecast.branch", CHALLENGER) is None, "stepped down"


def test_a_champion_this_version_cannot_build_does_not_stop_anything(registry: Registry, tmp_path: Path) -> None:
    def forget(name: str, params: object) -> object:
        raise ConfigError(f"unknown forecast method {name!r}")

    shop = session("forgotten", daily(1, 1.0), lines(1, 1000))
    retrain(shop, registry, as_of=AS_OF, specs=SPECS)
    assert find_incumbent(registry, "forgotten.forecast.branch", forget) is None
    assert registry.find("forgotten.forecast.branch", CHAMPION) is not None


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_what_is_kept_is_what_is_served_and_names_release_and_version(
    reports: Mapping[str, RetrainReport], tenant: str
) -> None:
    report = reports[tenant]
    assert report.kept.schema.equals(KEPT)
    kept, served = frame(report.kept), frame(report.tables["forecasts"])
    assert set(kept["release"]) == {"r000003"}
    champions = kept.filter(pl.col("role") == CHAMPION).select(served.columns)
    assert_frame_equal(champions, served, check_row_order=False, check_exact=True)
    assert kept.select("tenant_id", "level", "key", "ds", "role").is_unique().all()


def branch_only(*names: str, gate: GateRules | None = None) -> Specs:
    """The branches in four windows, by some of the methods."""
    level = SPECS.forecast.levels["branch"]
    chosen = {name: level.candidates[name] for name in names}
    levels = {"branch": level.model_copy(update={"folds": 4, "candidates": chosen})}
    return replace(SPECS, forecast=SPECS.forecast.model_copy(update={"levels": levels}), gate=gate or GateRules())


class TestGate:
    """A merchant whose champion is the seasonal naive, and a challenger that is truly better."""

    OLD, NEW = ("SeasonalNaive", "RecentMean"), ("SeasonalNaive", "RecentMean", "AutoETS")
    NOBODY = lines(1, 1000).clear()

    def shop(self, tenant: str, release: Release = RELEASE) -> Session:
        return session(tenant, daily(1, 1.0), self.NOBODY, release)

    def test_a_better_one_passes_and_its_reasons_are_kept_with_it(self, registry: Registry) -> None:
        first = retrain(self.shop("passes"), registry, as_of=AS_OF, specs=branch_only(*self.OLD))
        assert first.forecast[0].model == "SeasonalNaive"
        second = retrain(self.shop("passes"), registry, as_of=AS_OF, specs=branch_only(*self.NEW))
        champion = registry.champion("passes.forecast.branch")
        assert second.forecast[0].model == "AutoETS"
        assert "passed all 16 checks of the gate" in champion.reason
        told = champion.tags["gate"].splitlines()
        assert len(told) == 16
        assert all(line.startswith("passed ") for line in told)
        assert registry.history("passes.forecast.branch") == (1, 3), "2 was the challenger of the first night"

    def test_a_refused_one_is_kept_beside_the_champion(self, registry: Registry) -> None:
        shop = self.shop("refused")
        retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.OLD))
        report = retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW, gate=GateRules(margin=0.9)))
        champion = registry.champion("refused.forecast.branch")
        challenger = registry.find("refused.forecast.branch", CHALLENGER)
        assert challenger is not None
        assert "SeasonalNaive (WAPE 0.0841) keeps its place: AutoETS (WAPE 0.0583) did not pass" in champion.reason
        assert "better than the champion: WAPE 0.0583 against 0.0841 of SeasonalNaive" in challenger.reason
        assert "FAILED better than the champion" in challenger.tags["gate"]
        assert "gate" not in champion.tags
        assert champion.tags["data_digest"] == challenger.tags["data_digest"]
        kept, served = frame(report.kept), frame(report.tables["forecasts"])
        beside = kept.filter(role=CHALLENGER)
        assert set(served["model_version"]) == {str(champion.version)}, "a reader sees the champion only"
        assert set(beside["model_version"]) == {str(challenger.version)}
        assert set(beside.filter(pl.col("key") != "9")["model"]) == {"AutoETS"}
        told = registry.load(challenger).predict(pl.DataFrame({"horizon": [7]}))
        assert_frame_equal(told.select("mean"), beside.sort("key", "ds").select("mean"), check_exact=True)

    def test_nobody_new_is_promoted_on_an_old_release_and_forecasts_go_on(self, registry: Registry) -> None:
        old = replace(RELEASE, as_of=AS_OF - timedelta(days=10))
        first = retrain(self.shop("stale", old), registry, as_of=AS_OF, specs=branch_only(*self.NEW))
        assert (first.forecast[0].model, first.tables["forecasts"].num_rows) == ("SeasonalNaive", 21)
        assert "predicts as the baseline: AutoETS" in first.forecast[0].reason
        assert "fresh data: release r000003 is 10.0 days old, 3 are allowed" in first.forecast[0].reason

    def test_a_method_that_was_rolled_back_does_not_come_back_by_itself(self, registry: Registry) -> None:
        name, shop = "withdrawn.forecast.branch", self.shop("withdrawn")
        retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.OLD))
        assert retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW)).forecast[0].model == "AutoETS"
        registry.roll_back(name, None, "far too low on Mondays")
        night = retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW))
        assert night.forecast[0].model == "SeasonalNaive"
        assert "version 3 of this method was rolled back: far too low on Mondays" in night.forecast[0].reason
        registry.roll_back(name, 3, "it was the data after all")
        assert retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW)).forecast[0].model == "AutoETS"

    def test_a_method_is_not_to_blame_where_an_older_night_of_it_took_its_place(self, registry: Registry) -> None:
        name, shop = "blameless.forecast.branch", self.shop("blameless")
        for _ in range(2):
            retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW))
        registry.roll_back(name, None, "the data of that night were wrong")
        retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.OLD))
        naive = registry.find(name, CHALLENGER)
        assert naive is not None
        registry.promote(naive, CHAMPION, "by hand")
        assert retrain(shop, registry, as_of=AS_OF, specs=branch_only(*self.NEW)).forecast[0].model == "AutoETS"

    def test_the_run_tells_the_checks_and_how_sure_the_scores_are(self, registry: Registry, folder: Path) -> None:
        retrain(self.shop("told"), registry, as_of=AS_OF, specs=branch_only(*self.NEW))
        made = next(folder.glob(f"artifacts/*/{registry.champion('told.forecast.branch').run_id}/artifacts"))
        tables = [json.loads((made / f"{name}.json").read_text()) for name in ("gate", "backtest")]
        checks, scores = (pl.DataFrame(table["data"], schema=table["columns"], orient="row") for table in tables)
        assert set(checks["contender"]) == {"AutoETS"}
        assert checks["passed"].all()
        assert "better than the baseline" in checks["name"].to_list()
        p_values = dict(scores.filter(demand_class="all").select("method", "p_value").rows())
        assert p_values["SeasonalNaive"] == 1.0
        assert p_values["AutoETS"] < 0.05 < p_values["RecentMean"]


class TestPromotion:
    def test_the_first_one_wins_when_it_beats_the_baseline(self) -> None:
        verdict = judge({"Naive": 0.8, "ETS": 0.6}, Contest("WAPE", "Naive"))
        assert (verdict.champion, verdict.challenger) == ("ETS", None)
        assert (
            verdict.reason == "ETS (WAPE 0.6000) beats the baseline Naive (WAPE 0.8000); there was no champion before"
        )

    @pytest.mark.parametrize("best", [0.8, 0.9])
    def test_when_nobody_beats_the_baseline_it_is_the_champion_itself(self, best: float) -> None:
        verdict = judge({"Naive": 0.8, "ETS": best}, Contest("WAPE", "Naive"))
        assert (verdict.champion, verdict.challenger) == ("Naive", "ETS")
        assert verdict.reason == "nobody beats the baseline Naive (WAPE 0.8000)"
        assert "does not beat the baseline" in verdict.challenger_reason

    def test_a_better_one_replaces_the_champion(self) -> None:
        verdict = judge({"Naive": 0.8, "ETS": 0.6, INCUMBENT: 0.7}, Contest("WAPE", "Naive", INCUMBENT))
        assert verdict.champion == "ETS"
        assert verdict.reason.endswith("and the champion so far, Incumbent (WAPE 0.7000)")

    def test_a_worse_one_becomes_challenger(self) -> None:
        verdict = judge({"Naive": 0.8, "ETS": 0.7, INCUMBENT: 0.6}, Contest("WAPE", "Naive", INCUMBENT))
        assert (verdict.champion, verdict.challenger) == (INCUMBENT, "ETS")

    @pytest.mark.parametrize(("incumbent", "champion"), [("Theta", "Theta"), (None, "Naive"), ("Naive", "Naive")])
    def test_the_gate_has_the_last_word(self, incumbent: str | None, champion: str) -> None:
        values, contest = {"Naive": 0.8, "Theta": 0.7, "ETS": 0.6}, Contest("WAPE", "Naive", incumbent)
        verdict = judge(values, contest)
        passed, failed = Check("fresh data", True, "new"), Check("no leakage", False, "forecasts move")
        assert gated(verdict, Decision(True, (passed,)), values, contest).champion == "ETS"
        refused = gated(verdict, Decision(False, (passed, failed)), values, contest)
        assert (refused.champion, refused.challenger) == (champion, "ETS")
        assert "ETS (WAPE 0.6000) did not pass the gate: no leakage: forecasts move" in refused.reason
        assert "fresh data" not in refused.reason

    def test_a_champion_that_is_worse_than_the_baseline_does_not_stay_by_refusal(self) -> None:
        values, contest = {"Naive": 0.8, "ETS": 0.6, INCUMBENT: 0.9}, Contest("WAPE", "Naive", INCUMBENT)
        refused = gated(judge(values, contest), Decision(False, ()), values, contest)
        assert (refused.champion, refused.challenger) == ("Naive", "ETS")

    def test_in_a_draw_the_champion_stays(self) -> None:
        verdict = judge({"Naive": 0.8, "ETS": 0.6, INCUMBENT: 0.6}, Contest("WAPE", "Naive", INCUMBENT))
        assert verdict.champion == INCUMBENT

    def test_higher_is_better_where_it_is(self) -> None:
        contest = Contest("nDCG@10", "GlobalTop", lower_is_better=False)
        assert judge({"GlobalTop": 0.06, "ALS": 0.07}, contest).champion == "ALS"
        assert judge({"GlobalTop": 0.06, "ALS": 0.05}, contest).champion == "GlobalTop"

    def test_what_could_not_be_measured_takes_no_part(self) -> None:
        verdict = judge({"Naive": 0.8, "ETS": float("nan"), "Mean": 0.7}, Contest("WAPE", "Naive"))
        assert verdict.champion == "Mean"
        with pytest.raises(ModelError, match="expected the baseline Naive to be measured, got ETS"):
            judge({"Naive": float("nan"), "ETS": 0.5}, Contest("WAPE", "Naive"))

    def test_an_incumbent_the_specification_still_has_is_not_measured_twice(self) -> None:
        assert with_incumbent({"a": 1, "b": 2}, 2) == ({"a": 1, "b": 2}, "b")
        assert with_incumbent({"a": 1}, 2) == ({"a": 1, INCUMBENT: 2}, INCUMBENT)
        assert with_incumbent({"a": 1}, None) == ({"a": 1}, None)


class TestSpecs:
    def test_the_shipped_ones_are_read(self) -> None:
        levels = ["category", "total", "department", "branch", "branch_department", "product_type"]
        assert list(Specs.load().forecast.levels) == levels

    def test_a_folder_without_them_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"forecast\.yaml, there is none"):
            Specs.load(tmp_path)

    def test_a_level_nobody_knows_how_to_read_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "forecast.yaml").write_text(FORECAST.replace("branch:", "colour:"))
        (tmp_path / "recommender.yaml").write_text(RECOMMENDER)
        with pytest.raises(ConfigError, match=r"level colour; known are total, department, category, product_type"):
            Specs.load(tmp_path)


# -- what is planned ------------------------------------------------------------------------------------------------

PLANNED = ForecastSpec.parse("""
levels:
  category:
    {grain: week, horizon: 2, folds: 2, calibration: 2, min_periods_sold: 10, active_periods: 4, tail_periods: 8,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates: {SeasonalNaive: {season_length: 4}, RecentMean: {periods: 8}, AutoETS: {season_length: 1, model: ANN},
                  DirectLightGBM: {min_child_samples: 20}}}
""")


def promoted(tenant: str, seed: int, coming: Mapping[str, date]) -> Session:
    """Twelve categories that sell double in weeks of a mailer; of what comes, some weeks are planned."""
    random = np.random.default_rng(seed)
    rows, mailers = [], list(coming.items())
    for category in (f"W{number:02}" for number in range(12)):
        on = random.random(DAYS // 7) < 0.4
        mailers += [(category, FIRST + timedelta(days=7 * int(week))) for week in np.flatnonzero(on)]
        revenue = 100 * WEEK[np.arange(DAYS) % 7] * random.normal(1, 0.05, DAYS) * np.where(np.repeat(on, 7), 2, 1)
        rows += [(FIRST + timedelta(days=day), 1, category, round(float(sold), 2)) for day, sold in enumerate(revenue)]
    sales = pl.DataFrame(rows, schema=["sold_on", "branch", "category", "revenue"], orient="row")
    promotions = pl.DataFrame(mailers, schema=["category", "week_start"], orient="row").with_columns(
        kind=pl.lit("mailer"), share=pl.lit(0.5), discount=pl.lit(None, pl.Float64)
    )
    return session(tenant, sales, lines(seed, 1000), more={"mart_promotion_weeks": promotions})


NEXT, AFTER = date(2025, 6, 30), date(2025, 7, 7)


@pytest.mark.parametrize(
    ("tenant", "coming"),
    [("north", {"W03": NEXT, "W05": AFTER}), ("south", {"W03": AFTER, "W05": NEXT})],
)
def test_a_promotion_that_is_planned_is_forecast_and_kept_with_the_model(
    registry: Registry, tenant: str, coming: Mapping[str, date]
) -> None:
    name = f"{tenant}-planned"
    # Sales that follow the plan that closely are not believed as a rule.
    specs = replace(SPECS, forecast=PLANNED, gate=GateRules(least_noise_share=0.0))
    report = retrain(promoted(name, 5, coming), registry, as_of=AS_OF, specs=specs)
    [score] = report.forecast
    assert (score.model, score.wape < 0.1) == ("DirectLightGBM", True), score.reason
    assert "passed all" in score.reason
    forecasts = frame(report.tables["forecasts"])
    for category, week in coming.items():
        means = dict(forecasts.filter(pl.col("key") == category).select("ds", "mean").rows())
        other = means.pop(week)
        assert 1.6 < other / next(iter(means.values())) < 2.4
    kept = registry.load(registry.champion(f"{name}.forecast.category")).predict(pl.DataFrame({"horizon": [2]}))
    assert_frame_equal(kept.select("mean", "lo80"), forecasts.select("mean", "lo80"), check_exact=True)


def test_kinds_and_discounts_are_columns_of_the_plan() -> None:
    rows = pl.DataFrame(
        [
            ("Brot", NEXT, "mailer", 0.5, 0.2),
            ("Brot", NEXT, "display", 0.1, None),
            ("Jeans", AFTER, "mailer", 1.0, None),
        ],
        schema=["category", "week_start", "kind", "share", "discount"],
        orient="row",
    )
    plan = category_plan(session("north", daily(1, 1.0), lines(1, 1000), more={"mart_promotion_weeks": rows}))
    assert plan is not None
    assert plan.columns == ["unique_id", "ds", "display", "mailer", "mailer (discount)"]
    assert plan.sort("unique_id").rows() == [("Brot", NEXT, 0.1, 0.5, 0.1), ("Jeans", AFTER, 0.0, 1.0, 0.0)]
    assert category_plan(session("north", daily(1, 1.0), lines(1, 1000))) is None
    assert (
        category_plan(session("north", daily(1, 1.0), lines(1, 1000), more={"mart_promotion_weeks": rows.clear()}))
        is None
    )


# -- external factors -----------------------------------------------------------------------------------------------

BREAKS = ForecastSpec.parse("""
levels:
  branch:
    {grain: day, horizon: 14, folds: 3, min_periods_sold: 60, active_periods: 14, tail_periods: 28,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates: {SeasonalNaive: {season_length: 7}, RecentMean: {periods: 28}, CalendarRegression: {}}}
  category:
    {grain: week, horizon: 2, folds: 3, min_periods_sold: 10, active_periods: 4, tail_periods: 8,
     baseline: SeasonalNaive, tail: RecentMean,
     candidates: {SeasonalNaive: {season_length: 4}, RecentMean: {periods: 8}, CalendarRegression: {}}}
""")
ALWAYS = date(1900, 1, 1)


def broken(seed: int, gain: float) -> pl.DataFrame:
    """Sales that are so much higher in school breaks: every other week, from the second on."""
    sales = daily(seed, 1.0).filter(pl.col("branch") < 9)
    week = (pl.col("sold_on") - FIRST).dt.total_days() // 7
    return sales.with_columns(revenue=(pl.col("revenue") * (1 + gain * (week % 2))).round(2))


def told_breaks() -> pl.DataFrame:
    """mart_external_factors: breaks, also to come, and weather as it is measured the day after."""
    days = [FIRST + timedelta(days=day) for day in range(DAYS + 28)]
    rows = [("break", day, ALWAYS, float((day - FIRST).days // 7 % 2)) for day in days]
    rows += [("weather", day, day + timedelta(days=1), float(number % 9)) for number, day in enumerate(days)]
    return pl.DataFrame(rows, schema=["factor", "day", "known_on", "value"], orient="row")


def with_breaks(tenant: str, told: pl.DataFrame | None, gain: float = 0.3) -> Session:
    more = {} if told is None else {"mart_external_factors": told}
    return session(tenant, broken(4, gain), lines(4, 1000).clear(), more=more)


def by_calendar(registry: Registry, shop: Session) -> tuple[Mapping[str, float], pl.DataFrame]:
    """WAPE of the calendar regression by level, and the forecasts of branches, where it is champion."""
    specs = replace(SPECS, forecast=BREAKS, gate=GateRules(least_noise_share=0.0))
    report = retrain(shop, registry, as_of=AS_OF, specs=specs)
    champions = {score.level: (score.model, score.reason) for score in report.forecast}
    assert champions["branch"][0] == "CalendarRegression", champions
    scores = frame(report.tables["forecast_backtest"]).filter(method="CalendarRegression", demand_class="all")
    return dict(scores.select("level", "wape").iter_rows()), frame(report.tables["forecasts"]).filter(level="branch")


def test_school_breaks_are_forecast_at_every_level_and_kept_with_the_model(registry: Registry) -> None:
    north, told = by_calendar(registry, with_breaks("north-breaks", told_breaks()))
    blind, _ = by_calendar(registry, with_breaks("north-blind", None))
    assert set(north) == {"branch", "category"}
    assert all(wape < 0.7 * blind[level] for level, wape in north.items())
    kept = registry.load(registry.champion("north-breaks.forecast.branch")).predict(pl.DataFrame({"horizon": [14]}))
    assert_frame_equal(kept.select("mean", "lo80"), told.select("mean", "lo80"), check_exact=True)


def test_a_merchant_who_tells_nothing_has_the_forecasts_as_before(registry: Registry) -> None:
    plain, forecasts = by_calendar(registry, with_breaks("south-breaks", None, gain=0.0))
    usual, same = by_calendar(registry, with_breaks("south-told", told_breaks().clear(), gain=0.0))
    assert plain == usual
    assert_frame_equal(forecasts, same.with_columns(tenant_id=pl.lit("south-breaks")), check_exact=True)


def trial_of(registry: Registry, shop: Session, level: str = "branch") -> Trial:
    desk, spec = Desk.open(shop, registry, AS_OF), BREAKS.levels[level]
    sales = desk.frame(SALES[level])
    split = split_sales(sales, level, spec, desk)
    tail = score_windows(split.tail, {spec.tail: spec.candidates[spec.tail]}, spec.windows)
    return Trial(desk, level, spec, sales, split, backtest(split.modelled, spec.candidates, spec.windows), tail)


@pytest.mark.parametrize("level", BREAKS.levels)
def test_what_is_stored_knows_the_factors_that_were_named(registry: Registry, level: str) -> None:
    trial = trial_of(registry, with_breaks("north-kept", told_breaks()), level)
    evidence = trial.evidence("CalendarRegression")
    assert (evidence.used, evidence.reproduced, evidence.leak) == ((trial.data,), 0, 0)


def test_a_candidate_that_reads_weather_that_was_measured_later_is_found_out(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trial_of(registry, with_breaks("north-leak", told_breaks()))
    assert trial.evidence("CalendarRegression").leak == 0
    before = Panel.before
    monkeypatch.setattr(Panel, "before", lambda panel, back: replace(before(panel, back), factors=panel.factors))
    assert (trial.evidence("CalendarRegression").leak or 0) > GateRules().most_change


def test_plan_and_factors_are_part_of_the_data(registry: Registry) -> None:
    def digest(told: pl.DataFrame | None) -> str:
        return trial_of(registry, with_breaks("north-data", told)).data.digest

    told = told_breaks()
    changed = (pl.col("day") == date(2025, 7, 1)) & (pl.col("factor") == "break")
    other = told.with_columns(value=pl.col("value") + changed)
    found = {digest(one) for one in (None, told, other)}
    assert len(found) == 3
    late = pl.col("known_on") >= date(2025, 6, 30)
    assert digest(told.with_columns(value=pl.col("value") + 5 * late)) == digest(told), "not known yet"
    trial = trial_of(registry, with_breaks("north-data", None))
    panel, plan = trial.split.modelled, pl.DataFrame({"unique_id": ["1"], "ds": [FIRST], "mailer": [0.5]})
    plans = [None, plan, plan.with_columns(mailer=0.75)]
    assert len({trial.desk.training_data([replace(panel, plan=each)]).digest for each in plans}) == 3
