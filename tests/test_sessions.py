"""Serving sessions: read as needed, bounded in bytes, swapped without anybody waiting in vain."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mercurios.errors import LakeError, NoRelease
from mercurios.lake import Lake, Policy, Reader, Release
from mercurios.serving import Session, Sessions, open_session
from mercurios.tables import TABLES

AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
TENANTS = ("north", "south", "east", "west")
NUMBERS = "select distinct customer_number as n from marts.dim_customers"


def table(name: str, rows: Sequence[dict[str, object]]) -> pa.Table:
    schema = TABLES[name].schema
    return pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in rows], schema=schema)


def tenants(*names: str) -> pa.Table:
    locale = {"currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}
    return table("dim_tenants", [{"tenant_id": name, "name": name} | locale for name in names])


def customers(**numbers: Sequence[int]) -> pa.Table:
    return table("dim_customers", [{"tenant_id": t, "customer_number": n} for t, all_ in numbers.items() for n in all_])


def open_lake(folder: Path) -> Lake:
    return Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    opened = open_lake(tmp_path)
    two = {"dim_tenants": tenants("north", "south"), "dim_customers": customers(north=[1], south=[8, 9])}
    opened.publish(two, as_of=AS_OF)
    return opened


def numbers(session: Session) -> list[int]:
    return sorted(session.query(NUMBERS)["n"].to_pylist())


def test_a_table_is_read_when_it_is_first_named(lake: Lake) -> None:
    session = open_session(lake.reader("north", lake.require_current()))
    assert session.tables is not None
    assert session.tables.held == {"dim_tenants"}
    assert session.count("dim_customers") == 1
    assert session.tables.held == {"dim_tenants"}, "counted from the lake's metadata"
    before = session.size_bytes
    assert session.query("select count(*) as n from query_table(?)", ["marts.dim_customers"])["n"][0].as_py() == 1
    assert numbers(session) == [1]
    assert session.tables.held == {"dim_tenants", "dim_customers"}
    assert session.size_bytes > before > 0
    assert session.count("dim_customers") == 1


@pytest.mark.parametrize(
    "sql",
    [
        'select * from "marts"."dim_customers"',
        "SELECT * FROM MARTS.DIM_CUSTOMERS",
        "with c as (from marts.dim_customers) select * from c",
        "select * from marts.dim_tenants where exists (select 1 from marts.dim_customers)",
    ],
)
def test_a_table_is_found_however_it_is_written(lake: Lake, sql: str) -> None:
    assert open_session(lake.reader("north", lake.require_current())).query(sql).num_rows == 1


def test_many_threads_that_need_one_table_read_it_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = Reader.table

    def counted(reader: Reader, name: str) -> pa.Table:
        read.append(name)
        return whole(reader, name)

    monkeypatch.setattr(Reader, "table", counted)
    session = open_session(lake.reader("south", lake.require_current()))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: numbers(session), range(32))) == [[8, 9]] * 32
    assert sorted(read) == ["dim_customers", "dim_tenants"]


def test_a_tenant_without_rows_has_no_session(lake: Lake) -> None:
    with pytest.raises(NoRelease, match="holds nothing of tenant 'east'"):
        Sessions(lake).get("east")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    opened = open_lake(tmp_path_factory.mktemp("crowd"))
    many = {name: range(1, 10_000 * number) for number, name in enumerate(TENANTS, 1)}
    opened.publish({"dim_tenants": tenants(*TENANTS), "dim_customers": customers(**many)}, as_of=AS_OF)
    return opened


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.sampled_from(TENANTS), min_size=1, max_size=8), capacity=st.integers(1, 15_000_000))
def test_memory_is_bounded_in_bytes_and_the_least_recently_used_goes(
    crowd: Lake, asked: list[str], capacity: int
) -> None:
    sessions = Sessions(crowd, capacity_bytes=capacity)
    for name in asked:
        assert sessions.get(name).tenant_id == name
        assert len(numbers(sessions.get(name))) == 10_000 * (TENANTS.index(name) + 1) - 1
        assert sessions.size_bytes <= capacity or len(sessions) == 1
    used_last = list(dict.fromkeys(reversed(asked)))
    assert set(sessions._open) == set(used_last[: len(sessions)])


def test_while_one_opens_the_new_release_the_others_go_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(lake, refresh_seconds=0.0)
    old = sessions.get("north")
    assert numbers(old) == [1]
    lake.publish({"dim_customers": customers(north=[2], south=[8])}, as_of=AS_OF)
    begun, go_on, reader = threading.Event(), threading.Event(), lake.reader

    def slowly(tenant_id: str, release: Release) -> Reader:
        begun.set()
        assert go_on.wait(60)
        return reader(tenant_id, release)

    monkeypatch.setattr(lake, "reader", slowly)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(sessions.get, "north")
        assert begun.wait(60)
        assert sessions.get("north") is old
        assert sessions.release("north") == old.release
        go_on.set()
        new = first.result()
    assert new.tables is not None
    assert new.tables.held == {"dim_tenants", "dim_customers"}, "what the one before had needed is there already"
    assert (numbers(old), numbers(new)) == ([1], [2])
    assert sessions.get("north") is new
    assert sessions.release("north") == new.release


def test_numbers_belong_to_the_release_while_releases_are_swapped(lake: Lake) -> None:
    sessions, is_over, wrong = Sessions(lake, refresh_seconds=0.0), threading.Event(), []

    def ask(tenant: str, factor: int) -> int:
        asked = 0
        while not is_over.is_set() or not asked:
            session = sessions.get(tenant)
            if (found := numbers(session)) != [factor * session.release.number]:
                wrong.append((tenant, session.release.id, found))
            asked += 1
        return asked

    lake.publish({"dim_customers": customers(north=[2], south=[200])}, as_of=AS_OF)
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, tenant, factor) for tenant, factor in [("north", 1), ("south", 100)] * 2]
        for number in range(3, 9):
            lake.publish({"dim_customers": customers(north=[number], south=[100 * number])}, as_of=AS_OF)
        is_over.set()
        assert all(future.result() for future in asking)
    assert not wrong
    assert numbers(sessions.get("north")) == [8]


def test_a_release_that_is_expired_under_a_reader_takes_nothing_that_was_read(lake: Lake) -> None:
    sessions = Sessions(lake, refresh_seconds=3_600)
    north, south = sessions.get("north"), sessions.get("south")
    assert numbers(north) == [1]
    lake.publish({"dim_customers": customers(north=[2], south=[9])}, as_of=AS_OF)
    lake.expire(Policy(1, 0), now=datetime.now(UTC) + timedelta(days=30))
    assert [release.id for release in lake.releases()] == ["r000002"]
    assert numbers(sessions.get("north")) == [1]
    with pytest.raises(NoRelease, match="release r000001 was expired; read the current one"):
        numbers(south)


def test_a_lake_that_is_away_costs_freshness_and_no_answer(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(lake, refresh_seconds=0.0)
    assert numbers(sessions.get("north")) == [1]
    current = lake.require_current

    def away() -> Release:
        raise LakeError("the lake's catalog is not reached")

    monkeypatch.setattr(lake, "require_current", away)
    with capture_logs() as logs:
        assert numbers(sessions.get("north")) == [1]
    assert logs[0]["event"] == "serving.lake_unreachable"
    lake.publish({"dim_customers": customers(north=[2], south=[9])}, as_of=AS_OF)
    monkeypatch.setattr(lake, "require_current", current)
    assert numbers(sessions.get("north")) == [2]


def test_a_new_release_that_cannot_be_read_is_not_swapped_to(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(lake, refresh_seconds=0.0)
    assert numbers(sessions.get("north")) == [1]
    lake.publish({"dim_customers": customers(north=[2], south=[9])}, as_of=AS_OF)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Reader, "table", lambda *_: (_ for _ in ()).throw(LakeError("no such file")))
        assert numbers(sessions.get("north")) == [1]
        with pytest.raises(LakeError):
            sessions.get("south")
    assert [entry["event"] for entry in logs] == ["serving.not_swapped"]
    assert numbers(sessions.get("north")) == [2]


def test_a_tenant_that_was_removed_is_not_served_from_the_release_before(lake: Lake) -> None:
    sessions = Sessions(lake, refresh_seconds=0.0)
    assert numbers(sessions.get("north")) == [1]
    lake.publish({"dim_tenants": tenants("south"), "dim_customers": customers(south=[9])}, as_of=AS_OF)
    with pytest.raises(NoRelease, match="holds nothing of tenant 'north'"):
        sessions.get("north")
    assert len(sessions) == 0


def test_a_file_that_holds_rows_of_somebody_else_is_not_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    both = customers(north=[1], south=[8]).to_batches()
    session = open_session(lake.reader("north", lake.require_current()))
    monkeypatch.setattr("mercurios.lake.reading._batches", lambda _: iter(both))
    with pytest.raises(LakeError, match="a file of dim_customers holds rows of another tenant"):
        numbers(session)


def test_a_session_spills_nothing_to_disk_and_takes_one_thread(lake: Lake) -> None:
    session = Sessions(lake).get("north")
    sql = "select current_setting('threads') as threads, current_setting('temp_directory') as folder"
    assert session.query(sql).to_pylist() == [{"threads": 1, "folder": ""}]
