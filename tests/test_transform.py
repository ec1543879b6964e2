"""Transform: the real dbt project on two merchants reckoned by hand, in a DuckDB file."""

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mercurios.config import ROOT
from mercurios.errors import ConfigError, TransformFailed
from mercurios.jobs.transform import transform
from mercurios.progress import show_with
from mercurios.tables import MARTS, TABLES
from mercurios.transformation import (
    BUILD,
    BUILD_WITH_UNIT_TESTS,
    FROM_SCRATCH,
    PARSE,
    DbtResult,
    build_command,
    prefect_invoke,
    run_dbt,
    semantic_manifest,
    target_for,
)
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.till import (
    BOOK,
    COAT,
    DECEMBER_1,
    FUEL,
    GONE,
    MERCHANTS,
    NORTH,
    NOVEMBER_3,
    SOUTH,
    Row,
    article,
    category,
    fill,
    sale,
    stock,
)

DBT = ROOT / "dbt"


@dataclass(frozen=True)
class Built:
    """A warehouse that dbt built once, and what dbt said."""

    url: str
    state: Path
    result: DbtResult

    def rows(self, mart: str) -> list[dict[str, object]]:
        """Rows of a mart as they are published, as dictionaries, sorted by its key."""
        with DuckDBWarehouse.open(self.url) as warehouse:
            table = warehouse.table(f"marts.{mart}").select(TABLES[mart].schema.names)
        rows: list[dict[str, object]] = table.to_pylist()
        return sorted(rows, key=lambda row: [str(row[name]) for name in TABLES[mart].key])


def prepare(folder: Path, merchants: Mapping[str, Mapping[str, list[Row]]]) -> str:
    url = f"duckdb:///{folder}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse, merchants)
    return url


def litter() -> set[Path]:
    return {path for path in DBT.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("transform")
    url, state = prepare(folder, MERCHANTS), folder / "dbt"
    before = (litter(), dict(os.environ), Path.cwd())
    result = run_dbt(DBT, target_for(url), state, command=BUILD_WITH_UNIT_TESTS)
    assert (litter(), dict(os.environ), Path.cwd()) == before
    return Built(url, state, result)


def test_everything_is_built_and_every_test_passes(built: Built) -> None:
    assert {node.name for node in built.result.models} >= set(MARTS)
    assert {node.status for node in built.result.models} == {"success"}
    tests = [node for node in built.result.nodes if node.kind in {"test", "unit_test"}]
    assert {node.status for node in tests} == {"pass", "warn"}
    assert {node.rows for node in built.result.models} == {None}
    assert len([node for node in tests if node.kind == "unit_test"]) >= 20
    assert [(node.name, node.rows) for node in built.result.warnings] == [("rules_are_kept", 1)]
    assert (built.state / "logs" / "dbt.log").stat().st_size > 0


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_what_the_published_tables_promise(built: Built, mart: str) -> None:
    with duckdb.connect(built.url.removeprefix("duckdb:///")) as connection:
        schema = connection.sql(f"from marts.{mart}").to_arrow_table().schema
    promised = TABLES[mart].schema
    published = [field for field in schema if not field.name.startswith("_")]
    assert [field.name for field in published] == promised.names
    for column, expected in zip((field.type for field in published), promised.types, strict=True):
        if pa.types.is_timestamp(expected):
            assert pa.types.is_timestamp(column)
            assert column.tz is not None
        else:
            assert column == expected


def test_every_column_of_a_mart_is_described(built: Built) -> None:
    nodes = json.loads((built.state / "target" / "manifest.json").read_text())["nodes"]
    for mart in MARTS:
        columns = nodes[f"model.mercurios.{mart}"]["columns"]
        assert [name for name in columns if not name.startswith("_")] == TABLES[mart].schema.names, mart
        assert all(column["description"] for column in columns.values()), mart


def test_a_sale_line_carries_what_was_reckoned_by_hand(built: Built) -> None:
    lines = {str(row["sale_line_id"]): row for row in built.rows("fct_sale_lines")}
    assert sorted(lines) == ["n1", "n2", "n3", "n4", "n5", "s1"]
    coats, book, fuel, gone, back, hammer = (lines[key] for key in sorted(lines))
    assert coats == {
        "tenant_id": "north",
        "sale_line_id": "n1",
        "receipt_id": "1-1-1000001-2025-11-03",
        "sold_on": datetime(2025, 11, 3).date(),
        "sold_at": coats["sold_at"],
        "branch": 1,
        "article_number": COAT,
        "customer_number": 7,
        "staff_number": None,
        "category": "JACKEN",
        "department": "MODE",
        "product_type": "Parka",
        "supplier": "(unknown)",
        "season": "(unknown)",
        "is_merchandise": True,
        "is_return": False,
        "quantity": 2.0,
        "gross_amount": Decimal("238.00"),
        "net_amount": Decimal("200.0000"),
        "label_amount": Decimal("299.00"),
        "labelled_gross_amount": Decimal("238.00"),
        "cost_amount": Decimal("80.0000"),
    }
    assert (book["net_amount"], book["product_type"]) == (Decimal("10.0000"), "(unknown)")
    assert (fuel["is_merchandise"], fuel["customer_number"]) == (False, None)
    assert (fuel["label_amount"], fuel["labelled_gross_amount"]) == (0, 0)
    assert (gone["category"], gone["department"], gone["net_amount"]) == ("(unknown)", "(unknown)", Decimal("4.2017"))
    assert (back["is_return"], back["net_amount"], back["label_amount"]) == (True, -100, Decimal("-149.50"))
    assert (hammer["tenant_id"], hammer["category"], hammer["net_amount"]) == ("south", "TOOLS", 30)


def test_forecasts_are_scored_where_somebody_sold(built: Built) -> None:
    rows = built.rows("mart_forecast_accuracy")
    assert [(row["tenant_id"], row["level"], row["ds"], row["y"], row["error"], row["scaled"]) for row in rows] == [
        ("north", "branch", NOVEMBER_3, Decimal("248.70"), pytest.approx(1.3), pytest.approx(0.13)),
        ("north", "branch", DECEMBER_1, 0, 250, 25),
        ("north", "category", NOVEMBER_3, Decimal("238.00"), 2, 0.2),
        ("south", "branch", NOVEMBER_3, Decimal("30.00"), -2, -0.2),
    ]


def test_moments_are_utc_and_days_are_local(built: Built) -> None:
    with duckdb.connect(built.url.removeprefix("duckdb:///")) as connection:
        found = connection.sql("select sale_line_id, sold_on, timezone('UTC', sold_at) from marts.fct_sale_lines")
        moments = {key: (str(day), moment.replace(tzinfo=UTC)) for key, day, moment in found.fetchall()}
    assert moments["n1"] == ("2025-11-03", datetime(2025, 11, 3, 11, tzinfo=UTC))
    assert moments["n3"] == ("2025-11-30", datetime(2025, 11, 30, 22, 59, tzinfo=UTC))
    assert moments["s1"] == ("2025-11-03", datetime(2025, 11, 3, 17, tzinfo=UTC))


def test_dimensions_hold_what_is_known_and_what_was_only_sold(built: Built) -> None:
    articles = {(row["tenant_id"], row["article_number"]): row for row in built.rows("dim_articles")}
    assert sorted(articles) == [("north", COAT), ("north", BOOK), ("north", FUEL), ("north", GONE), ("south", COAT)]
    assert [articles["north", n]["label"] for n in (COAT, BOOK, GONE)] == ["Parka 100", "BUCH 200", "999"]
    customers = {(row["tenant_id"], row["customer_number"]): row["last_sold_on"] for row in built.rows("dim_customers")}
    assert {key: str(day) for key, day in customers.items()} == {
        ("north", 7): "2025-12-01",
        ("north", 8): "2025-12-01",
        ("north", 9): "None",
        ("south", 7): "2025-11-03",
    }
    branches = {
        (row["tenant_id"], row["branch"]): (row["name"], row["is_active"]) for row in built.rows("dim_branches")
    }
    assert branches == {
        ("north", 1): ("Mitte", True),
        ("north", 2): ("Branch 2", True),
        ("south", 1): ("Main Street", True),
    }


def test_stock_is_summed_over_sizes_and_never_over_days(built: Built) -> None:
    stock = [
        (row["tenant_id"], str(row["snapshot_on"]), row["branch"], row["quantity"], row["stock_value"])
        for row in built.rows("fct_stock_daily")
    ]
    assert stock == [
        ("north", "2025-12-01", 1, 10, 400),
        ("north", "2025-12-02", 1, 9, Decimal("361.5")),
        ("north", "2025-12-02", 2, 2, 80),
        ("south", "2025-12-01", 1, 5, 20),
    ]


def test_promotions_stand_by_week_of_the_category_they_are_of(built: Built) -> None:
    """Nine days of half the jackets; in February the coat, all of its category's articles, in one of two branches."""
    assert [tuple(row.values()) for row in built.rows("mart_promotion_weeks")] == [
        ("north", "JACKEN", DECEMBER_1, "mailer", 0.5, 0.2),
        ("north", "JACKEN", date(2025, 12, 8), "mailer", 0.142857, 0.2),
        ("north", "JACKEN", date(2026, 2, 2), "price", 0.5, None),
        ("south", "TOOLS", NOVEMBER_3, "mailer", 1.0, 1.0),
    ]


def test_factors_stand_by_day_and_by_when_they_were_known(built: Built) -> None:
    always = date(1900, 1, 1)
    assert [tuple(row.values()) for row in built.rows("mart_external_factors")] == [
        ("north", "rain", DECEMBER_1, date(2025, 11, 28), 4.0),
        ("north", "rain", DECEMBER_1, date(2025, 12, 2), 9.5),
        ("north", "school break", date(2025, 12, 24), always, 1.0),
        ("south", "rain", DECEMBER_1, always, 0.0),
    ]


def test_the_daily_mart_adds_up(built: Built) -> None:
    days = [
        (
            row["tenant_id"],
            str(row["sold_on"]),
            row["branch"],
            row["category"],
            row["lines"],
            row["units"],
            row["revenue"],
        )
        for row in built.rows("mart_sales_daily")
    ]
    assert days == [
        ("north", "2025-11-03", 1, "BUCH", 1, 1, Decimal("10.7")),
        ("north", "2025-11-03", 1, "JACKEN", 1, 2, 238),
        ("north", "2025-11-30", 1, "KRAFTSTOFF", 1, 0, 25),
        ("north", "2025-12-01", 2, "(unknown)", 1, 1, 5),
        ("north", "2025-12-01", 2, "JACKEN", 1, -1, -119),
        ("south", "2025-11-03", 1, "TOOLS", 1, 3, 30),
    ]


def test_metric_definitions_travel_as_text(built: Built, tmp_path: Path) -> None:
    metrics = {metric["name"] for metric in json.loads(semantic_manifest(built.state))["metrics"]}
    assert metrics >= {"revenue", "units", "stock_value"}
    with pytest.raises(TransformFailed, match="run transform first"):
        semantic_manifest(tmp_path)


class Counter:
    """A progress display that adds up."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.amount = 0

    def start(self, label: str, unit: str, total: int | None) -> int:
        self.labels.append(f"{label} {unit}")
        return 0

    def advance(self, handle: int, amount: int) -> None:
        self.amount += amount

    def finish(self, handle: int) -> None:
        return None


def test_no_data_and_a_second_run_are_fine_and_models_count_as_progress(tmp_path: Path) -> None:
    url = prepare(tmp_path, {"north": NORTH, "empty": {"tenants": NORTH["tenants"]}})
    first = run_dbt(DBT, target_for(url), tmp_path / "dbt")
    once = Built(url, tmp_path / "dbt", first).rows("fct_sale_lines")
    show_with(counter := Counter())
    try:
        second = run_dbt(DBT, target_for(url), tmp_path / "dbt")
    finally:
        show_with(None)
    assert Built(url, tmp_path / "dbt", second).rows("fct_sale_lines") == once
    assert not [node for node in second.tests if node.kind == "unit_test"]
    assert (counter.labels, counter.amount) == (["transform models"], len(second.models))


def test_what_the_project_alone_decides_is_not_built_again(built: Built) -> None:
    before = built.rows("fct_sale_lines")
    command = build_command(DBT, built.result.project)
    again = run_dbt(DBT, target_for(built.url), built.state, command=command)
    first, second = ({node.name for node in result.nodes} for result in (built.result, again))
    assert second < first
    assert {"stg_prohandel__sales", "public_holidays", "metricflow_time_spine"} <= first - second
    views = {"mart_forecast_scores"}
    assert {name for name in first - second if name.startswith(("fct_", "dim_", "mart_"))} == views
    assert {"sales_add_up", "rules_are_kept", "source_not_null_prohandel_tenant_vat_rates_rate"} <= second
    assert built.rows("fct_sale_lines") == before


def test_another_project_builds_everything() -> None:
    assert build_command(DBT, "another") == build_command(DBT, "") == BUILD
    assert build_command(DBT, FROM_SCRATCH) == (*BUILD, "--full-refresh")


@pytest.mark.parametrize(
    ("table", "rows", "culprit"),
    [
        ("prohandel_sale", [*SOUTH["prohandel_sale"], *SOUTH["prohandel_sale"]], "source_primary_key_prohandel.*_sale"),
        ("tenant_vat_rates", [{"tax_number": 1, "rate": None}], "source_not_null_prohandel_tenant_vat_rates_rate"),
    ],
)
def test_a_failing_test_is_named_and_the_file_is_free_again(
    tmp_path: Path, table: str, rows: list[Row], culprit: str
) -> None:
    url = prepare(tmp_path, {"south": {**SOUTH, table: rows}})
    with pytest.raises(TransformFailed, match=rf"test {culprit}.*Got 1 result.*{re.escape(str(tmp_path))}.*dbt\.log"):
        run_dbt(DBT, target_for(url), tmp_path / "dbt")
    with DuckDBWarehouse.open(url) as warehouse:
        assert "marts.fct_sale_lines" not in warehouse.tables("marts")


def test_a_merchant_who_lacks_masters_warns_and_is_built_like_the_others(built: Built, tmp_path: Path) -> None:
    bare: Mapping[str, list[Row]] = {
        "tenants": [{"name": "Bare", "currency": "CHF", "time_zone": "Europe/Zurich", "locale": "de"}],
        "tenant_vat_rates": [{"tax_number": 2, "rate": 0.026}, {"tax_number": 3, "rate": 0.081}],
        "prohandel_sale": [
            sale("x1", NOVEMBER_3, 1_000_001, (COAT, 1, 108.1), purchase_price=None),
            sale("x2", NOVEMBER_3, 1_000_002, (BOOK, 1, 54.05), time=10**15, staff_number=9, type=4),
            sale("x3", NOVEMBER_3, 1_000_003, (BOOK, 1, 1e300), label_price=0.0),
        ],
        "prohandel_stock_daily": [stock(DECEMBER_1, 1001, 1, 1e200, 1e200)],
    }
    patchy = {
        **bare,
        "prohandel_article": [article(COAT, 11, "Parka"), article(BOOK, 77, "Atlas"), article(FUEL, 12, "Bread")],
        "prohandel_category": [category(11, "JACKEN", 66, 5), category(12, "BROT", 12, 2)],
        "prohandel_staff": [{"id": "p1", "number": 1, "branch_number": 1}],
    }
    url = prepare(tmp_path, {**MERCHANTS, "bare": bare, "patchy": patchy})
    result = run_dbt(DBT, target_for(url), tmp_path / "dbt")
    assert {node.name for node in result.warnings} == {"rules_are_kept", "sold_by_known_staff"}
    with duckdb.connect(url.removeprefix("duckdb:///"), read_only=True) as connection:
        broken = "select rule, breaches from marts.mart_data_quality where tenant_id = ? and breaches > 0 order by rule"
        assert connection.execute(broken, ["bare"]).fetchall() == [
            ("quantity_uncountable", 1),
            ("sale_at_unknown_branch", 1),
            ("sale_type_unknown", 1),
            ("sale_without_article", 3),
            ("sale_without_cost", 1),
        ]
        assert connection.execute(broken, ["patchy"]).fetchall() == [
            ("article_category_unknown", 1),
            ("category_parent_unknown", 1),
            ("quantity_uncountable", 1),
            ("sale_at_unknown_branch", 1),
            ("sale_type_unknown", 1),
            ("sale_without_cost", 1),
            ("tax_number_without_rate", 1),
        ]
    lines = Built(url, tmp_path / "dbt", result).rows("fct_sale_lines")
    assert [row for row in lines if row["tenant_id"] in MERCHANTS] == built.rows("fct_sale_lines")
    assert [(r["tenant_id"], r["category"], r["net_amount"]) for r in lines if r["tenant_id"] not in MERCHANTS] == [
        ("bare", "(unknown)", 100),
        ("bare", "(unknown)", 50),
        ("bare", "(unknown)", 0),
        ("patchy", "JACKEN", 100),
        ("patchy", "(unknown)", 50),
        ("patchy", "(unknown)", 0),
    ]


def test_what_keeps_dbt_from_running_is_told(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [")
    url = f"duckdb:///{tmp_path}/w.duckdb"
    with pytest.raises(TransformFailed, match="dbt could not run"):
        run_dbt(tmp_path, target_for(url), tmp_path / "state", command=PARSE)


def test_the_scheme_chooses_the_target_and_a_key_is_never_shown() -> None:
    assert target_for("duckdb:////tmp/w.duckdb").values["TRANSFORM_DUCKDB_PATH"] == "/tmp/w.duckdb"
    assert target_for("duckdb:///var/w.duckdb").values["TRANSFORM_DUCKDB_PATH"] == str(Path("var/w.duckdb").absolute())
    snowflake = target_for("snowflake://LO%40AD@Org-Acc/MERC?warehouse=W&role=R", "-----KEY-----")
    assert snowflake.name == "snowflake"
    assert [snowflake.values[f"TRANSFORM_SNOWFLAKE_{name}"] for name in ("USER", "ACCOUNT", "DATABASE", "ROLE")] == [
        "LO@AD",
        "Org-Acc",
        "MERC",
        "R",
    ]
    assert "KEY" not in repr(snowflake)


@pytest.mark.parametrize(
    "url",
    ["duckdb:///", "duckdb:///:memory:", "duckdb:relative", "snowflake://ACC/DB", "snowflake://U:pw@ACC/DB", "x:"],
)
def test_another_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"duckdb:///PATH") as refused:
        target_for(url)
    assert "pw" not in str(refused.value)


def test_the_job_counts_the_marts_and_misses_what_is_not_there(built: Built, tmp_path: Path) -> None:
    report = transform(lambda _: built.result, lambda: DuckDBWarehouse.open(built.url))
    assert report.nodes == built.result.nodes
    assert list(report.rows) == list(MARTS)
    assert (
        report.rows.items()
        >= {
            "dim_tenants": 2,
            "dim_dates": 2 * 2 * 365,
            "dim_branches": 3,
            "dim_categories": 5,
            "dim_articles": 5,
            "dim_customers": 4,
            "fct_sale_lines": 6,
            "fct_stock_daily": 4,
            "mart_sales_daily": 6,
        }.items()
    )
    assert [(breach.tenant_id, breach.rule, breach.example) for breach in report.breaches] == [
        ("north", "sale_without_article", "n4: article 999")
    ]
    with pytest.raises(TransformFailed, match=r"did not build.*fct_sale_lines"):
        transform(lambda _: built.result, lambda: DuckDBWarehouse.open(f"duckdb:///{tmp_path}/empty.duckdb"))


def test_in_a_flow_models_are_task_runs_and_failures_keep_their_names(prefect_server: None, tmp_path: Path) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    url = prepare(tmp_path, {"south": {**SOUTH, "tenant_vat_rates": [{"tax_number": 1, "rate": None}]}})

    @flow
    def transform_in_a_flow() -> DbtResult:
        return run_dbt(DBT, target_for(url), tmp_path / "dbt", prefect_invoke(DBT))

    with pytest.raises(TransformFailed, match="source_not_null_prohandel_tenant_vat_rates_rate"):
        transform_in_a_flow()
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(run_task)")]
    deadline, states = time.monotonic() + 60, dict[str, str | None]()  # the server hears of task runs through a queue
    while states.get("model stg_prohandel__branches") != "Completed" and time.monotonic() < deadline:
        time.sleep(0.5)
        with get_client(sync_client=True) as client:
            states = {run.name: run.state_name for run in client.read_task_runs()}
    assert states["model stg_prohandel__branches"] == "Completed"
    with DuckDBWarehouse.open(url) as warehouse:
        assert warehouse.count("staging.stg_prohandel__branches") == 1
