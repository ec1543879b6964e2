"""The same dbt project through dbt-snowflake, on the emulator: marts equal DuckDB's, row for row.

Nothing here was verified against a real account. The emulator runs Snowflake's SQL on DuckDB, so this shows that the
project is valid in Snowflake's dialect and means the same, not how Snowflake itself rounds or performs.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mercurios.config import ROOT
from mercurios.errors import TransformFailed
from mercurios.tables import MARTS
from mercurios.transformation import BUILD_WITH_UNIT_TESTS, DbtResult, Target, run_dbt, semantic_manifest, target_for
from mercurios.warehouse import Warehouse
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.snowflake_emulator import Emulator
from tests.till import MERCHANTS, SOUTH, Row, fill

DBT = ROOT / "dbt"
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
    """Columns and rows of a mart; moments are UTC on both sides, with the zone in the type or without."""
    table = warehouse.table(f"marts.{mart}")
    rows = [
        [value.astimezone(UTC).replace(tzinfo=None) if _has_zone(value) else value for value in row.values()]
        for row in table.to_pylist()
    ]
    return table.column_names, sorted(map(str, rows))


def _has_zone(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def test_marts_are_the_same_on_snowflake_and_on_duckdb(emulator: Emulator, tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse)
    here = run_dbt(DBT, target_for(url), tmp_path / "duckdb", command=BUILD_WITH_UNIT_TESTS)
    there = build_on_snowflake(emulator, "TRANSFORM", tmp_path / "snowflake")
    assert [(node.name, node.status) for node in sorted(there.nodes, key=lambda node: node.name)] == [
        (node.name, node.status) for node in sorted(here.nodes, key=lambda node: node.name)
    ]
    with DuckDBWarehouse.open(url) as duckdb, emulator.open("TRANSFORM") as snowflake:
        for mart in MARTS:
            columns, rows = content(snowflake, mart)
            assert (columns, rows) == content(duckdb, mart), mart
            assert rows
    assert semantic_manifest(tmp_path / "snowflake")


def test_a_failing_test_is_named_on_snowflake_too(emulator: Emulator, tmp_path: Path) -> None:
    broken = {"south": {**SOUTH, "tenant_vat_rates": []}}
    with pytest.raises(TransformFailed, match="every_article_has_a_vat_rate") as failed:
        build_on_snowflake(emulator, "BROKEN", tmp_path, broken)
    assert "PRIVATE KEY" not in str(failed.value) + (tmp_path / "logs" / "dbt.log").read_text()
