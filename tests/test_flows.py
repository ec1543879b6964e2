"""The whole path on two tiny merchants: every flow, on real stores and a real Prefect server."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from mercurios import wiring
from mercurios.config import ROOT, Settings, child_environment
from mercurios.errors import ModelError
from mercurios.jobs.feedback import EVENTS, FeedbackReport
from mercurios.jobs.keep_forecasts import KEPT_FORECASTS
from mercurios.jobs.propose import ProposalReport
from mercurios.journal import Told
from mercurios.serving import Session
from tests.conftest import SEEDS, World
from tests.tiny import tiny_merchant

LEVELS = ("total", "department", "branch", "branch_department", "category", "product_type")
KINDS = {*(f"forecast.{level}" for level in LEVELS), "recommender"}


def test_extracted_is_loaded_and_quarantined_on_every_table(world: World) -> None:
    for report, seed in zip(world.report.ingest, SEEDS.values(), strict=True):
        rows = {batch.entity: batch.extracted for batch in report.batches}
        made = {entity: frame.height for entity, frame in tiny_merchant(seed).items()}
        assert {entity: rows[entity] for entity in made} == made
        assert all(batch.extracted == batch.loaded + batch.quarantined for batch in report.batches)


def test_revenue_is_the_sum_of_the_tills_lines(world: World) -> None:
    for tenant, seed in SEEDS.items():
        sold = tiny_merchant(seed)["sale"]
        workspace = wiring.open_workspace(tenant)
        months = workspace.metrics("revenue", grain="MONTH")
        expected = (
            sold.group_by(month=pl.col("date").str.slice(0, 7))
            .agg(cents=(pl.col("salePrice") * 100).round().cast(pl.Int64).sum())
            .sort("month")
        )
        assert [day[:7] for day in months["metric_time"]] == expected["month"].to_list()
        assert [round(value * 100) for value in months["revenue"]] == expected["cents"].to_list()


def test_fuel_counts_in_revenue_and_stays_out_of_units(world: World) -> None:
    north = wiring.open_workspace("north")
    fuel = north.metrics("revenue", "units", group_by=("category",)).filter(category="Kraftstoff")
    assert fuel["revenue"][0] > 0
    assert fuel["units"][0] == 0


def test_predictions_join_the_release_and_the_marts_stay_pinned(world: World) -> None:
    releases = wiring.open_lake().releases()
    first, last = releases[0], releases[-1]
    assert not first.holds("forecasts")
    assert {"forecasts", "recommendations"} <= {table.name for table in last.tables}
    assert last.table("fct_sale_lines") == first.table("fct_sale_lines")
    assert {f"index/{tenant}.faiss" for tenant in SEEDS} <= set(last.files)
    for tenant in SEEDS:
        rows = wiring.open_workspace(tenant).sql("select distinct tenant_id from marts.forecasts")
        assert rows["tenant_id"].to_list() == [tenant]


def test_champions_are_registered_and_beat_their_baselines(world: World) -> None:
    for report in world.report.retrain:
        names = {version.name for version in wiring.open_registry().champions(report.tenant_id)}
        assert names == {f"{report.tenant_id}.{kind}" for kind in KINDS}
        assert {score.level for score in report.forecast} == set(LEVELS)
        for score in report.forecast:
            assert score.wape < score.baseline_wape
            assert score.model != score.baseline
        assert report.recommender
        assert report.alone == "", "daily levels add up"


def test_what_is_served_is_kept_to_be_scored(world: World) -> None:
    with wiring.open_warehouse() as warehouse:
        for report in world.report.retrain:
            kept = pl.DataFrame(warehouse.rows(KEPT_FORECASTS, report.tenant_id))
            served = pl.DataFrame(report.tables["forecasts"])
            key = ["level", "key", "ds", "mean"]
            assert kept.height == report.kept.num_rows > 0
            assert kept.filter(role="champion").select(key).sort(key).equals(served.select(key).sort(key))


def test_the_standard_questions_are_answered_or_refused(world: World) -> None:
    for report in world.report.query:
        assert [asked.answer.status for asked in report.answers] == ["ANSWERED"] * 4 + ["REFUSED"]


def test_flows_leave_artifacts(world: World) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        keys = {artifact.key for artifact in client.read_artifacts()}
    assert {"ingest-batches", "dbt-results", "release", "backtest-scores", "forecast-north", "answers"} <= keys
    assert {"reorder-proposals", "forecast-card-north", "forecast-card-south"} <= keys


def test_a_card_tells_what_retraining_found(world: World) -> None:
    for report in world.report.retrain:
        text = (world.home / "models" / report.tenant_id / "forecast.md").read_text()
        assert text.startswith("# Model card: forecasts")
        assert f"## Measured: {report.tenant_id}, {report.release}" in text
        assert "Complete Journey" not in text, "figures of the demonstration"
        rows = wiring.open_workspace(report.tenant_id).sql("from marts.forecast_backtest where demand_class = 'all'")
        for row in rows.to_dicts():
            assert f"| {row['method']} " in text
            assert f" {row['wape']:.4f} " in text
        for score in report.forecast:
            [champion] = rows.filter(level=score.level, role="champion").to_dicts()
            assert (champion["wape"], champion["coverage80"]) == (score.wape, score.coverage80)
            assert champion["skill"] > 0


def test_proposals_join_the_release(world: World) -> None:
    for tenant in SEEDS:
        shop = wiring.open_workspace(tenant)
        rows = shop.sql("select * from marts.reorder_proposals")
        assert set(rows["tenant_id"]) == {tenant}
        assert set(rows["lead_time_basis"].drop_nulls()) <= {"stated", "default"}
        assert rows.filter(pl.col("order_quantity") > 0).height > 0
        fuel = shop.sql("select article_number from marts.dim_articles where not is_merchandise")
        assert not set(rows["article_number"]) & set(fuel["article_number"])


def test_proposals_that_fail_stop_neither_the_other_merchant_nor_forecasts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import propose as module

    made = module.propose_job

    def fails(session: Session, *, as_of: datetime) -> ProposalReport:
        if session.tenant_id == "north":
            raise ModelError("north cannot be proposed for")
        return made(session, as_of=as_of)

    before = wiring.open_lake().require_current()
    monkeypatch.setattr(module, "propose_job", fails)
    with pytest.raises(ModelError, match="north cannot be proposed for"):
        module.propose(["north", "south"])
    after = wiring.open_lake().require_current()
    assert after.id > before.id, "the south's proposals are published"
    assert after.table("forecasts") == before.table("forecasts")
    rows = wiring.open_lake().reader("north", after).table("reorder_proposals")
    assert rows.equals(wiring.open_lake().reader("north", before).table("reorder_proposals"))


def test_ingest_and_export_again_change_nothing(world: World) -> None:
    from flows.ingest import ingest

    with wiring.open_warehouse() as warehouse:
        before = warehouse.table("raw.prohandel_sale")
    again = ingest()
    with wiring.open_warehouse() as warehouse:
        after = warehouse.table("raw.prohandel_sale")
    assert all(batch.inserted == batch.updated == 0 for report in again for batch in report.batches)
    assert sum(batch.unchanged for report in again for batch in report.batches) > 0
    assert after.sort_by([("tenant_id", "ascending"), ("id", "ascending")]).equals(
        before.sort_by([("tenant_id", "ascending"), ("id", "ascending")])
    )


def cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-m", "mercurios", *arguments)
    return subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False)


def test_status_tells_programs_what_is_there(world: World) -> None:
    done = cli("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["release"]["id"] == wiring.open_lake().require_current().id
    for tenant, seed in zip(status["tenants"], SEEDS.values(), strict=True):
        assert tenant["raw"]["sale"]["rows"] == tiny_merchant(seed)["sale"].height
        assert all(one["loaded"] + one["quarantined"] == one["extracted"] for one in tenant["raw"].values())
        assert tenant["marts"]["fct_sale_lines"] == tenant["raw"]["sale"]["rows"]
        assert set(tenant["champions"]) == KINDS
        assert tenant["champions"]["recommender"]["metrics"]
        assert tenant["freshness"]["last_sale_on"] == "2025-12-30"
        assert tenant["quarantined"] == 0


def test_a_question_on_the_command_line(world: World) -> None:
    done = cli("query", "--tenant", "north", "Wie hoch war der Umsatz im November 2025?")
    assert done.returncode == 0, done.stderr
    revenue = wiring.open_workspace("north").ask("Umsatz im November 2025").rows
    assert revenue is not None
    whole = f"{revenue[0][0]:,.2f}".translate(str.maketrans(",.", ".,"))
    assert whole in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("query", "--tenant", "nobody", "Umsatz?"), "no tenant 'nobody'; known: north, south"),
        (("query", "--tenant", "north", "a" * 10_000), "at most 1,000"),
        (("token", "--tenant", "nobody"), "no tenant 'nobody'"),
        (("token", "--tenant", "north", "--role", "king"), "expected one of viewer, analyst, buyer, admin"),
        (("sandbox", "--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_clear_line(world: World, arguments: tuple[str, ...], message: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_development_token_is_all_that_is_printed(world: World) -> None:
    from mercurios.api.access.tokens import verify

    done = cli("token", "--tenant", "north", "--role", "analyst")
    identity = verify(wiring.token_secret(Settings()), done.stdout.strip())
    assert (identity.tenant, identity.role) == ("north", "analyst")
    assert done.stdout.count("\n") == 1


def test_help_answers_at_once() -> None:
    heavy = "torch", "mlflow", "prefect", "polars", "duckdb"
    code = f"import sys, mercurios.__main__; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("tenant", SEEDS)
def test_the_api_lists_what_the_marts_hold(world: World, tenant: str) -> None:
    from graphql import execute_sync, parse

    from mercurios.api.access import Identity
    from mercurios.api.asker import Asker
    from mercurios.api.backend import Backend
    from mercurios.api.resolvers import load_schema
    from mercurios.api.seals import Seals
    from mercurios.cache import open_cache
    from mercurios.serving import Sessions

    lake = wiring.open_lake()
    directory = wiring.tenants()
    backend = Backend(
        Sessions(lake),
        wiring.release_files(lake).semantics,
        lambda *_: pytest.fail("nothing is asked"),
        open_cache("memory:"),
        directory.ids,
        lake.releases,
        wiring.open_journals().of,
        Seals(wiring.token_secret()),
        lambda name: directory.get(name).sla,
    )
    asker = Asker(Identity(tenant, "admin"), backend)
    document = """{
        sales(first: 1000) { totalCount nodes { id soldOn revenue cost customerNumber isReturn } }
        branches { totalCount nodes { number name isActive } } categories { totalCount nodes { number name path } }
        articles { totalCount nodes { number figures { revenue364d abc markup } } }
        customers { totalCount nodes { id number segment revenue } } segments { segment customers customerShare }
        suppliers { totalCount nodes { number figures { orders fillRate } } }
        stock { totalCount nodes { branch article risk daysOfSupply stockValue } }
        freshness { subject newestOn ageDays records promise { hours ageHours isKept } } releases { id isRead }
        dataQuality(onlyBroken: false) { rule severity statement remedy breaches share }
        metrics(names: ["revenue", "gross_margin"], groupBy: ["branch"], from: "2017-01-01", to: "2030-12-31") {
            rows comparison(period: PERIOD_BEFORE) { before change } }
        reorderProposals(onlyOrders: false) { proposals { id item decision { verdict } } }
    }"""
    told = execute_sync(load_schema(), parse(document), context_value=asker)
    assert told.errors is None
    data = told.data or {}
    tables = {"sales": "fct_sale_lines", "branches": "dim_branches", "categories": "dim_categories"}
    tables |= {"articles": "dim_articles", "customers": "dim_customers", "suppliers": "dim_suppliers"}
    for name, table in (tables | {"stock": "mart_inventory_status"}).items():
        rows = asker.session.query("select count(*) as n from query_table(?)", [f"marts.{table}"])["n"][0].as_py()
        assert data[name]["totalCount"] == rows > 0, name
        assert len(data[name]["nodes"]) == min(rows, 1000 if name == "sales" else 50)
    assert sum(one["customerShare"] for one in data["segments"]) == pytest.approx(1)
    assert {one["subject"] for one in data["freshness"]} >= {"SALES", "STOCK", "FORECASTS"}
    assert all(rule["statement"] and rule["remedy"] for rule in data["dataQuality"])
    assert data["metrics"]["rows"]


def test_what_people_told_the_api_is_carried_into_the_warehouse(environment: Path, prefect_server: None) -> None:
    from flows.feedback import feedback

    told = {"event": "bought", "customer": 1, "article": 2}
    wiring.open_journals().of("teller").add(Told("event", "1/2", told, key="k1", role="analyst"))
    first, again = (feedback(["teller"]) for _ in range(2))
    assert (first, again) == ([FeedbackReport("teller", 0, 1, 0)], [FeedbackReport("teller", 0, 0, 0)])
    with wiring.open_warehouse() as warehouse:
        assert warehouse.rows(EVENTS, "teller")["customer_number"].to_pylist() == [1]
    gone = wiring.forget_tenant("teller")
    assert (gone["journal"], gone["ops.recommendation_events"]) == (1, 1)
