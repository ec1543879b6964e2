"""No table of tenants' rows is ever there without its row access policy: both stand in one CREATE.

Held by the statements that the warehouse and dbt really send, recorded in the driver on their way to the emulator,
which drops the clause (see tests/snowflake_emulator.py). Nothing here was verified against a real account.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from snowflake.connector.cursor import SnowflakeCursor
from sqlglot import exp

from mercurios.account import read_declaration, wanted
from mercurios.errors import TransformFailed, WarehouseError
from mercurios.jobs.ingest import RAW_TABLES
from mercurios.transformation import run_dbt
from mercurios.warehouse import BATCHES, QUARANTINE
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.warehouse.snowflake import TENANT_POLICY, SnowflakeWarehouse
from tests.snowflake_emulator import Emulator
from tests.test_transform_snowflake import DBT, snowflake_target
from tests.till import fill

pytestmark = pytest.mark.filterwarnings("ignore:The 'insecure_mode' connection property:DeprecationWarning")
CREATES_TABLE = re.compile(
    r"\bcreate\s+(or\s+replace\s+)?(transient\s+|temporary\s+|temp\s+|volatile\s+)?table\b", re.I
)
WITHOUT_TESTS = ("build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that the driver sends from this process, as it is sent."""
    sent: list[str] = []
    execute = SnowflakeCursor.execute

    def recording(self: SnowflakeCursor, command: str, *args: Any, **kwargs: Any) -> Any:
        sent.append(command)
        return execute(self, command, *args, **kwargs)

    monkeypatch.setattr(SnowflakeCursor, "execute", recording)
    return sent


def created(log: list[str]) -> Iterator[tuple[str, exp.Create]]:
    """Name (`schema.table`) and tree of every statement that creates a table which outlives its session."""
    for statement in log:
        if CREATES_TABLE.search(statement):
            for tree in sqlglot.parse(statement, dialect="snowflake"):
                if isinstance(tree, exp.Create) and tree.kind == "TABLE" and not tree.find(exp.TemporaryProperty):
                    table = tree.find(exp.Table)
                    assert table is not None
                    yield f"{table.db}.{table.name}".lower(), tree


def policy(tree: exp.Create) -> str | None:
    """Policy and columns that a CREATE binds."""
    found = [each.sql("snowflake").lower() for each in tree.find_all(exp.RowAccessProperty)]
    assert len(found) < 2
    return found[0] if found else None


EXPECTED = f"with row access policy {TENANT_POLICY} on (tenant_id)"


def with_tenants(warehouse: SnowflakeWarehouse) -> set[str]:
    """Tables that have a column tenant_id, whoever made them."""
    rows = warehouse.run(
        "select lower(table_schema) || '.' || lower(table_name) from information_schema.columns "
        "where lower(column_name) = 'tenant_id'"
    )
    return {name for (name,) in rows}


def test_ingest_creates_every_table_with_its_policy(emulator: Emulator, log: list[str]) -> None:
    with emulator.open("PROTECTED") as warehouse:
        warehouse.ensure(*RAW_TABLES)
        made = dict(created(log))
        assert with_tenants(warehouse) == made.keys() == {table.name for table in (*RAW_TABLES, BATCHES, QUARANTINE)}
        assert {policy(tree) for tree in made.values()} == {EXPECTED}
        log.clear()
        warehouse.ensure(*RAW_TABLES)
        assert not [each for each in log if "create" in each.lower()]


def unprotected(log: list[str], warehouse: SnowflakeWarehouse) -> list[str]:
    """Tables created otherwise than they should be: tenants' rows without the policy, or the policy without rows."""
    tenants = with_tenants(warehouse)
    faults = []
    for name, tree in created(log):
        bound = policy(tree)
        if bound != (EXPECTED if name in tenants else None):
            faults.append(f"{name}: {bound or 'no policy'}")
    return sorted(set(faults))


SMALL_PROJECT = {
    "dbt_project.yml": """
name: mercurios
profile: mercurios
flags: {send_anonymous_usage_stats: false}
models:
  mercurios:
    +schema: marts
    +row_access_policy: governance.tenant_isolation on (tenant_id)
snapshots:
  mercurios:
    +row_access_policy: governance.tenant_isolation on (tenant_id)
""",
    "macros/names.sql": "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}",
    "models/sold.sql": "{{ config(materialized='table') }} select 'north' as tenant_id, 1 as id, 2 as units",
    "models/days.sql": "{{ config(materialized='table', row_access_policy=none) }} select 1 as day",
    "models/added.sql": """
        {{ config(materialized='incremental', unique_key=['tenant_id', 'id'], incremental_strategy='delete+insert') }}
        select * from {{ ref('sold') }} {% if is_incremental() %} where id > 0 {% endif %}""",
    "snapshots/history.yml": """
snapshots:
  - name: history
    relation: ref('sold')
    config: {schema: snapshots, unique_key: [tenant_id, id], strategy: check, check_cols: [units]}
""",
}


def written(project: Path, **models: str) -> Path:
    """The smallest project with more models, in a folder."""
    more = {f"models/{name}.sql": query for name, query in models.items()}
    for name, content in {**SMALL_PROJECT, **more, "profiles.yml": (DBT / "profiles.yml").read_text()}.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return project


def test_dbt_binds_the_policy_of_tables_increments_and_snapshots(
    emulator: Emulator, log: list[str], tmp_path: Path
) -> None:
    """What the configuration `row_access_policy` of dbt-snowflake does, shown on the smallest project."""
    project = written(tmp_path / "project")
    target = snowflake_target(emulator, "SMALL")
    run_dbt(project, target, tmp_path / "state", command=("build",))
    run_dbt(project, target, tmp_path / "state", command=("run",))  # increments; the emulator cannot merge a snapshot
    with emulator.open("SMALL") as warehouse:
        assert unprotected(log, warehouse) == []
        assert with_tenants(warehouse) >= {"marts.sold", "marts.added", "snapshots.history"}
    names = [name for name, _ in created(log)]
    assert [names.count(name) for name in ("marts.sold", "marts.added", "snapshots.history")] == [2, 1, 1]


MERGED = "{{ config(materialized='incremental', unique_key=['tenant_id', 'id']) }} select * from {{ ref('sold') }}"


def test_what_dbt_works_in_meanwhile_is_its_sessions_own(emulator: Emulator, log: list[str], tmp_path: Path) -> None:
    """Increments and snapshots are computed into tables and views named `__dbt_tmp`, which no other session sees."""
    project = written(tmp_path / "project", merged=MERGED)
    target = snowflake_target(emulator, "MEANWHILE")
    run_dbt(project, target, tmp_path / "state", command=("build",))
    log.clear()
    run_dbt(project, target, tmp_path / "state", command=("run", "--select", "added"))
    for command in (("run", "--select", "merged"), ("snapshot",)):
        with pytest.raises(TransformFailed, match="Ambiguous reference to column name"):  # the emulator cannot merge
            run_dbt(project, target, tmp_path / "state", command=command)
    made = [" ".join(each.lower().replace('"', "").split()) for each in log if "create" in each.lower()]
    assert [each.partition(" as (")[0].partition(" with row")[0] for each in made] == [
        "create or replace temporary table meanwhile.marts.added__dbt_tmp",
        "create or replace temporary view meanwhile.marts.merged__dbt_tmp",
        "create or replace temporary table meanwhile.snapshots.history__dbt_tmp",
    ]


def test_a_table_that_only_has_no_fail_safe_is_no_temporary_one() -> None:
    """dbt can be told to compute increments into transient tables, which others see: that would be found."""
    statements = [
        f"create or replace {kind} table a.marts.x as (select 1 as id)" for kind in ("transient", "temporary")
    ]
    assert [name for name, tree in created(statements) if policy(tree) is None] == ["marts.x"]


def test_dbt_creates_every_table_with_its_policy(emulator: Emulator, log: list[str], tmp_path: Path) -> None:
    with emulator.open("PROTECTED_MARTS") as warehouse:
        fill(warehouse)
    run_dbt(DBT, snowflake_target(emulator, "PROTECTED_MARTS"), tmp_path, command=WITHOUT_TESTS)
    with emulator.open("PROTECTED_MARTS") as warehouse:
        assert unprotected(log, warehouse) == []
        assert len([name for name in with_tenants(warehouse) if name.startswith("marts.")]) > 10


def test_the_policy_of_the_adapter_is_the_declared_one() -> None:
    (declared,) = (item.name for item in wanted(read_declaration(), (), {}) if item.kind == "row policy")
    assert declared.partition(".")[2] == TENANT_POLICY


def test_duckdb_has_no_policies() -> None:
    with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
        assert warehouse.tenant_policy == ""
        warehouse.ensure(*RAW_TABLES)


def test_schemas_that_are_there_are_not_asked_for(emulator: Emulator, log: list[str]) -> None:
    """A loader may not create schemas, and CREATE SCHEMA IF NOT EXISTS is refused where the schema exists as well."""
    with emulator.open("SCHEMAS") as warehouse:
        for expected in (["create schema if not exists raw"], []):  # the connection itself made ops
            log.clear()
            warehouse.ensure(*RAW_TABLES)
            assert [each for each in log if "create schema" in each] == expected


def test_a_missing_policy_says_what_to_do(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator.open("UNGOVERNED") as warehouse:

        def refused(statement: str, _parameters: object = ()) -> list[tuple[Any, ...]]:
            if "row access policy" in statement:
                raise WarehouseError(f"Row access policy '{TENANT_POLICY.upper()}' does not exist or not authorized.")
            return []

        monkeypatch.setattr(warehouse, "run", refused)
        with pytest.raises(WarehouseError) as told:
            warehouse.ensure(*RAW_TABLES)
    assert "mercurios snowflake apply" in told.value.__notes__[0]
