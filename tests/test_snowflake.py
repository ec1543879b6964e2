"""The same ingest into Snowflake: real connector, real prefect-snowflake, an emulator at the other end.

The port itself is tested on both adapters in test_warehouse.py. Nothing here was verified against a real account.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from prefect_snowflake import SnowflakeConnector, SnowflakeCredentials

from mercurios.errors import ConfigError, SourceUnavailable, WarehouseError
from mercurios.jobs.ingest import RAW_TABLES, Extent, Run, ingest
from mercurios.sandbox import Faults, Merchant, Profile, running
from mercurios.sources.prohandel import ProHandel
from mercurios.warehouse import BATCHES, QUARANTINE, Warehouse
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.warehouse.snowflake import Endpoint, SnowflakeWarehouse
from tests.prohandel_double import KEY, SECRET, tenant
from tests.snowflake_emulator import Emulator
from tests.things import FACTS
from tests.tiny import tiny_merchant

AT = datetime(2026, 1, 2, 8, tzinfo=UTC)
SLICE = {name: {e: f.head(400) for e, f in tiny_merchant(seed).items()} for name, seed in (("north", 1), ("south", 2))}
ENTITIES = ("branch", "customer", "articlesize", "sale")
RUN_COLUMNS = {
    "_batch_id",
    "batch_id",
    "last_batch_id",
    "resolved_by",
    "_extracted_at",
    "started_at",
    "finished_at",
    "quarantined_at",
    "last_seen_at",
    "resolved_at",
}


def ingest_slice(folder: Path, warehouse: Warehouse, at: datetime, change: float = 0) -> list[tuple[object, ...]]:
    """Ingest both tenants with two broken sale lines each; return what the batches counted."""
    counted = []
    for name, frames in SLICE.items():
        changed = {**frames, "sale": frames["sale"].with_columns(pl.col("discount") + change)}
        merchant = Merchant(name, KEY, SECRET, changed, Profile(), Faults(wrong_types={"sale": 2}))
        with running([merchant]) as sandbox:
            given = tenant(folder, name, auth_url=sandbox.auth_url, page_size=150)
            with ProHandel(given) as source:
                report = ingest(source, given, warehouse, Run(at, folder / "spool", Extent(entities=ENTITIES)))
        counted += [(name, *list(vars(batch).values())[:-1]) for batch in report.batches]
    return counted


def content(warehouse: Warehouse) -> Mapping[str, list[str]]:
    """Every row of every table, without what differs from run to run."""
    names = [table.name for table in (*RAW_TABLES, BATCHES, QUARANTINE)]
    rows = {name: warehouse.table(name) for name in names}
    kept = {name: table.drop_columns(list(RUN_COLUMNS & set(table.column_names))) for name, table in rows.items()}
    return {name: sorted(map(str, table.to_pylist())) for name, table in kept.items()}


def still_open(warehouse: Warehouse) -> dict[str, int]:
    """Broken records that are not resolved, by tenant."""
    rows = warehouse.table(QUARANTINE.name).to_pylist()
    return dict(Counter(row["tenant_id"] for row in rows if row["resolved_by"] is None))


@pytest.fixture(scope="module")
def snowflake(emulator: Emulator) -> Iterator[SnowflakeWarehouse]:
    with emulator.open("BOTH_WAREHOUSES") as warehouse:
        yield warehouse


def test_both_warehouses_hold_the_same_rows_after_the_same_runs(tmp_path: Path, snowflake: SnowflakeWarehouse) -> None:
    with DuckDBWarehouse.open("duckdb:///:memory:") as duckdb:
        for hours, change in ((0, 0.0), (1, 0.01)):
            at = AT + timedelta(hours=hours)
            counted = ingest_slice(tmp_path, duckdb, at, change)
            assert ingest_slice(tmp_path, snowflake, at, change) == counted
        there, here = content(snowflake), content(duckdb)
        for name, rows in here.items():
            assert sorted(set(there[name]) ^ set(rows)) == [], name
            assert there[name] == rows, name
        assert {name: snowflake.count(name, "south") for name in here} == {
            name: duckdb.count(name, "south") for name in here
        }
        for table in RAW_TABLES:
            assert snowflake.table(table.name).schema.equals(duckdb.table(table.name).schema), table.name
    assert snowflake.count("raw.prohandel_sale", "north") == 398
    assert still_open(snowflake) == {"north": 2, "south": 2}


def test_money_of_a_mart_stays_decimal(snowflake: SnowflakeWarehouse) -> None:
    snowflake.run("create schema if not exists marts")
    snowflake.run("create table marts.sums as select cast(12345.67 as number(18, 2)) as revenue, 3 as branch")
    assert snowflake.table("marts.sums").to_pydict() == {"revenue": [Decimal("12345.67")], "branch": [3]}
    assert snowflake.table("marts.sums").schema.types == [pa.decimal128(18, 2), pa.int64()]


def test_many_chunks_are_one_copy_and_an_upload_that_broke_off_is_never_copied(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(*names: str) -> Iterator[pa.Table]:
        for name in names:
            if name == "broken":
                raise SourceUnavailable("the line is dead")
            yield pa.table({"tenant_id": ["north"], "name": [name], "rate": [0.5]})

    statements: list[str] = []
    with emulator.open("CHUNKS") as warehouse:
        warehouse.ensure(FACTS)
        with pytest.raises(SourceUnavailable):
            warehouse.append(FACTS.name, chunks("a", "broken"))
        run = warehouse.run
        monkeypatch.setattr(warehouse, "run", lambda text, values=(): statements.append(text) or run(text, values))
        warehouse.append(FACTS.name, chunks("b", "c", "d"))
        warehouse.append(FACTS.name, chunks())
        assert sorted(warehouse.rows(FACTS, "north").to_pydict()["name"]) == ["b", "c", "d"]
    assert [text.split()[0] for text in statements[:4]] == ["put", "put", "put", "copy"]
    assert sum("copy into" in text for text in statements) == 1


def test_it_goes_through_prefects_blocks(snowflake: SnowflakeWarehouse, emulator: Emulator) -> None:
    assert isinstance(snowflake._connector, SnowflakeConnector)
    credentials = snowflake._connector.credentials
    assert isinstance(credentials, SnowflakeCredentials)
    assert (credentials.user, credentials.role, credentials.authenticator) == (emulator.user, "LOADER", "snowflake_jwt")
    connection = snowflake._connection
    assert (connection.login_timeout, connection.network_timeout) == (20, 20)
    assert emulator.private_key not in repr(snowflake) + repr(credentials) + repr(emulator)


def test_a_server_that_is_silent_is_a_warehouse_error(emulator: Emulator) -> None:
    silent = Endpoint("127.0.0.1", 9, "http", {"login_timeout": 1, "network_timeout": 1})
    with pytest.raises(WarehouseError, match="snowflake emulator/DB"):
        SnowflakeWarehouse.open(emulator.url("DB"), private_key=emulator.private_key, endpoint=silent)


@pytest.mark.parametrize(("key", "said"), [("", "no Snowflake private key is set"), ("x", "cannot be read")])
def test_a_key_that_is_none_says_where_it_belongs(emulator: Emulator, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SnowflakeWarehouse.open(emulator.url("DB"), private_key=key, endpoint=emulator.endpoint)


def test_an_encrypted_key_needs_its_passphrase(emulator: Emulator) -> None:
    key = load_pem_private_key(emulator.private_key.encode(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")).decode()
    url = emulator.url("ENCRYPTED")
    with SnowflakeWarehouse.open(
        url, private_key=pem, passphrase="open sesame", endpoint=emulator.endpoint
    ) as warehouse:
        assert warehouse.tables("raw") == ()
    for wrong in ("", "open barley"):
        with pytest.raises(ConfigError, match="passphrase"):
            SnowflakeWarehouse.open(url, private_key=pem, passphrase=wrong, endpoint=emulator.endpoint)
