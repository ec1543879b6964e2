"""The warehouse port, one suite for every adapter: a batch is in whole or not at all, and nothing changes twice."""

import itertools
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.config import ROOT
from mercurios.errors import BatchMismatch, ConfigError, SourceUnavailable, WarehouseBusy, WarehouseError
from mercurios.jobs.quarantine import dismiss, quarantined
from mercurios.warehouse import (
    BATCHES,
    QUARANTINE,
    Batch,
    Counts,
    Rejected,
    Scope,
    Snapshot,
    TableSpec,
    Warehouse,
    table_spec,
)
from mercurios.warehouse import duckdb as duckdb_adapter
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.warehouse.rows import key_hashes, row_hashes
from mercurios.warehouse.snowflake import Address, SnowflakeWarehouse
from tests.things import (
    AT,
    DAILY,
    FACTS,
    OWN,
    THINGS,
    alive,
    content,
    days,
    load,
    moment,
    rejected,
    rows,
    still_open,
    thing,
)


def test_rows_come_back_as_they_went_in(warehouse: Warehouse) -> None:
    given_rows = rows(thing("a", 2**53, -0.07), thing("ü\n'\"; --", -1, None), thing("c", is_deleted=True))
    counts = load(warehouse, "north", given_rows)
    assert counts == Counts(3, 3, 0, inserted=3, updated=0, unchanged=0, duplicates=0, deleted=0)
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
    counts = load(warehouse, "north", given_rows, batch="b2")
    assert counts == Counts(2, 2, 0, inserted=0, updated=0, unchanged=2, duplicates=0, deleted=0)
    assert content(warehouse) == before


def test_only_what_differs_is_written(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b"), thing("c")))
    counts = load(warehouse, "north", rows(thing("a"), thing("b", amount=0.2), thing("d")), batch="b2")
    assert counts == Counts(3, 3, 0, inserted=1, updated=1, unchanged=1, duplicates=0, deleted=0)
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
    assert counts == Counts(5, 5, 0, inserted=3, updated=0, unchanged=0, duplicates=2, deleted=0)
    assert {row["id"]: row["number"] for row in content(warehouse)} == {"a": 3, "b": 1, "c": 1}


def test_an_empty_batch_is_a_batch(warehouse: Warehouse) -> None:
    assert load(warehouse, "north") == Counts(0, 0, 0, 0, 0, 0, 0, 0)
    assert len(warehouse.batches()) == 1


def test_batches_are_accounted_for_and_their_quarantine_kept(warehouse: Warehouse) -> None:
    with warehouse.load(Batch("north", "b1", "thing", THINGS, AT)) as opened:
        opened.stage([rows(thing("a"), thing("b"))])
        reasons = ("number: expected integer, got null", "id: other")
        opened.reject([Rejected('{"id":"c"}', reasons, "c", date(2025, 12, 3))])
        counts = opened.commit(3, AT + timedelta(seconds=2))
    assert counts == Counts(3, 2, 1, inserted=2, updated=0, unchanged=0, duplicates=0, deleted=0)
    (stored,) = warehouse.batches()
    assert (stored.tenant_id, stored.batch_id, stored.entity, stored.counts) == ("north", "b1", "thing", counts)
    assert (stored.started_at, stored.finished_at) == (AT, AT + timedelta(seconds=2))
    (quarantined,) = content(warehouse, "ops.quarantine")
    assert quarantined == {
        "tenant_id": "north",
        "batch_id": "b1",
        "entity": "thing",
        "record_hash": "1ac3d47ee3ec47ae2a2b8bc7ead2d721",
        "record_id": "c",
        "day": date(2025, 12, 3),
        "record": '{"id":"c"}',
        "reasons": '["number: expected integer, got null", "id: other"]',
        "quarantined_at": AT.replace(tzinfo=None),
        "last_batch_id": "b1",
        "last_seen_at": AT.replace(tzinfo=None),
        "resolved_by": None,
        "resolved_at": None,
        "origin": None,
    }


@pytest.mark.parametrize("extracted", [1, 3, 0])
def test_numbers_that_do_not_add_up_leave_no_trace(warehouse: Warehouse, extracted: int) -> None:
    load(warehouse, "north", rows(thing("a")))
    before = content(warehouse)
    with warehouse.load(_batch("b2")) as opened:
        opened.stage([rows(thing("a", 9))])
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
        opened.stage([rows(thing("a", 9), thing("b"))])
        raise SourceUnavailable("the line is dead")
    assert content(warehouse) == before
    assert load(warehouse, "north", rows(thing("b")), batch="b3").inserted == 1


def test_what_the_rows_raise_on_their_way_comes_out_as_it_is(warehouse: Warehouse) -> None:
    dead = SourceUnavailable("the line is dead")

    def chunks() -> Iterator[pa.Table]:
        yield rows(thing("a"))
        raise dead

    with pytest.raises(SourceUnavailable) as caught, warehouse.load(_batch("b1")) as opened:
        opened.stage(itertools.chain([rows(thing("b"))] * 20_000, chunks()))
    assert caught.value is dead
    assert load(warehouse, "north", rows(thing("b"))).inserted == 1


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
            snapshot=Snapshot(broken, date(2026, 1, 2)),
        )
    assert content(warehouse) == before
    assert len(warehouse.batches()) == 1


def test_a_snapshot_keeps_a_row_a_day_and_is_replaced_on_the_same_day(warehouse: Warehouse) -> None:
    def snapshot(day: int) -> Snapshot:
        return Snapshot(DAILY, date(2026, 1, day))

    first = rows(thing("a", 1, 5.0), thing("b", 2, 6.0), thing("x", 3, is_deleted=True))
    load(warehouse, "north", first, snapshot=snapshot(2), deleted_column="is_deleted")
    load(warehouse, "south", rows(thing("a", 1, 50.0)), snapshot=snapshot(2))
    load(warehouse, "north", rows(thing("a", 1, 4.0)), batch="b2", snapshot=snapshot(2))
    load(warehouse, "north", rows(thing("a", 1, 3.0), thing("twin", 1, 2.0)), batch="b3", snapshot=snapshot(3))
    assert [tuple(row.values()) for row in content(warehouse, DAILY.name)] == [
        ("north", date(2026, 1, 2), 1, 4.0),
        ("north", date(2026, 1, 2), 2, 6.0),
        ("north", date(2026, 1, 3), 1, 2.0),
        ("north", date(2026, 1, 3), 2, 6.0),
        ("south", date(2026, 1, 2), 1, 50.0),
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


def test_the_rows_of_a_tenant_come_as_declared(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    load(warehouse, "south", rows(thing("b")))
    mine = warehouse.rows(THINGS, "north")
    assert mine.schema == THINGS.columns
    assert mine.to_pydict()["id"] == ["a"]
    nowhere = table_spec("raw.nowhere", "", {"name": pa.string()})
    assert warehouse.rows(nowhere, "north").schema == nowhere.columns


def test_a_forgotten_tenant_is_in_no_table_and_the_other_in_all(warehouse: Warehouse) -> None:
    for tenant_id in ("north", "south", "o'; drop table raw.things; --"):
        snapshot = Snapshot(DAILY, date(2026, 1, 2))
        load(warehouse, tenant_id, rows(thing("a"), thing("b")), rejects=[rejected("c")], snapshot=snapshot)
        warehouse.replace(FACTS, tenant_id, pa.table({"name": ["a"], "rate": [0.1]}))
    names = (*warehouse.tables("raw"), *warehouse.tables("ops"))
    before = {name: warehouse.count(name, "south") for name in names}
    assert 0 not in before.values()
    assert warehouse.forget("north") == before
    assert warehouse.forget("o'; drop table raw.things; --") == before
    assert {name: warehouse.count(name) for name in names} == before
    assert set(warehouse.forget("north").values()) == {0}


def test_rows_that_another_writer_brings_meanwhile_are_met(tmp_path: Path) -> None:
    """A replay, or a second machine: between the opening of a batch and its commit lies a whole read."""
    url = f"duckdb:///{tmp_path}/w.duckdb"
    with DuckDBWarehouse.open(url) as one, DuckDBWarehouse.open(url) as two:
        one.ensure(THINGS)
        with one.load(Batch("north", "b1", "thing", THINGS, AT)) as opened:
            opened.stage([rows(thing("a", 2), thing("c"))])
            load(two, "north", rows(thing("a"), thing("b")), batch="b2")
            counts = opened.commit(2, AT)
        assert (counts.inserted, counts.updated) == (1, 1)
        assert alive(one) == {"a": 2, "b": 1, "c": 1}
        assert one.count(THINGS.name) == 3


def test_a_key_that_is_there_twice_is_told_and_nothing_is_lost(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    copy = f"insert into {THINGS.name} select * from {THINGS.name}"
    warehouse.run(copy)  # type: ignore[attr-defined]
    with pytest.raises(BatchMismatch, match="a key more than once"):
        load(warehouse, "north", rows(thing("a"), thing("c")), batch="b2")
    assert {batch.batch_id for batch in warehouse.batches()} == {"b1"}


def test_a_row_without_a_hash_is_replaced(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    warehouse.run(f"update {THINGS.name} set _row_hash = null")  # type: ignore[attr-defined]
    counts = load(warehouse, "north", rows(thing("a"), thing("z")), batch="b2")
    assert (counts.inserted, counts.updated) == (1, 1)
    assert warehouse.count(THINGS.name) == 2


def test_a_count_of_what_is_missing_that_failed_hides_no_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb") as warehouse:
        warehouse.ensure(THINGS)
        load(warehouse, "north", rows(thing("a"), thing("b")))
        with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"), Scope())) as opened:
            opened.stage([rows(thing("a"))])
            with monkeypatch.context() as patch:
                patch.setattr("mercurios.warehouse.merging.count_gone", lambda *_: "select nothing")
                with pytest.raises(WarehouseError):
                    opened.missing()
            assert opened.commit(1, AT).deleted == 1


def test_columns_that_are_missing_are_added_and_rows_of_before_are_matched(warehouse: Warehouse) -> None:
    """The tables as the version before wrote them: no variant, no key hash, no deletes, no life of a broken record."""
    old = {
        THINGS: {"_variant", "_key_xxh3", "_deleted_at"},
        BATCHES: {"deleted", "scope"},
        QUARANTINE: {
            "record_hash",
            "record_id",
            "day",
            "last_batch_id",
            "last_seen_at",
            "resolved_by",
            "resolved_at",
            "origin",
        },
    }
    broken, snapshot = [rejected("x", "X")], days(1, 5)
    load(warehouse, "north", rows(thing("a"), thing("b"), thing("c")), rejects=broken)
    load(warehouse, "south", rows(thing("a")))
    for table, columns in old.items():
        for column in sorted(columns):
            warehouse.run(f"alter table {table.name} drop column {column}")  # type: ignore[attr-defined]
    assert [batch.counts.deleted for batch in warehouse.batches()] == [0, 0]
    warehouse.ensure(THINGS)
    warehouse.ensure(THINGS)
    assert {row["_key_xxh3"] is None for row in content(warehouse)} == {False}
    counts = load(warehouse, "north", rows(thing("a"), thing("b", 2), thing("d")), batch="b2", scope=snapshot)
    assert counts == Counts(3, 3, 0, inserted=1, updated=1, unchanged=1, duplicates=0, deleted=1)
    assert (alive(warehouse), alive(warehouse, "south")) == ({"a": 1, "b": 2, "d": 1}, {"a": 1})
    assert load(warehouse, "north", batch="b3", rejects=broken, scope=Scope()).deleted == 3
    assert still_open(warehouse) == [("X", "b3", "b3")]


def test_a_column_of_another_type_is_told_before_anything_is_changed(warehouse: Warehouse) -> None:
    changed = table_spec("raw.facts", "", {"name": pa.int64(), "rate": pa.float64(), "more": pa.string()})
    with pytest.raises(WarehouseError, match=r"raw\.facts: expected column name as \w+, found \w+; rename the column"):
        warehouse.ensure(changed)
    assert "more" not in warehouse.table("raw.facts").column_names


@pytest.mark.parametrize(
    "chunk",
    [
        rows(thing("a")).drop_columns(["size"]),
        rows(thing("a")).append_column("card", pa.array(["secret"])),
        rows(thing("a")).set_column(1, "number", pa.array(["secret"])),
    ],
    ids=["column missing", "column unknown", "other type"],
)
def test_rows_that_do_not_fit_are_told_without_their_values(warehouse: Warehouse, chunk: pa.Table) -> None:
    with pytest.raises(WarehouseError, match=r"raw\.things: expected rows of id string, number int64") as caught:
        load(warehouse, "north", chunk)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert warehouse.count(THINGS.name) == 0


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


def test_hashes_are_those_of_the_published_test_vectors() -> None:
    assert row_hashes(pl.DataFrame({"a": ["abc"]})).item() == "6437b3ac38465133ffb63b75273a8db5"  # BLAKE3, 128 bits
    assert key_hashes(pl.DataFrame({"id": [""]}), ("id",)).item() == 0x2D06800538D394C2  # XXH3 of nothing


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
    assert row_hashes(frame).to_list() == ["7d0528854abccc864fe7dbd1e06069e8", "47db88fd6196087979c9b784e0f23ae4"]


def test_a_variant_is_part_of_the_row_and_none_leaves_the_hash_as_it_was() -> None:
    frame = pl.DataFrame({"a": ["x", "x", "x"], "_variant": [None, "{}", '{"b":1}']})
    first, *others = row_hashes(frame).to_list()
    assert first == row_hashes(frame.select("a")).to_list()[0]
    assert len({first, *others}) == 3


def test_key_hashes_never_change_and_differ_by_tenant() -> None:
    frame = pl.DataFrame({"tenant_id": ["north", "south", "north"], "id": ["a", "a", "ü"]})
    hashes = key_hashes(frame, ("tenant_id", "id"))
    assert hashes.to_list() == [6974302043661711800, 1679245064862293425, -8846806519131917674]
    assert hashes.dtype == pl.Int64


# --- the way in ---------------------------------------------------------------------------------------------------


class Appended(DuckDBWarehouse):
    """Remembers how many rows came at a time."""

    def append(self, table: str, chunks: Iterable[pa.Table]) -> None:
        self.sizes = []

        def counted() -> Iterator[pa.Table]:
            for chunk in chunks:
                self.sizes.append(chunk.num_rows)
                yield chunk

        super().append(table, counted())


def test_chunks_of_any_size_travel_in_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = rows(thing("a"))
    monkeypatch.setattr("mercurios.warehouse.rows.CHUNK_ROWS", 50)
    sizes = [10] * 6 + [0, 1, 120]
    batch = Batch("north", "b1", "thing", THINGS, AT)
    with Appended(duckdb.connect(), ":memory:") as warehouse:
        warehouse.ensure(THINGS)
        with warehouse.load(batch) as opened:
            opened.stage(pa.concat_tables([wide] * size) if size else wide.slice(1) for size in sizes)
            assert warehouse.sizes == [50, 61, 50, 20]
            assert opened.commit(sum(sizes), AT).duplicates == sum(sizes) - 1


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


KILLED = """
import os, signal, sys
from tests.things import AT, DAILY, FACTS, THINGS, rejected, rows, thing
from mercurios.warehouse import Batch, Scope, Snapshot
from mercurios.warehouse.duckdb import DuckDBWarehouse
import pyarrow as pa
from datetime import date

class Dying(DuckDBWarehouse):
    left = None

    def run(self, statement, parameters=()):
        if self.left is not None:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().run(statement, parameters)

records = rows(thing("a", 2), *(thing(str(number)) for number in range(500)))
facts = pa.table({"name": ["b"], "rate": [0.2]})

def second_batch(place, left):
    with Dying.open(f"duckdb:///{place}") as warehouse:
        batch = Batch("north", "b2", "thing", THINGS, AT, Scope(), Snapshot(DAILY, date(2026, 1, 3)))
        with warehouse.load(batch) as load:
            load.stage([records])
            load.reject([rejected("y", "Y")])
            warehouse.left = left
            load.commit(502, AT, beside={FACTS: facts})

for left in range(1, 31):
    child = os.fork()
    if not child:
        second_batch(f"{sys.argv[1]}/{left}.duckdb", left)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(left, os.WTERMSIG(status) if os.WIFSIGNALED(status) else "done")
"""


@dataclass(frozen=True)
class Killed:
    """Warehouses whose process was killed at the n-th statement of its second batch; `log` is of one after its end."""

    folder: Path
    ends: Mapping[str, str]
    log: bytes


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    with DuckDBWarehouse.open(f"duckdb:///{folder}/first.duckdb") as warehouse:
        warehouse.ensure(THINGS, DAILY, FACTS)
        load(warehouse, "south", rows(thing("a")))
        load(warehouse, "north", rows(thing("a"), thing("z")), rejects=[rejected("x", "X")])
    for left in range(1, 31):
        shutil.copy(folder / "first.duckdb", folder / f"{left}.duckdb")
    output = subprocess.check_output([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, text=True)
    logs = [path.read_bytes() for path in folder.glob("*.wal")]
    return Killed(folder, dict(line.split() for line in output.splitlines()), max(logs, key=len))


def batches_that_are_there_whole(place: Path) -> int:
    with DuckDBWarehouse.open(f"duckdb:///{place}") as warehouse:
        tables = (BATCHES, THINGS, DAILY, FACTS, QUARANTINE)
        found = [warehouse.count(table.name, "north") for table in tables]
        assert found in ([1, 2, 0, 0, 1], [2, 502, 2, 1, 2])
        assert len(alive(warehouse)) == (2 if found[0] == 1 else 501)
        assert alive(warehouse, "south") == {"a": 1}
        return found[0]


def test_a_process_killed_at_any_statement_leaves_the_batch_whole_or_not_at_all(killed: Killed) -> None:
    found = {(end, batches_that_are_there_whole(killed.folder / f"{n}.duckdb")) for n, end in killed.ends.items()}
    assert found == {("9", 1), ("9", 2), ("done", 2)}


def test_a_commit_torn_anywhere_leaves_the_batch_whole_or_not_at_all(killed: Killed, tmp_path: Path) -> None:
    """What was on its way to the disk when the machine stopped: the log of a commit, cut off at any byte."""
    size, found = len(killed.log), set()
    for cut in (*range(1, size, size // 12), size - 1, size):
        place = tmp_path / f"{cut}.duckdb"
        shutil.copy(killed.folder / "first.duckdb", place)
        place.with_name(f"{place.name}.wal").write_bytes(killed.log[:cut])
        found.add(batches_that_are_there_whole(place))
    assert found == {1, 2}


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
    with DuckDBWarehouse.open(url) as first, DuckDBWarehouse.open(url, memory_mb=300) as second:
        first.ensure(FACTS)
        assert second.tables("raw") == ("raw.facts",)
        with pytest.raises(WarehouseBusy, match="close that one first"):
            DuckDBWarehouse.open(url, read_only=True)


def test_duckdb_is_allowed_more_memory_as_long_as_many_rows_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_adapter, "BYTES_A_ROW", 100_000_000)
    with DuckDBWarehouse.open("duckdb:///:memory:", memory_mb=150) as warehouse:
        warehouse.ensure(THINGS)

        def allowed() -> object:
            return warehouse.run("select current_setting('memory_limit')")[0][0]

        assert allowed() == "143.0 MiB"
        with warehouse.load(Batch("north", "b1", "thing", THINGS, AT)) as opened:
            opened.stage([rows(thing("a"))])
            assert allowed() == "143.0 MiB"
            opened.stage([rows(thing("b"), thing("c"))])  # of both passes together
            assert allowed() == "286.1 MiB"
        assert allowed() == "143.0 MiB"


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


def test_a_quarantined_record_is_dismissed_and_is_open_again_when_it_comes_again(warehouse: Warehouse) -> None:
    for name in ("north", "south"):
        load(warehouse, name, rows(thing("a")), rejects=[rejected("x", "X")])
    (held,) = quarantined(warehouse, "north")
    dismiss(warehouse, "north", [held.number[:5]], "in the corrected file", AT)
    assert quarantined(warehouse, "north") == ()
    assert [one.resolved_by for one in quarantined(warehouse, "north", resolved=True)] == [
        "dismissed: in the corrected file"
    ]
    load(warehouse, "north", rows(thing("a")), batch="b2", rejects=[rejected("x", "X")])
    assert [one.number for one in quarantined(warehouse, "north")] == [held.number]
    assert len(quarantined(warehouse, "south")) == 1
