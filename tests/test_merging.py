"""What a batch does to a table and to the quarantine: known answers on every adapter, and a model of the merge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import BatchMismatch, WarehouseError
from mercurios.warehouse import (
    QUARANTINE,
    Batch,
    Counts,
    Rejected,
    Scope,
    Snapshot,
    Warehouse,
    merging,
    table_spec,
)
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.things import (
    AT,
    DAILY,
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

# --- which of several counts -----------------------------------------------------------------------------------------


def test_of_rows_with_one_key_the_newest_counts_and_one_without_a_date_never_before_one_with(
    warehouse: Warehouse,
) -> None:
    first = rows(thing("a", 1, day=3), thing("a", 2, day=2), thing("a", 3, day=None), thing("b", 1, day=None))
    second = rows(thing("b", 2, day=None), thing("c", 1, day=5), thing("c", 2, day=5), thing("d", 7))
    counts = load(warehouse, "north", first, second, changed_column="date")
    assert (counts.loaded, counts.inserted, counts.duplicates) == (8, 4, 4)
    assert alive(warehouse) == {"a": 1, "b": 2, "c": 2, "d": 7}


# --- records that go and come again -----------------------------------------------------------------------------------


def test_what_the_source_marks_is_deleted_once_and_alive_again_when_unmarked(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b")), deleted_column="is_deleted")
    gone = rows(thing("a", is_deleted=True))
    counts = load(warehouse, "north", gone, batch="b2", deleted_column="is_deleted")
    assert (counts.updated, counts.deleted) == (1, 0)
    assert alive(warehouse) == {"b": 1}
    before = content(warehouse)
    assert {row["_deleted_at"] for row in before} == {None, moment("b2").replace(tzinfo=None)}
    assert load(warehouse, "north", gone, batch="b3", deleted_column="is_deleted").unchanged == 1
    assert content(warehouse) == before
    assert load(warehouse, "north", rows(thing("a")), batch="b4", deleted_column="is_deleted").updated == 1
    assert alive(warehouse) == {"a": 1, "b": 1}


def test_what_is_missing_from_everything_is_deleted_and_keeps_its_values(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b", 7), thing("c", day=None)))
    load(warehouse, "south", rows(thing("a"), thing("b")))
    (before,) = (row for row in content(warehouse) if row["number"] == 7)
    with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"), Scope())) as opened:
        opened.stage([rows(thing("a"), thing("d"))])
        assert opened.missing() == 2
        counts = opened.commit(2, moment("b2"))
    assert counts == Counts(2, 2, 0, inserted=1, updated=0, unchanged=1, duplicates=0, deleted=2)
    assert (alive(warehouse), alive(warehouse, "south")) == ({"a": 1, "d": 1}, {"a": 1, "b": 1})
    (after,) = (row for row in content(warehouse) if row["number"] == 7)
    now = moment("b2").replace(tzinfo=None)
    assert after == before | {"_batch_id": "b2", "_extracted_at": now, "_deleted_at": now}
    stored = {batch.batch_id: (batch.counts.deleted, batch.scope) for batch in warehouse.batches()}
    assert stored == {"b1": (0, None), "b2": (2, "everything")}
    deleted = content(warehouse)
    assert load(warehouse, "north", rows(thing("a"), thing("d")), batch="b3", scope=Scope()).deleted == 0
    assert content(warehouse) == deleted


@pytest.mark.parametrize(
    ("first", "until", "gone"),
    [
        (2, 4, {"2", "3"}),
        (None, 3, {"1", "2"}),
        (3, None, {"3", "4"}),
        (None, None, {"1", "2", "3", "4", "none"}),
        (6, 9, set()),
        (4, 2, set()),
    ],
)
def test_only_what_lies_in_the_scope_is_missing(
    warehouse: Warehouse, first: int | None, until: int | None, gone: set[str]
) -> None:
    first_load = rows(*(thing(str(day), day=day) for day in range(1, 5)), thing("none", day=None))
    load(warehouse, "north", first_load)
    load(warehouse, "south", first_load)
    with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"), days(first, until))) as opened:
        assert opened.missing() == len(gone)
        assert opened.commit(0, moment("b2")).deleted == len(gone)
    assert alive(warehouse).keys() == {"1", "2", "3", "4", "none"} - gone
    assert len(alive(warehouse, "south")) == 5


def test_a_scope_ends_before_the_midnight_of_its_last_day(warehouse: Warehouse) -> None:
    midnight = rows(thing("a") | {"date": datetime(2025, 12, 2)})
    load(warehouse, "north", midnight, rejects=[rejected("x", "X", day=2)])
    load(warehouse, "north", batch="b2", scope=days(1, 2))
    assert (alive(warehouse), len(still_open(warehouse))) == ({"a": 1}, 1)
    load(warehouse, "north", batch="b3", scope=days(2, 3))
    assert (alive(warehouse), still_open(warehouse)) == ({}, [])


def test_nothing_is_deleted_unless_asked_for_or_without_a_scope(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")), rejects=[rejected("q")])
    with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"))) as opened:
        assert opened.missing() == 0
        opened.commit(0, moment("b2"))
    assert load(warehouse, "north", batch="b3", scope=Scope(), deletes=False).deleted == 0
    assert alive(warehouse) == {"a": 1}
    assert still_open(warehouse) == [("{}", "b1", "b1")]


def test_a_deleted_row_that_comes_again_as_it_was_is_alive_again(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")))
    load(warehouse, "north", batch="b2", scope=Scope())
    assert alive(warehouse) == {}
    counts = load(warehouse, "north", rows(thing("a")), batch="b3", scope=Scope())
    assert (counts.inserted, counts.updated, counts.unchanged) == (0, 1, 0)
    assert alive(warehouse) == {"a": 1}


@pytest.mark.parametrize("day", [1, 3, 9, None])
@pytest.mark.parametrize("new_day", [3, 9, None])
def test_a_record_that_moves_to_another_day_is_updated_and_never_doubled(
    warehouse: Warehouse, day: int | None, new_day: int | None
) -> None:
    load(warehouse, "north", rows(thing("a", 1, day=day), thing("b", day=3)))
    load(warehouse, "south", rows(thing("a", 1, day=5)))
    moved = rows(thing("a", 2, day=new_day), thing("b", day=3))
    counts = load(warehouse, "north", moved, batch="b2", scope=days(2, 4))
    assert counts == Counts(2, 2, 0, inserted=0, updated=1, unchanged=1, duplicates=0, deleted=0)
    assert (alive(warehouse), alive(warehouse, "south")) == ({"a": 2, "b": 1}, {"a": 1})
    assert warehouse.count(THINGS.name) == 3


def test_a_rejected_record_is_not_missing(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b"), thing("c")))
    with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"), Scope())) as opened:
        opened.stage([rows(thing("a"))])
        opened.reject([rejected("b")])
        assert opened.missing() == 1
        assert opened.commit(2, moment("b2")).deleted == 1
    assert alive(warehouse) == {"a": 1, "b": 1}


def test_nothing_is_missing_while_nobody_can_tell_whose_a_rejected_record_is(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b")))
    with warehouse.load(Batch("north", "b2", "thing", THINGS, moment("b2"), Scope())) as opened:
        opened.reject([rejected("b"), rejected(None)])
        assert opened.missing() == 0
        assert opened.commit(2, moment("b2")).deleted == 0
    assert alive(warehouse) == {"a": 1, "b": 1}


# --- quarantine -------------------------------------------------------------------------------------------------------


def test_a_broken_record_is_one_row_for_as_long_as_it_is_met(warehouse: Warehouse) -> None:
    broken = [rejected("a", "A", day=1), rejected(None, "X"), rejected(None, "X"), rejected("b", "A", "other", day=1)]
    for batch in ("b1", "b2"):
        assert load(warehouse, "north", rejects=broken, batch=batch).quarantined == 4
    load(warehouse, "south", rejects=broken[:1])
    stored = [row for row in content(warehouse, QUARANTINE.name) if row["tenant_id"] == "north"]
    assert len({row["record_hash"] for row in stored}) == len(stored) == 4
    assert {(row["batch_id"], row["last_batch_id"], row["resolved_by"]) for row in stored} == {("b1", "b2", None)}
    times = (AT.replace(tzinfo=None), moment("b2").replace(tzinfo=None))
    assert {(row["quarantined_at"], row["last_seen_at"]) for row in stored} == {times}
    assert load(warehouse, "north", rejects=broken[1:2], batch="b3", scope=Scope()).quarantined == 1
    assert still_open(warehouse) == [("X", "b1", "b3")]
    load(warehouse, "north", rejects=broken[:1], batch="b4")
    assert sorted(still_open(warehouse)) == [("A", "b4", "b4"), ("X", "b1", "b3")]
    assert warehouse.count(QUARANTINE.name, "north") == 5
    assert still_open(warehouse, "south") == [("A", "b1", "b1")]


def test_a_broken_record_is_resolved_when_it_is_loaded_or_replaced_by_another(warehouse: Warehouse) -> None:
    broken = [rejected("a", "A"), rejected("b", "B"), rejected("c", "C")]
    load(warehouse, "north", rejects=broken)
    load(warehouse, "south", rejects=broken)
    load(warehouse, "north", rows(thing("a")), rejects=[rejected("b", "B", "worse")], batch="b2")
    assert sorted(still_open(warehouse)) == [("B", "b2", "b2"), ("C", "b1", "b1")]
    resolved = [row for row in content(warehouse, QUARANTINE.name) if row["resolved_by"]]
    now = moment("b2").replace(tzinfo=None)
    assert {(row["record"], row["resolved_by"], row["resolved_at"]) for row in resolved} == {
        ("A", "b2", now),
        ("B", "b2", now),
    }
    assert len(still_open(warehouse, "south")) == 3


def test_a_broken_record_that_is_gone_from_the_scope_is_resolved(warehouse: Warehouse) -> None:
    broken = [rejected("a", "A", day=1), rejected("b", "B", day=2), rejected("c", "C", day=3), rejected("d", "D")]
    load(warehouse, "north", rejects=broken)
    load(warehouse, "south", rejects=broken)
    load(warehouse, "north", batch="b2", scope=days(2, 3))
    assert [record for record, _, _ in still_open(warehouse)] == ["A", "C", "D"]
    load(warehouse, "north", batch="b3", scope=days(None, 9))
    assert [record for record, _, _ in still_open(warehouse)] == ["D"]
    load(warehouse, "north", batch="b4", scope=Scope())
    assert still_open(warehouse) == []
    assert len(still_open(warehouse, "south")) == 4


def test_other_entities_are_left_alone(warehouse: Warehouse) -> None:
    load(warehouse, "north", rejects=[rejected("a", "A")])
    with warehouse.load(Batch("north", "b2", "other", THINGS, moment("b2"), Scope())) as opened:
        opened.reject([rejected("a", "A")])
        opened.commit(1, moment("b2"))
    assert sorted(still_open(warehouse)) == [("A", "b1", "b1"), ("A", "b2", "b2")]


def test_of_a_broken_record_that_changes_while_it_is_read_the_newest_version_is_open(warehouse: Warehouse) -> None:
    load(warehouse, "south", rejects=[rejected("a", "A")])
    load(warehouse, "north", rejects=[rejected("b", "B")])
    versions = [rejected("b", "B"), rejected("a", "A"), rejected("a", "A"), rejected("a", "bad"), rejected("b", "bad")]
    assert load(warehouse, "north", rejects=versions, batch="b2", scope=Scope()).quarantined == 5
    assert still_open(warehouse) == [("bad", "b2", "b2"), ("bad", "b2", "b2")]
    assert still_open(warehouse, "south") == [("A", "b1", "b1")]


def test_a_broken_record_that_comes_twice_is_open_once(warehouse: Warehouse) -> None:
    twice = [rejected("a", "A"), rejected("b", "B"), rejected("a", "A")]
    for batch in ("b1", "b2"):
        assert load(warehouse, "north", rejects=twice, batch=batch, scope=Scope()).quarantined == 3
        assert still_open(warehouse) == [("A", "b1", batch), ("B", "b1", batch)]
    load(warehouse, "north", rejects=twice[:2], batch="b3", scope=Scope())
    assert still_open(warehouse) == [("A", "b1", "b3"), ("B", "b1", "b3")]


def test_a_record_loaded_and_rejected_at_once_stays_open(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")), rejects=[rejected("a", "A")])
    assert (alive(warehouse), still_open(warehouse)) == ({"a": 1}, [("A", "b1", "b1")])


# --- what goes with it ------------------------------------------------------------------------------------------------


def test_a_snapshot_shows_all_living_rows_also_those_that_did_not_come(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a", 1), thing("b", 2), thing("c", 3)))
    load(warehouse, "south", rows(thing("z", 9)))
    gone = rows(thing("b", 2, is_deleted=True), thing("d", 4))
    snapshot = Snapshot(DAILY, date(2026, 1, 2))
    load(warehouse, "north", gone, batch="b2", deleted_column="is_deleted", snapshot=snapshot)
    assert [(row["tenant_id"], row["number"]) for row in content(warehouse, DAILY.name)] == [
        ("north", 1),
        ("north", 3),
        ("north", 4),
    ]


def facts(**rates: float) -> pa.Table:
    return pa.table({"name": pa.array(rates.keys(), pa.string()), "rate": pa.array(rates.values(), pa.float64())})


NAMED = table_spec("raw.facts", "name", {"name": pa.string(), "rate": pa.float64()})


def test_rows_beside_replace_those_of_their_key_with_the_batch_or_not_at_all(warehouse: Warehouse) -> None:
    for tenant_id in ("north", "south"):
        warehouse.replace(NAMED, tenant_id, facts(a=1, b=1))
    batch = Batch("north", "b1", "thing", THINGS, AT)
    with warehouse.load(batch) as opened, pytest.raises(BatchMismatch):
        opened.commit(1, AT, beside={NAMED: facts(a=2)})
    assert warehouse.rows(NAMED, "north").sort_by("name").to_pydict()["rate"] == [1, 1]
    with warehouse.load(batch) as opened:
        opened.commit(0, AT, beside={NAMED: facts(b=2, c=2)})
    assert warehouse.rows(NAMED, "north").sort_by("name").to_pydict() == {
        "tenant_id": ["north"] * 3,
        "name": ["a", "b", "c"],
        "rate": [1, 2, 2],
    }
    assert warehouse.rows(NAMED, "south").sort_by("name").to_pydict()["rate"] == [1, 1]


def test_merging_rows_replaces_those_of_their_key(warehouse: Warehouse) -> None:
    warehouse.merge(NAMED, "south", facts(a=1))
    warehouse.merge(NAMED, "north", facts(a=1, b=1))
    warehouse.merge(NAMED, "north", facts(b=2))
    warehouse.merge(NAMED, "north", facts())
    assert sorted(warehouse.rows(NAMED, "north").to_pydict()["rate"]) == [1, 2]
    assert warehouse.count(NAMED.name, "south") == 1
    twice = pa.concat_tables([facts(a=3), facts(a=4)])
    with pytest.raises(WarehouseError, match=r"a key \(tenant_id, name\) comes twice"):
        warehouse.merge(NAMED, "north", twice)
    assert sorted(warehouse.rows(NAMED, "north").to_pydict()["rate"]) == [1, 2]


def test_a_batch_name_is_used_once(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a")), rejects=[rejected("x", "X")])
    before = content(warehouse), content(warehouse, QUARANTINE.name)
    with pytest.raises(BatchMismatch, match="is it used twice"):
        load(warehouse, "north", rows(thing("b")))
    with pytest.raises(BatchMismatch, match="is it used twice"):
        load(warehouse, "north", rejects=[rejected("y", "Y")])
    assert (content(warehouse), content(warehouse, QUARANTINE.name)) == before


@pytest.mark.parametrize("more", [{"scope": Scope("day")}, {"changed_column": "day"}, {"deleted_column": "day"}])
def test_a_column_that_the_table_does_not_have_is_told(warehouse: Warehouse, more: Mapping[str, object]) -> None:
    with pytest.raises(WarehouseError, match=r"raw\.things has no column day"):
        load(warehouse, "north", **more)  # type: ignore[arg-type]


def test_a_batch_too_large_to_be_joined_at_once_is_merged_in_slices(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "SLICE_ROWS", 3)
    names = "abcdefghijklmnop"
    assert load(warehouse, "north", rows(*map(thing, names)), scope=Scope()).inserted == 16
    changed = [thing(name, 1 + (name in "cfk")) for name in names[2:]] + [thing("x"), thing("x", 7)]
    counts = load(warehouse, "north", rows(*changed), batch="b2", scope=Scope())
    assert counts == Counts(16, 16, 0, inserted=1, updated=3, unchanged=11, duplicates=1, deleted=2)
    assert alive(warehouse) == {name: 1 + (name in "cfk") for name in names[2:]} | {"x": 7}


# --- a model of all this ----------------------------------------------------------------------------------------------

DAYS = st.none() | st.integers(1, 4)
RECORDS = st.fixed_dictionaries(
    {"thing_id": st.sampled_from("abcd"), "number": st.integers(0, 1), "day": DAYS, "is_deleted": st.booleans()}
)
REJECTS = st.builds(rejected, st.none() | st.sampled_from("abcd"), st.sampled_from(["X", "Y"]), day=DAYS)
SCOPES = st.none() | st.just(Scope()) | st.builds(days, DAYS, DAYS)


@dataclass(frozen=True)
class Given:
    """One batch to load."""

    tenant_id: str
    scope: Scope | None
    records: list[dict[str, object]]
    rejects: list[Rejected]
    deletes: bool


GIVEN = st.builds(
    Given,
    st.sampled_from(["north", "south"]),
    SCOPES,
    st.lists(RECORDS, max_size=6),
    st.lists(REJECTS, max_size=2),
    st.booleans(),
)


def inside(scope: Scope, day: date | None) -> bool:
    if scope.first is None and scope.until is None:
        return True
    first, until = scope.first or date.min, scope.until or date.max
    return day is not None and first <= day < until


@dataclass
class Model:
    """What one tenant's table and open quarantine must hold."""

    things: dict[object, tuple[dict[str, object], bool]] = field(default_factory=dict)
    quarantine: dict[object, Rejected] = field(default_factory=dict)

    def take(self, given: Given) -> Counts:
        newest: dict[object, dict[str, object]] = {}
        for record in given.records:
            old = newest.get(record["thing_id"])
            if old is None or (record["day"] or 0) >= (old["day"] or 0):  # type: ignore[operator]
                newest[record["thing_id"]] = record
        inserted = updated = 0
        for name, record in newest.items():
            new = (record, not record["is_deleted"])
            inserted += name not in self.things
            updated += name in self.things and self.things[name] != new
            self.things[name] = new
        gone = self._gone(given, set(newest))
        for name in gone:
            self.things[name] = (self.things[name][0], False)
        self._reject(given, set(newest))
        loaded = len(given.records)
        return Counts(
            extracted=loaded + len(given.rejects),
            loaded=loaded,
            quarantined=len(given.rejects),
            inserted=inserted,
            updated=updated,
            unchanged=len(newest) - inserted - updated,
            duplicates=loaded - len(newest),
            deleted=len(gone),
        )

    def _gone(self, given: Given, came: set[object]) -> list[object]:
        present = came | {each.record_id for each in given.rejects}
        if given.scope is None or not given.deletes or None in present:
            return []
        return [
            name
            for name, (record, is_alive) in self.things.items()
            if is_alive and name not in present and inside(given.scope, _day(record["day"]))
        ]

    def _reject(self, given: Given, came: set[object]) -> None:
        met: dict[tuple[object, ...], Rejected] = {}
        for each in given.rejects:
            alike = sum(1 for known in met.values() if known.record == each.record and known.reasons == each.reasons)
            met[each.record, each.reasons, alike] = each
        last = {each.record_id: (each.record, each.reasons) for each in given.rejects if each.record_id}
        first_of_newest: dict[object, tuple[object, ...]] = {}
        for key, each in met.items():
            if last.get(each.record_id) == key[:2]:
                first_of_newest.setdefault(each.record_id, key)
        superseded = {key for key, each in met.items() if first_of_newest.get(each.record_id, key) != key}
        present = came | last.keys()
        for key, each in list(self.quarantine.items()):
            is_gone = given.scope is not None and given.deletes and inside(given.scope, each.day)
            if key not in met and (each.record_id in present or is_gone):
                del self.quarantine[key]
        open_now = met | self.quarantine
        self.quarantine = {key: each for key, each in open_now.items() if key not in superseded}


def _day(day: object) -> date | None:
    return date(2025, 12, day) if isinstance(day, int) else None


@pytest.fixture(scope="module", params=[merging.SLICE_ROWS, 2], ids=["at once", "in slices"])
def memory(request: pytest.FixtureRequest) -> Iterator[DuckDBWarehouse]:
    with pytest.MonkeyPatch.context() as patch, DuckDBWarehouse.open("duckdb:///:memory:") as opened:
        patch.setattr(merging, "SLICE_ROWS", request.param)
        opened.ensure(THINGS)
        yield opened


@settings(deadline=None, max_examples=60)
@given(st.lists(GIVEN, min_size=1, max_size=5))
def test_any_batches_leave_what_the_model_says(memory: DuckDBWarehouse, batches: list[Given]) -> None:
    models = {tenant_id: Model() for tenant_id in ("north", "south")}
    for tenant_id in models:
        memory.forget(tenant_id)
    for number, each in enumerate(batches, 1):
        counts = load(
            memory,
            each.tenant_id,
            rows(*(thing(**record) for record in each.records)),  # type: ignore[arg-type]
            batch=f"b{number}",
            rejects=each.rejects,
            deletes=each.deletes,
            scope=each.scope,
            changed_column="date",
            deleted_column="is_deleted",
        )
        assert counts == models[each.tenant_id].take(each)
        assert counts.extracted == counts.loaded + counts.quarantined
    stored = {
        (row["tenant_id"], row["id"]): (row["number"], row["date"], row["is_deleted"], row["_deleted_at"] is None)
        for row in content(memory)
    }
    assert len(stored) == memory.count(THINGS.name)
    assert stored == {
        (tenant_id, name): (record["number"], thing("", day=record["day"])["date"], record["is_deleted"], is_alive)  # type: ignore[arg-type]
        for tenant_id, model in models.items()
        for name, (record, is_alive) in model.things.items()
    }
    for tenant_id, model in models.items():
        mine = sorted((each.record, str(each.record_id), str(each.day)) for each in model.quarantine.values())
        assert mine == sorted(
            (row["record"], str(row["record_id"]), str(row["day"]))
            for row in content(memory, QUARANTINE.name)
            if row["tenant_id"] == tenant_id and row["resolved_by"] is None
        )
