"""Reading for Fivetran: whatever happens in between, the destination ends up with what the merchant has."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import (
    AuthenticationFailed,
    ConfigError,
    MalformedPage,
    NotOffered,
    SourceError,
    SourceUnavailable,
)
from mercurios.fivetran import sdk, tables
from mercurios.fivetran.reading import Reading
from mercurios.fivetran.state import Position, State
from mercurios.sources import EVERYTHING, Window
from mercurios.sources.contracts import CONTRACTS, OnDrift
from mercurios.sources.windows import Cursor
from tests.fivetran_double import Destination, Killed, Listing, made, oracle

NOON = datetime(2025, 11, 4, 12, 0)


def reading(source: Listing, *entities: str, now: datetime = NOON, run: str = "sync", records: int = 3) -> Reading:
    return Reading(source, entities or tuple(CONTRACTS), lambda: now, run, records, can_keep=True)


def sync(source: Listing, target: Destination, *entities: str, **more: Any) -> None:
    sdk.deliver(reading(source, *entities, **more).steps(State.parse(target.state)), target)


def columns(rows: dict[object, dict[str, Any]], entity: str) -> dict[object, dict[str, Any]]:
    names = [one.column for one in CONTRACTS[entity].kept]
    return {key: {name: row[name] for name in names} for key, row in rows.items()}


@pytest.mark.parametrize("entity", CONTRACTS)
def test_every_entity_arrives_as_it_is(entity: str) -> None:
    source = Listing({entity: [made(entity, number) for number in range(20)]})
    target = Destination()
    sync(source, target)
    assert columns(target.alive(entity), entity) == oracle(entity, source.records[entity])  # type: ignore[arg-type]
    assert tables.QUARANTINE not in target.rows
    assert State.parse(target.state) == State(target_cursors(target), "sync")


def target_cursors(target: Destination) -> dict[str, Cursor]:
    cursors = dict(State.parse(target.state).cursors)
    assert cursors.keys() == CONTRACTS.keys()
    assert all(cursor.complete_at == NOON for cursor in cursors.values())
    return cursors


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    sizes=st.tuples(st.integers(1, 13), st.integers(1, 9)),
    kills=st.lists(st.integers(0, 45), max_size=6),
    deleted=st.sets(st.integers(0, 39)),
    broken=st.sets(st.integers(0, 39)),
)
def test_killed_anywhere_it_goes_on_and_loses_nothing(
    count: int, sizes: tuple[int, int], kills: list[int], deleted: set[int], broken: set[int]
) -> None:
    page_size, records = sizes
    sales = [made("sale", number, isDeleted=number in deleted) for number in range(count)]
    rows = [{**row, "quantity": "two"} if number in broken else row for number, row in enumerate(sales)]
    source = Listing({"sale": list(rows), "branch": [made("branch", 1)]}, page_size)
    target = Destination()
    for kill in kills:
        target.operations, target.kill_after = 0, kill
        try:
            sync(source, target, "branch", "sale", records=records)
        except Killed:
            continue
    target.kill_after = None
    sync(source, target, "branch", "sale", records=records)
    sound = [row for number, row in enumerate(sales) if number not in broken]
    assert columns(target.alive("sale"), "sale") == oracle("sale", sound)
    held = target.rows.get(tables.QUARANTINE, {})
    assert {row["record_id"] for row, _ in held.values()} == {sales[n]["id"] for n in broken if n < count}
    assert target.alive("branch").keys() == {"branch-00001"}


def test_what_vanished_or_is_flagged_is_marked_and_what_comes_again_is_alive() -> None:
    source, target = Listing({"category": [made("category", n) for n in range(30)]}), Destination()
    sync(source, target, "category")
    source.records["category"] = [made("category", n, isDeleted=n == 5) for n in range(3, 30)]
    sync(source, target, "category", run="2")
    assert target.dead("category") == {f"category-{n:05}" for n in (0, 1, 2, 5)}
    source.records["category"] = [made("category", n) for n in range(30)]
    sync(source, target, "category", run="3")
    assert target.dead("category") == set()
    assert len(target.alive("category")) == 30


@settings(max_examples=40, deadline=None)
@given(
    gone=st.sets(st.integers(0, 14)),
    broken=st.sets(st.integers(0, 14), min_size=1),
    flagged=st.sets(st.integers(0, 14)),
    kills=st.lists(st.integers(0, 30), max_size=4),
)
def test_a_row_whose_record_is_broken_now_stays_as_it_was(
    gone: set[int], broken: set[int], flagged: set[int], kills: list[int]
) -> None:
    before = [made("category", n, isDeleted=n == 14) for n in range(15)]
    source, target = Listing({"category": list(before)}), Destination()
    sync(source, target, "category")
    held = dict(target.alive("category"))
    words = [made("category", n, name="new", isDeleted=n in flagged | {14}) for n in range(15)]
    listed = {n: {**row, "number": "x"} if n in broken else row for n, row in enumerate(words) if n not in gone}
    source.records["category"] = list(listed.values())
    for kill in [*kills, None]:
        target.operations, target.kill_after = 0, kill
        with suppress(Killed):
            sync(source, target, "category", run="2")
    if all(row["isDeleted"] for row in listed.values()):
        return
    sound = oracle("category", [row for n, row in listed.items() if n not in broken])
    kept = {row["id"]: held[row["id"]] for n, row in listed.items() if n in broken and not row["isDeleted"]}
    assert columns(target.alive("category"), "category") == columns(kept, "category") | sound


def test_a_row_that_cannot_be_kept_is_marked() -> None:
    source, target = Listing({"category": [made("category", n) for n in range(3)]}), Destination()
    sync(source, target, "category")
    source.records["category"][1] = made("category", 1) | {"number": "x"}
    steps = replace(reading(source, "category", run="2"), can_keep=False).steps(State.parse(target.state))
    sdk.deliver(steps, target)
    assert target.dead("category") == {"category-00001"}


@pytest.mark.parametrize("listed", [[], [{"number": "none"}], [made("category", 1, isDeleted=True) | {"number": "x"}]])
def test_a_listing_without_a_record_that_exists_marks_nothing(listed: list[object]) -> None:
    source, target = Listing({"category": [made("category", n) for n in range(3)]}), Destination()
    sync(source, target, "category")
    source.records["category"] = listed
    sync(source, target, "category", run="2")
    assert len(target.alive("category")) == 3


def test_a_source_that_selects_is_read_by_changes_and_open_days() -> None:
    source, target = Listing({"sale": [made("sale", n) for n in range(20)]}, can_select=True), Destination()
    for run in ("0", "1"):  # days are closed by the second complete read
        sync(source, target, "sale", "article", run=run)
    source.asked.clear()
    source.records["sale"][4] = made("sale", 4, changed="2025-11-05T08:00:00", quantity=9.0)
    source.records["sale"].append(made("sale", 99, changed="2025-11-05T08:00:00", date="2025-11-05T00:00:00"))
    sync(source, target, "sale", "article", now=NOON + timedelta(days=1), run="2")
    assert all(not window.is_everything for entity, window, _ in source.asked if entity == "sale")
    assert target.alive("sale")["sale-00004"]["quantity"] == 9.0
    assert len(target.alive("sale")) == 21
    assert target.dead("sale") == set()


def test_a_position_that_is_too_old_begins_again() -> None:
    source, target = Listing({"branch": [made("branch", n) for n in range(20)]}), Destination(kill_after=12)
    with pytest.raises(Killed):
        sync(source, target, "branch")
    target.kill_after = None
    assert State.parse(target.state).position == Position((EVERYTHING,), NOON, 7, _changed(), True)
    del source.records["branch"][:4]
    source.asked.clear()
    sync(source, target, "branch", now=NOON + timedelta(hours=7), run="2")
    assert source.asked == [("branch", EVERYTHING, 0)]
    assert target.alive("branch").keys() == {f"branch-{n:05}" for n in range(4, 20)}


def _changed() -> datetime:
    return datetime(2025, 11, 3, 9, 30, 0, 123450)


def test_one_entity_that_fails_keeps_no_other_from_being_read_and_fails_the_sync() -> None:
    source = Listing({one: [made(one, 1)] for one in ("branch", "season", "sale")})
    source.failures = {"branch": MalformedPage("page 1 is none"), "season": NotOffered("season is not offered")}
    target = Destination()
    with pytest.raises(SourceError, match="branch: page 1 is none"):
        sync(source, target, "branch", "season", "sale")
    assert target.alive("sale").keys() == {"sale-00001"}
    assert target.warnings == ["branch: page 1 is none", "season is not offered"]
    with pytest.raises(SourceError, match="page 1 is none"):  # the same sync asks again: it is told the same
        sync(source, target, "branch", "season", "sale")
    assert State.parse(target.state).run == "sync"
    source.failures.clear()
    sync(source, target, "branch", "season", "sale", run="another")
    assert target.alive("branch").keys() == {"branch-00001"}
    assert target.alive("season").keys() == {"season-00001"}
    assert State.parse(target.state).failed == {}


@pytest.mark.parametrize("error", [AuthenticationFailed("no"), SourceUnavailable("no")])
def test_a_refused_login_and_no_answer_end_the_sync_and_lose_no_place(error: SourceError) -> None:
    source = Listing({one: [made(one, 1)] for one in ("branch", "sale")}, failures={"sale": error})
    target = Destination()
    with pytest.raises(type(error)):
        sync(source, target, "branch", "sale")
    assert State.parse(target.state).left == ("sale",)
    source.failures.clear()
    source.asked.clear()
    sync(source, target, "branch", "sale", run="2")
    assert [entity for entity, _, _ in source.asked] == ["sale"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"colour": "red"}, "colour (text) is no field of the category contract"),
        ({"number": "x"}, "number is not what"),
    ],
)
def test_drift_that_stops_an_ingest_run_stops_the_entity_here_too(more: dict[str, object], told: str) -> None:
    contracts = {**CONTRACTS, "category": replace(CONTRACTS["category"], on_drift=OnDrift.STOP)}
    rows = {"category": [made("category", 1), made("category", 2) | more], "branch": [made("branch", 1, colour="red")]}
    source, target = Listing(rows, contracts=contracts), Destination()  # type: ignore[arg-type]
    with pytest.raises(SourceError) as caught:
        sync(source, target, "branch", "category")
    assert told in str(caught.value)
    assert "adapt its contract" in str(caught.value)
    assert "category" not in target.rows
    assert target.alive("branch").keys() == {"branch-00001"}
    rows["category"] = [made("category", 1), made("category", 2)]
    sync(source, target, "branch", "category", run="2")
    assert len(target.alive("category")) == 2


def test_the_newest_of_one_key_counts() -> None:
    old, new = "2025-11-01T00:00:00", "2025-11-02T00:00:00"
    rows = [made("branch", 1, changed=new, name1="new"), made("branch", 1, changed=old, name1="old")]
    target = Destination()
    sync(Listing({"branch": list(rows)}), target, "branch")
    assert target.alive("branch")["branch-00001"]["name1"] == "new"


def test_an_entity_that_is_no_longer_wanted_is_left_out() -> None:
    source, target = Listing({"branch": [made("branch", n) for n in range(20)]}), Destination(kill_after=9)
    with pytest.raises(Killed):
        sync(source, target, "branch", "sale")
    target.kill_after = None
    sync(source, target, "sale", run="2")
    assert State.parse(target.state).left == ()


WHOLE = State(
    {"sale": Cursor(_changed(), _changed().date(), NOON), "branch": Cursor()},
    "run",
    ("sale", "branch"),
    Position((Window(_changed(), _changed().date(), None), EVERYTHING), NOON, 30, None, True),
    {"size": "size: no"},
    3,
)


def test_a_state_is_plain_json_and_comes_back() -> None:
    for state in (State(), WHOLE, replace(WHOLE, position=None)):
        assert State.parse(json.loads(json.dumps(state.as_json()))) == state
    assert State.parse({}) == State.parse(None) == State()


def damaged() -> list[Any]:
    whole = WHOLE.as_json()
    return [
        [], "x", 7, {"version": 1}, {**whole, "version": 2}, {**whole, "left": [1]}, {**whole, "run": None},
        {**whole, "cursors": {"sale": {}}}, {**whole, "cursors": []}, {**whole, "failed": {"a": 1}},
        {**whole, "position": {**whole["position"], "windows": []}},
        {**whole, "position": {**whole["position"], "start": -1}},
        {**whole, "position": {**whole["position"], "began": None}},
        {**whole, "position": {**whole["position"], "began": "2025-11-04T12:00:00Z"}},
        {**whole, "position": {**whole["position"], "began": "today"}},
    ]  # fmt: skip


@pytest.mark.parametrize("raw", damaged())
def test_a_state_of_another_kind_is_refused(raw: object) -> None:
    with pytest.raises(ConfigError, match="none that this connector wrote"):
        State.parse(raw)
