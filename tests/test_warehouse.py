"""The warehouse port, one suite for every adapter: a batch is in whole or not at all, and nothing changes twice."""

import itertools
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import BatchMismatch, ConfigError, SourceUnavailable, WarehouseBusy, WarehouseError
from mercurios.warehouse import Batch, Counts, Rejected, Snapshot, TableSpec, Warehouse, raw_table, table_spec
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.warehouse.rows import row_hashes
from mercurios.warehouse.snowflake import Address, SnowflakeWarehouse
from tests.snowflake_emulator import Emulator, emulator_fixture  # noqa: F401

AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
OWN = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int64()),
        ("amount", pa.float64()),
        ("is_deleted", pa.bool_()),
        ("date", pa.timestamp("us")),
        ("time", pa.int64()),
        ("type", pa.int64()),
        ("size", pa.string()),
    ]
)
THINGS = raw_table("raw.things", "id", {field.name: field.type for field in OWN})
DAILY = table_spec(
    "raw.things_daily",
    "snapshot_on number",
    {"snapshot_on": pa.date32(), "number": pa.int64(), "amount": pa.float64()},
)
FACTS = table_spec("raw.facts", "", {"name": pa.string(), "rate": pa.float64()})
_databases = itertools.count()


@pytest.fixture(params=["duckdb", "snowflake"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse with the tables of these tests."""
    if request.param == "duckdb":
        opened: Warehouse = DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb")
    else:
        emulator: Emulator = request.getfixturevalue("emulator")
        opened = emulator.open(f"PORT_{next(_databases)}")
    with opened:
        opened.ensure(THINGS, DAILY, FACTS)
        yield opened


def thing(thing_id: str, number: int = 1, amount: float | None = 0.1, *, is_deleted: bool = False) -> dict[str, object]:
    day = datetime(2025, 12, 31, 23, 59, 59, 123456)
    return {"id": thing_id, "number": number, "amount": amount, "is_deleted": is_deleted, "date": day, "time": 1} | {
        "type": None,
        "size": "",
    }


def rows(*things: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(things), schema=OWN)


def load(
    warehouse: Warehouse, tenant_id: str, *chunks: pa.Table, batch: str = "b1", hours: int = 0, **more: object
) -> Counts:
    at = AT + timedelta(hours=hours)
    with warehouse.load(Batch(tenant_id, batch, "thing", THINGS, at, **more)) as opened:  # type: ignore[arg-type]
        for chunk in chunks:
            opened.stage(chunk)
        return opened.commit(sum(chunk.num_rows for chunk in chunks), at + timedelta(seconds=9))


def content(warehouse: Warehouse, name: str = THINGS.name) -> list[dict[str, object]]:
    return sorted(warehouse.table(name).to_pylist(), key=str)


def test_rows_come_back_as_they_went_in(warehouse: Warehouse) -> None:
    given_rows = rows(thing("a", 2**53, -0.07), thing("ü\n'\"; --", -1, None), thing("c", is_deleted=True))
    counts = load(warehouse, "north", given_rows)
    assert counts == Counts(3, 3, 0, inserted=3, updated=0, unchanged=0, duplicates=0)
    table = warehouse.table(THINGS.name)
    assert table.schema.equals(pa.schema([pa.field(field.name, field.type) for field in THINGS.columns]))
    assert sorted(table.select(OWN.names).to_pylist(), key=str) == sorted(given_rows.to_pylist(), key=str)
    moment = AT.replace(tzinfo=None)
    assert {(row["tenant_id"], row["_batch_id"], row["_extracted_at"]) for row in table.to_pylist()} == {
        ("north", "b1", moment)
    }


def test_the_same_rows_again_change_nothing(warehouse: Warehouse) -> None:
    given_rows = rows(thing("a"), thing("b"))
    load(warehouse, "north", given_rows)
    before = content(warehouse)
    counts = load(warehouse, "north", given_rows, batch="b2", hours=1)
    assert counts == Counts(2, 2, 0, inserted=0, updated=0, unchanged=2, duplicates=0)
    assert content(warehouse) == before


def test_only_what_differs_is_written(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b"), thing("c")))
    counts = load(warehouse, "north", rows(thing("a"), thing("b", amount=0.2), thing("d")), batch="b2", hours=1)
    assert counts == Counts(3, 3, 0, inserted=1, updated=1, unchanged=1, duplicates=0)
    assert {row["id"]: (row["amount"], row["_batch_id"]) for row in content(warehouse)} == {
        "a": (0.1, "b1"),
        "b": (0.2, "b2"),
        "c": (0.1, "b1"),
        "d": (0.1, "b2"),
    }


def test_tenants_do_not_touch_each_other(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a", 1), thing("b", 1)))
    counts = load(warehouse, "south", rows(thing("a", 2)))
    assert counts.inserted == 1
    assert (warehouse.count(THINGS.name, "north"), warehouse.count(THINGS.name, "south")) == (2, 1)
    assert warehouse.count(THINGS.name) == 3
    assert {row["number"] for row in content(warehouse) if row["tenant_id"] == "north"} == {1}


def test_of_rows_with_one_key_the_last_counts_also_across_chunks(warehouse: Warehouse) -> None:
    first, second = rows(thing("a", 1), thing("b", 1), thing("a", 2)), rows(thing("a", 3), thing("c", 1))
    counts = load(warehouse, "north", first, second)
    assert counts == Counts(5, 5, 0, inserted=3, updated=0, unchanged=0, duplicates=2)
    assert {row["id"]: row["number"] for row in content(warehouse)} == {"a": 3, "b": 1, "c": 1}


def test_an_empty_batch_is_a_batch(warehouse: Warehouse) -> None:
    assert load(warehouse, "north") == Counts(0, 0, 0, 0, 0, 0, 0)
    assert len(warehouse.batches()) == 1


def test_batches_are_accounted_for_and_their_quarantine_kept(warehouse: Warehouse) -> None:
    with warehouse.load(Batch("north", "b1", "thing", THINGS, AT)) as opened:
        opened.stage(rows(thing("a"), thing("b")))
        opened.reject([Rejected('{"id":"c"}', ("number: expected integer, got null", "id: other"))])
        counts = opened.commit(3, AT + timedelta(seconds=2))
    assert counts == Counts(3, 2, 1, inserted=2, updated=0, unchanged=0, duplicates=0)
    (stored,) = warehouse.batches()
    assert (stored.tenant_id, stored.batch_id, stored.entity, stored.counts) == ("north", "b1", "thing", counts)
    assert (stored.started_at, stored.finished_at) == (AT, AT + timedelta(seconds=2))
    (quarantined,) = content(warehouse, "ops.quarantine")
    assert quarantined == {
        "tenant_id": "north",
        "batch_id": "b1",
        "entity": "thing",
        "record": '{"id":"c"}',
        "reasons": '["number: expected integer, got null", "id: other"]',
        "quarantined_at": AT.replace(tzinfo=None),
    }


@pytest.mark.parametrize("extracted", [1, 3, 0])
def test_numbers_that_do_not_add_up_leave_no_trace(warehouse: Warehouse, extracted: int) -> None:
    load(warehouse, "north", rows(thing("a")))
    before = content(warehouse)
    with warehouse.load(_batch("b2")) as opened:
        opened.stage(rows(thing("a", 9)))
        opened.reject([Rejected("{}", ("why",))])
        with pytest.raises(BatchMismatch, match=f"{extracted} records extracted, but 1 loaded and 1 quarantined"):
            opened.commit(extracted, AT)
    assert content(warehouse) == before
    assert warehouse.count("ops.quarantine") == 0
    assert [batch.batch_id for batch in warehouse.batches()] == ["b1"]


def test_a_read_that_dies_leaves_no_trace(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    before = content(warehouse)
    with suppress(SourceUnavailable), warehouse.load(_batch("b2")) as opened:
        opened.stage(rows(thing("a", 9), thing("b")))
        raise SourceUnavailable("the line is dead")
    assert content(warehouse) == before
    assert load(warehouse, "north", rows(thing("b")), batch="b3").inserted == 1


def test_a_merge_that_fails_leaves_no_trace(warehouse: Warehouse) -> None:
    """The second statement of the transaction fails, after the merge: a required column is null."""
    load(warehouse, "north", rows(thing("a")))
    before = content(warehouse)
    broken = table_spec("raw.nowhere", "snapshot_on", {"snapshot_on": pa.date32(), "number": pa.int64()})
    with pytest.raises(WarehouseError):
        load(
            warehouse,
            "north",
            rows(thing("a", 9)),
            batch="b2",
            snapshot=Snapshot(broken, date(2026, 1, 2), "is_deleted"),
        )
    assert content(warehouse) == before
    assert len(warehouse.batches()) == 1


def test_a_snapshot_keeps_a_row_a_day_and_is_replaced_on_the_same_day(warehouse: Warehouse) -> None:
    def snapshot(day: int) -> Snapshot:
        return Snapshot(DAILY, date(2026, 1, day), unless="is_deleted")

    load(
        warehouse,
        "north",
        rows(thing("a", 1, 5.0), thing("b", 2, 6.0), thing("x", 3, is_deleted=True)),
        snapshot=snapshot(2),
    )
    load(warehouse, "south", rows(thing("a", 1, 50.0)), snapshot=snapshot(2))
    load(warehouse, "north", rows(thing("a", 1, 4.0)), batch="b2", snapshot=snapshot(2))
    load(warehouse, "north", rows(thing("a", 1, 3.0), thing("twin", 1, 2.0)), batch="b3", snapshot=snapshot(3))
    assert content(warehouse, DAILY.name) == [
        {"tenant_id": "north", "snapshot_on": date(2026, 1, 2), "number": 1, "amount": 4.0},
        {"tenant_id": "north", "snapshot_on": date(2026, 1, 3), "number": 1, "amount": 2.0},
        {"tenant_id": "south", "snapshot_on": date(2026, 1, 2), "number": 1, "amount": 50.0},
    ]


def test_replacing_leaves_other_tenants_alone(warehouse: Warehouse) -> None:
    for tenant_id, names in (("north", ["a", "b"]), ("south", ["c"]), ("north", ["d"])):
        warehouse.replace(FACTS, tenant_id, pa.table({"name": names, "rate": [0.19] * len(names)}))
    assert [(row["tenant_id"], row["name"]) for row in content(warehouse, FACTS.name)] == [
        ("north", "d"),
        ("south", "c"),
    ]
    warehouse.replace(FACTS, "north", pa.table({"name": pa.array([], pa.string()), "rate": pa.array([], pa.float64())}))
    assert warehouse.count(FACTS.name, "north") == 0


def test_tables_are_listed_by_schema_and_ensuring_twice_keeps_them(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    warehouse.ensure(THINGS, DAILY, FACTS)
    assert warehouse.count(THINGS.name) == 1
    assert warehouse.tables("raw") == ("raw.facts", "raw.things", "raw.things_daily")
    assert warehouse.tables("ops") == ("ops.batches", "ops.quarantine")
    assert warehouse.tables("nowhere") == ()


@pytest.mark.parametrize("name", ["things", "raw.things; drop table raw.things", "raw.", "", "Raw.Things"])
def test_only_plain_names_are_read(warehouse: Warehouse, name: str) -> None:
    with pytest.raises(WarehouseError, match=r"expected schema\.table in lower case"):
        warehouse.table(name)


def test_a_missing_table_is_a_warehouse_error(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"(?i)nowhere"):
        warehouse.count("raw.nowhere")


@pytest.mark.parametrize(
    ("name", "key", "columns"),
    [("raw.x; --", "", ["a"]), ("raw", "", ["a"]), ("raw.x", "b", ["a"]), ("raw.x", "", ["A b"])],
)
def test_a_table_is_declared_with_plain_names(name: str, key: str, columns: list[str]) -> None:
    with pytest.raises(WarehouseError):
        TableSpec(name, pa.schema([(column, pa.string()) for column in columns]), tuple(key.split()))


def _batch(batch_id: str) -> Batch:
    return Batch("north", batch_id, "thing", THINGS, AT)


# --- the row hash --------------------------------------------------------------------------------------------------

VALUES = st.tuples(
    st.none() | st.text(max_size=3), st.none() | st.integers(-9, 9), st.none() | st.sampled_from([0.1, 1.0])
)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=8))
def test_rows_hash_alike_exactly_when_they_are_alike(values: list[tuple[str | None, int | None, float | None]]) -> None:
    frame = pl.DataFrame(values, schema={"a": pl.String, "b": pl.Int64, "c": pl.Float64}, orient="row")
    hashes = row_hashes(frame).to_list()
    assert len(set(hashes)) == len(set(values))
    assert hashes == [row_hashes(frame[place : place + 1]).item() for place in range(frame.height)]


def test_row_hashes_never_change() -> None:
    """A warehouse holds the hashes of earlier versions: another way of hashing would rewrite every row."""
    frame = pl.DataFrame(
        {
            "a": ["ü", None],
            "b": [1, 2],
            "c": [0.1, -7.0],
            "d": [True, None],
            "e": [datetime(2025, 1, 2, 3, 4, 5, 6), None],
        }
    )
    assert row_hashes(frame).to_list() == ["5d34e409a4387f946a4a076cee1329f4", "36d66100927afbb3f3798809ff55cf41"]


# --- DuckDB alone ----------------------------------------------------------------------------------------------------


def test_another_process_that_writes_makes_it_busy(tmp_path: Path) -> None:
    place = tmp_path / "w.duckdb"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(place)!r}); print('held', flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WarehouseBusy, match="wait for that job to end"):
            DuckDBWarehouse.open(f"duckdb:///{place}")
    finally:
        holder.communicate("\n", timeout=20)
    DuckDBWarehouse.open(f"duckdb:///{place}").close()


def test_the_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/deep/er/w.duckdb") as warehouse:
        warehouse.ensure(FACTS)
    assert [stat.S_IMODE((tmp_path / place).stat().st_mode) for place in ("deep", "deep/er")] == [0o700, 0o700]
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/deep/er/w.duckdb", read_only=True) as warehouse:
        assert warehouse.tables("raw") == ("raw.facts",)
        with pytest.raises(WarehouseError, match="read-only"):
            warehouse.replace(FACTS, "north", pa.table({"name": ["a"], "rate": [0.1]}))


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("no database" * 1000)
    with pytest.raises(WarehouseError, match="cannot be opened as a DuckDB database"):
        DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match=r"cannot make the folder .*: Not a directory"):
        DuckDBWarehouse.open(f"duckdb:///{tmp_path}/file/folder/w.duckdb")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no warehouse at"):
        DuckDBWarehouse.open(f"duckdb:///{tmp_path}/new/w.duckdb", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["duckdb:///", "duckdb://host/w.duckdb", "sqlite:///w.db", ""])
def test_only_duckdb_urls_are_taken(url: str) -> None:
    with pytest.raises(ConfigError, match="duckdb:///var/warehouse"):
        DuckDBWarehouse.open(url)


def test_a_second_opening_in_one_process_shares_the_file_unless_it_wants_it_otherwise(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/w.duckdb"
    with DuckDBWarehouse.open(url) as first, DuckDBWarehouse.open(url, memory="300MB") as second:
        first.ensure(FACTS)
        assert second.tables("raw") == ("raw.facts",)
        with pytest.raises(WarehouseBusy, match="close that one first"):
            DuckDBWarehouse.open(url, read_only=True)


def test_an_empty_warehouse_has_no_batches() -> None:
    with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
        assert warehouse.batches() == ()


# --- Snowflake alone -------------------------------------------------------------------------------------------------


def test_a_snowflake_url_names_who_and_where() -> None:
    address = Address.parse("snowflake://svc%2Bx@org-account/MERCURIOS?warehouse=LOADING&role=LOADER")
    assert address == Address("svc+x", "org-account", "MERCURIOS", "LOADING", "LOADER")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("snowflake://account/DB?warehouse=W", "user missing"),
        ("snowflake://user@account?warehouse=W", "database missing"),
        ("snowflake://user@account/DB", "warehouse missing"),
        ("snowflake://user:password@account/DB?warehouse=W", "a password in it"),
    ],
)
def test_a_snowflake_url_that_lacks_something_is_told_without_repeating_it(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Address.parse(url)
    assert "password@" not in str(caught.value)


def test_a_private_key_that_is_none_is_told_without_repeating_it() -> None:
    url = "snowflake://user@account/DB?warehouse=W"
    with pytest.raises(ConfigError, match="expected a PEM") as caught:
        SnowflakeWarehouse.open(url, private_key="-----not a key-----")
    assert "not a key" not in str(caught.value)
