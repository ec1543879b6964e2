"""The life of releases: read as of an earlier one, rolled back, expired; nobody who reads is disturbed."""

import itertools
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mercurios.commands.release import app
from mercurios.errors import BadRequest, LakeError, NoRelease
from mercurios.jobs.expire import expire, trained_on
from mercurios.lake import CONTENTS, Lake, Policy, PublishConflict, Release, Source
from mercurios.registry import ModelVersion
from mercurios.serving import Sessions, open_session
from mercurios.tables import TABLES
from mercurios.tables import UTC as UTC_TIMESTAMP
from tests.moves import SMALL, Shop, move, shop, small
from tests.test_lake import customers, lake, tenants

__all__ = ["lake", "shop", "small"]

AS_OF = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
STRICT = Policy(releases=1, days=0, young=timedelta())


def later() -> datetime:
    """A moment after everything that was written so far."""
    return datetime.now(UTC) + timedelta(seconds=5)


def numbers(lake: Lake, release: Release, tenant_id: str = "north") -> list[int]:
    rows = lake.reader(tenant_id, release).table("dim_customers")
    found: list[int] = rows["customer_number"].to_pylist()
    return sorted(found)


def source(rows: pa.Table) -> Source:
    """Rows of dim_customers as a warehouse would tell of them."""
    by_tenant = {name: [row for row in rows.to_pylist() if row["tenant_id"] == name] for name in ("north", "south")}
    contents = [
        {"tenant_id": name, "month": None, "rows": len(own), "fingerprint": str(sorted(map(str, own)))}
        for name, own in by_tenant.items()
        if own
    ]

    def read(wanted: pa.Table) -> list[pa.RecordBatch]:
        chosen = [row for name in wanted["tenant_id"].to_pylist() for row in by_tenant[name]]
        return [pa.RecordBatch.from_pylist(chosen, rows.schema)]

    return Source(pa.Table.from_pylist(contents, schema=CONTENTS), read)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- as of an earlier one, and back ----------------------------------------------------------------------------------


def test_a_release_is_found_by_the_moment_at_which_it_was_current(lake: Lake) -> None:
    with pytest.raises(NoRelease, match="was current at"):
        lake.release_at(datetime.now(UTC))
    releases = [lake.publish({"dim_customers": customers(north=[n])}, as_of=AS_OF) for n in (1, 2, 3)]
    for release in releases:
        assert lake.release_at(release.at) == release
    assert lake.release_at(releases[1].at - timedelta(microseconds=1)) == releases[0]
    assert lake.release_at(later()) == releases[2]
    with pytest.raises(NoRelease):
        lake.release_at(releases[0].at - timedelta(microseconds=1))
    lake.expire(STRICT, now=later(), pinned=[releases[0].id])
    assert lake.release_at(releases[2].at) == releases[2]
    with pytest.raises(NoRelease):  # r000002 was, and is gone
        lake.release_at(releases[1].at)


def test_a_rollback_is_a_new_release_of_the_same_tables_and_files(lake: Lake) -> None:
    first = lake.publish({"dim_customers": customers(north=[1], south=[8])}, as_of=AS_OF, files={"a": b"one"})
    lake.publish(
        {"dim_customers": customers(north=[2]), "dim_tenants": tenants("north")}, as_of=later(), files={"a": b"two"}
    )
    back = lake.rollback(first.id)
    assert (back.id, back.number, back.rollback_of, back.as_of) == ("r000003", 3, first.id, AS_OF)
    assert (back.tables, dict(back.files)) == (first.tables, dict(first.files))
    assert lake.current() == back
    assert [release.id for release in lake.releases()] == ["r000001", "r000002", "r000003"]
    assert (numbers(lake, back), numbers(lake, back, "south"), lake.read_file(back, "a")) == ([1], [8], b"one")
    again = lake.publish({"dim_customers": customers(north=[5])}, as_of=AS_OF, tenants=("north",))
    assert (numbers(lake, again), numbers(lake, again, "south")) == ([5], [8])
    assert not again.holds("dim_tenants")
    with pytest.raises(NoRelease, match="release list"):
        lake.rollback("r000099")


def test_an_export_after_a_rollback_starts_from_what_was_brought_back(lake: Lake) -> None:
    states = [customers(north=[1], south=[8]), customers(north=[2], south=[8])]
    first = lake.publish({"dim_customers": source(states[0])}, as_of=AS_OF)
    second = lake.publish({"dim_customers": source(states[1])}, as_of=AS_OF)
    back = lake.rollback(first.id)
    same = lake.publish({"dim_customers": source(states[0])}, as_of=AS_OF)
    assert same.tables == back.tables
    third = lake.publish({"dim_customers": source(states[1])}, as_of=AS_OF)
    assert third.table("dim_customers").snapshot_id != second.table("dim_customers").snapshot_id
    assert (numbers(lake, third), numbers(lake, third, "south")) == ([2], [8])


def test_sessions_swap_on_a_rollback(lake: Lake) -> None:
    clock = itertools.count(0, 10)
    sessions = Sessions(lake, clock=lambda: float(next(clock)))
    first = lake.publish({"dim_tenants": tenants("north"), "dim_customers": customers(north=[1])}, as_of=AS_OF)
    lake.publish({"dim_customers": customers(north=[2])}, as_of=AS_OF)
    count = "select customer_number as n from marts.dim_customers"
    assert sessions.get("north").query(count)["n"].to_pylist() == [2]
    lake.rollback(first.id)
    assert sessions.get("north").query(count)["n"].to_pylist() == [1]


def test_a_file_that_is_as_it_was_is_not_written_again(lake: Lake) -> None:
    first = lake.publish({}, as_of=AS_OF, files={"a": b"one", "b": b"two"})
    second = lake.publish({}, as_of=AS_OF, files={"a": b"one", "b": b"three"})
    assert first.files["a"] == second.files["a"]
    assert first.files["b"] != second.files["b"]


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_the_policy_keeps_the_newest_and_the_young_and_the_pinned() -> None:
    def release(number: int, days: int) -> Release:
        return Release(f"r{number}", number, AS_OF - timedelta(days=days), AS_OF, ())

    releases = tuple(release(number, 100 - 10 * number) for number in range(1, 10))
    expired = Policy(releases=3, days=45).expired(releases, AS_OF, {"r2"})
    assert [each.id for each in expired] == ["r1", "r3", "r4", "r5"]
    assert Policy(releases=9, days=0).expired(releases, AS_OF, ()) == ()
    assert len(Policy(releases=1, days=0).expired(releases, AS_OF, ())) == 8
    assert Policy(releases=1, days=0).expired((), AS_OF, ()) == ()
    for wrong in ({"releases": 0}, {"days": -1}, {"young": timedelta(-1)}):
        with pytest.raises(BadRequest, match="always kept"):
            Policy(**wrong)


def test_a_dry_run_tells_what_a_run_does_and_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    for number in range(4):
        lake.publish({"dim_customers": customers(north=[number])}, as_of=AS_OF, files={"a": str(number).encode()})
    before, now = files(tmp_path), later()
    plan = lake.expire(STRICT, now=now, dry_run=True)
    assert files(tmp_path) == before
    assert len(lake.releases()) == 4
    assert (plan.releases, plan.kept, plan.busy) == (("r000001", "r000002", "r000003"), 1, ())
    assert plan.snapshots["dim_customers"] == 3
    done = lake.expire(STRICT, now=now)
    assert (done.releases, done.kept, done.busy) == (plan.releases, plan.kept, ())
    assert done.snapshots["dim_customers"] == 3
    assert done.files >= plan.files > 6
    assert plan.files <= len(before - files(tmp_path)) <= done.files  # its own of before is among what a run removes
    assert numbers(lake, lake.require_current()) == [3]
    assert lake.read_file(lake.require_current(), "a") == b"3"
    assert lake.expire(STRICT, now=later(), dry_run=True).releases == ()


def test_what_is_young_is_left_alone(lake: Lake, tmp_path: Path) -> None:
    for number in range(3):
        lake.publish({"dim_customers": customers(north=[number])}, as_of=AS_OF)
    before = files(tmp_path / "data" / "lake" / "dim_customers")
    done = lake.expire(Policy(releases=1, days=0, young=timedelta(hours=1)), now=later())
    assert (len(done.releases), dict(done.snapshots), done.files) == (2, {}, 0)
    assert files(tmp_path / "data" / "lake" / "dim_customers") >= before


def test_what_is_expired_is_said_clearly_and_the_rest_reads_on(lake: Lake) -> None:
    releases = [
        lake.publish({"dim_customers": customers(north=[n])}, as_of=AS_OF, files={"a": str(n).encode()})
        for n in (1, 2, 3)
    ]
    lake.expire(STRICT, now=later(), pinned=[releases[1].id])
    assert [release.id for release in lake.releases()] == ["r000002", "r000003"]
    assert [numbers(lake, release) for release in releases[1:]] == [[2], [3]]
    with pytest.raises(NoRelease, match="r000001 was expired"):
        numbers(lake, releases[0])
    with pytest.raises(NoRelease, match="r000001"):
        lake.read_file(releases[0], "a")
    with pytest.raises(NoRelease):
        lake.rollback("r000001")
    with pytest.raises(NoRelease):
        open_session(lake.reader("north", releases[0])).query("from marts.dim_customers")
    assert lake.publish({}, as_of=AS_OF).number == 4


def test_files_of_others_and_what_a_broken_lake_needs_are_not_touched(lake: Lake, tmp_path: Path) -> None:
    lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)
    release = lake.publish({"dim_customers": customers(north=[2])}, as_of=AS_OF)
    (tmp_path / "data" / "somebody.txt").write_text("mine")
    (tmp_path / "data" / "lake" / "unknown").mkdir()
    (tmp_path / "data" / "lake" / "unknown" / "x.parquet").write_text("mine")
    needed = next((tmp_path / "data" / "lake" / "dim_customers" / "data").rglob("*.parquet"))
    kept = files(tmp_path)
    body = needed.read_bytes()
    for path in (tmp_path / "data" / "lake" / "dim_customers" / "data").rglob("*.parquet"):
        path.rename(path.with_suffix(".aside"))
    with pytest.raises(LakeError, match="nothing is removed"):
        lake.expire(STRICT, now=later(), dry_run=True)
    with pytest.raises(LakeError, match=r"a file is gone|roll back"):
        numbers(lake, release)
    for path in (tmp_path / "data" / "lake" / "dim_customers" / "data").rglob("*.aside"):
        path.rename(path.with_suffix(".parquet"))
    assert files(tmp_path) == kept
    assert needed.read_bytes() == body
    lake.expire(STRICT, now=later())
    assert {"data/somebody.txt", "data/lake/unknown/x.parquet"} <= files(tmp_path)
    assert numbers(lake, release) == [2]


def test_a_location_that_is_spelt_otherwise_is_no_useless_file(tmp_path: Path) -> None:
    lake = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}//data/./x")
    for number in (1, 2):
        release = lake.publish({"dim_customers": customers(north=[number])}, as_of=AS_OF, files={"a": b"1"})
    with suppress(LakeError):
        lake.expire(STRICT, now=later())
    assert numbers(lake, release) == [2]
    assert lake.read_file(release, "a") == b"1"


def test_an_expiry_that_breaks_off_is_finished_by_the_next(lake: Lake, tmp_path: Path) -> None:
    for number in range(3):
        lake.publish({"dim_customers": customers(north=[number])}, as_of=AS_OF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mercurios.lake.expiry._drop", broken)
        with pytest.raises(LakeError, match="did not get to its end"):
            lake.expire(STRICT, now=later())
    assert [release.id for release in lake.releases()] == ["r000003"]
    done = lake.expire(STRICT, now=later())
    assert (done.releases, done.snapshots["dim_customers"]) == ((), 2)
    assert len(files(tmp_path / "data" / "lake" / "dim_customers" / "data")) == 1
    assert numbers(lake, lake.require_current()) == [2]


def broken(*_: object) -> bool:
    raise OSError("cut off")


def test_what_a_failed_publication_left_is_removed_when_it_is_old(lake: Lake, tmp_path: Path) -> None:
    release = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)

    def fails() -> pa.Table:
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        lake.publish({"dim_customers": customers(north=[666]), "dim_tenants": fails}, as_of=AS_OF)
    data = tmp_path / "data" / "lake" / "dim_customers" / "data"
    assert len(files(data)) == 2
    assert lake.expire(Policy(), now=later()).files == 0
    assert lake.expire(Policy(young=timedelta()), now=later()).snapshots == {"dim_customers": 1}
    assert len(files(data)) == 1
    assert numbers(lake, release) == [1]


@dataclass
class Model:
    """What a lake should hold: for every release its rows by tenant and its file."""

    lake: Lake
    states: dict[str, Mapping[str, list[int]]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    names: "itertools.count[int]" = field(default_factory=itertools.count)

    def publish(self, kind: str, tenant: str, chosen: list[int]) -> None:
        before = self.lake.current()
        state = dict(self.states[before.id]) if before else {}
        state[tenant] = sorted(set(chosen))
        body = str(next(self.names)).encode()
        rows = customers(**{name: own for name, own in state.items() if own})
        if kind == "tenant" and before:
            mine = customers(**{tenant: state[tenant]})
            release = self.lake.publish({"dim_customers": mine}, as_of=AS_OF, tenants=(tenant,), files={"a": body})
        else:
            given = source(rows) if kind == "source" else rows
            release = self.lake.publish({"dim_customers": given}, as_of=AS_OF, files={"a": body})
        self.states[release.id], self.bodies[release.id] = state, body

    def fail(self, chosen: list[int]) -> None:
        def broken_table() -> pa.Table:
            raise OSError("cut off")

        with pytest.raises(OSError, match="cut off"):
            self.lake.publish(
                {"dim_customers": source(customers(north=[*chosen, 666])), "dim_tenants": broken_table}, as_of=AS_OF
            )

    def rollback(self, choice: int) -> None:
        releases = self.lake.releases()
        if releases:
            old = releases[choice % len(releases)]
            back = self.lake.rollback(old.id)
            self.states[back.id], self.bodies[back.id] = self.states[old.id], self.bodies[old.id]

    def expire(self, keep: int, pin: int) -> None:
        releases = self.lake.releases()
        pinned = {releases[pin % len(releases)].id} if releases else set()
        done = self.lake.expire(Policy(keep, 0, timedelta()), now=later(), pinned=pinned)
        assert set(done.releases) == {release.id for release in releases[:-keep]} - pinned

    def check(self) -> None:
        for release in self.lake.releases():
            for tenant, expected in self.states[release.id].items():
                assert numbers(self.lake, release, tenant) == expected
            assert self.lake.read_file(release, "a") == self.bodies[release.id]


CHOSEN = st.lists(st.integers(1, 9), max_size=3)
STEPS: st.SearchStrategy[Callable[[Model], None]] = st.one_of(
    st.builds(
        lambda *given: lambda model: model.publish(*given),
        st.sampled_from(["rows", "source", "source", "tenant"]),
        st.sampled_from(["north", "south"]),
        CHOSEN,
    ),
    st.builds(lambda chosen: lambda model: model.fail(chosen), CHOSEN),
    st.builds(lambda choice: lambda model: model.rollback(choice), st.integers(0, 9)),
    st.builds(lambda keep, pin: lambda model: model.expire(keep, pin), st.integers(1, 3), st.integers(0, 9)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=3, max_size=8))
def test_whatever_happens_kept_releases_read_back_and_nothing_else_stays(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Callable[[Model], None]]
) -> None:
    folder = tmp_path_factory.mktemp("life")
    model = Model(Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data"))
    for step in steps:
        step(model)
        model.check()
    kept = model.lake.releases()
    model.expire(1000, 0)
    model.check()
    assert model.lake.releases() == kept
    assert model.lake.expire(Policy(1000, 0, timedelta()), now=later()).files <= 1  # the metadata of the one before
    data = files(folder / "data" / "lake" / "dim_customers" / "data") if kept else set()
    rows = {table.snapshot_id for release in kept for table in release.tables if table.rows}
    assert bool(data) == bool(rows)
    assert len(data) <= 2 * len(rows)
    bodies = files(folder / "data" / "releases")
    assert len(bodies) == len({release.files["a"] for release in kept})


def test_what_a_champion_was_trained_on_is_pinned(lake: Lake) -> None:
    def version(name: str, **tags: str) -> ModelVersion:
        return ModelVersion(name, 1, "run", ("champion",), "", tags, {}, AS_OF)

    class Champions:
        def champions(self, tenant_id: str) -> tuple[ModelVersion, ...]:
            return {"north": (version("a", data_release="r000002"), version("b")), "south": ()}[tenant_id]

    for number in (1, 2, 3):
        lake.publish({"dim_customers": customers(north=[number])}, as_of=AS_OF)
    pinned = trained_on(Champions(), ("north", "south"))  # type: ignore[arg-type]
    assert pinned == {"r000002"}
    assert expire(lake, STRICT, now=later(), pinned=pinned, dry_run=True).releases == ("r000001",)
    assert expire(lake, STRICT, now=later(), pinned=pinned).releases == ("r000001",)
    assert [numbers(lake, release) for release in lake.releases()] == [[2], [3]]


def test_the_commands_tell_go_back_and_expire(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercurios.wiring.open_lake", lambda: lake)
    monkeypatch.setattr("mercurios.wiring.expire_releases", lambda now, **how: lake.expire(STRICT, now=later(), **how))

    def said(*arguments: str, answer: str = "") -> str:
        done = CliRunner().invoke(app, arguments, input=answer, catch_exceptions=False)
        return done.output if done.exit_code == 0 else f"exit {done.exit_code}: {done.output}"

    assert "mercurios pipeline" in said("list")
    first = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF, files={"a.json": b"1"})
    lake.publish({"dim_customers": customers(north=[2, 3])}, as_of=AS_OF)
    assert [line.split()[0] for line in said("list").splitlines()] == ["r000001", "r000002"]
    shown = said("show", "r000001")
    assert str(first.table("dim_customers").snapshot_id) in shown
    assert "a.json" in shown
    assert said("rollback", "r000001", answer="n\n").startswith("exit 1")
    assert "r000003 is current and holds what r000001 holds" in said("rollback", "r000001", "--yes")
    assert numbers(lake, lake.require_current()) == [1]
    assert [row["rollback_of"] for row in json.loads(said("list", "--json"))] == [None, None, "r000001"]
    assert "2 releases would go: r000001, r000002; 1 are kept" in said("expire", "--dry-run")
    assert said("expire", answer="n\n").startswith("exit 1")
    assert len(lake.releases()) == 3
    assert "2 releases are gone: r000001, r000002; 1 are kept" in said("expire", "--yes")
    assert [release.id for release in lake.releases()] == ["r000003"]


# --- at the same time ------------------------------------------------------------------------------------------------


def big(tenant: str, number: int) -> pa.Table:
    """Enough rows for some batches."""
    day = date(2026, 1, 1)
    count = 300_000
    columns = [
        pa.array([tenant] * count),
        pa.array(range(number * count, (number + 1) * count)),
        pa.array([day] * count),
        pa.array([day] * count),
    ]
    return pa.Table.from_arrays(columns, schema=TABLES["dim_customers"].schema)


def test_a_reader_in_the_middle_of_a_scan_sees_its_rows_unchanged(lake: Lake) -> None:
    first = lake.publish({"dim_customers": big("north", 0)}, as_of=AS_OF)
    reading = lake.reader("north", first).batches("dim_customers")
    seen = [next(reading)]
    for number in (1, 2):
        lake.publish({"dim_customers": big("north", number)}, as_of=AS_OF)
        seen.append(next(reading))
    lake.rollback(first.id)
    lake.expire(STRICT, now=later())
    seen += list(reading)
    assert pa.Table.from_batches(seen)["customer_number"].to_pylist() == list(range(300_000))
    assert lake.reader("north", first).count("dim_customers") == 300_000  # what was brought back is the same snapshot


def test_a_reader_of_what_is_expired_meanwhile_is_told_so(lake: Lake) -> None:
    lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)
    lake.publish({"dim_customers": big("north", 0)}, as_of=AS_OF, tenants=("north",))
    first = lake.require_current()
    reading = lake.reader("north", first).batches("dim_customers")
    lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)
    lake.expire(STRICT, now=later())
    with pytest.raises(NoRelease, match="r000002 was expired; read the current one"):
        next(reading)
    with pytest.raises(NoRelease, match="r000002 was expired"):
        lake.reader("north", first).count("dim_customers")


def test_many_readers_while_releases_come_and_go(lake: Lake, tmp_path: Path) -> None:
    lake.publish({"dim_customers": customers(north=[0, 1000], south=[1])}, as_of=AS_OF)
    stop, found, gone = threading.Event(), [], []

    def read() -> None:
        own = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")
        while not stop.is_set():
            release = own.require_current()
            try:
                for _ in range(2):
                    found.append(tuple(numbers(own, release)))
                    assert numbers(own, release, "south") == [1]
            except NoRelease as error:
                gone.append(str(error))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for number in range(1, 9):
                state = source(customers(north=[number, number + 1000], south=[1]))
                lake.publish({"dim_customers": state}, as_of=AS_OF)
                if number % 3 == 0:
                    lake.rollback(lake.releases()[-2].id)
                lake.expire(Policy(2, 0, timedelta()), now=later())
        finally:
            stop.set()
        for reader in readers:
            reader.result()
    assert {pair[1] - pair[0] for pair in found} == {1000}
    assert len(set(found)) > 1
    assert all("was expired" in text for text in gone)


def test_tables_of_a_release_belong_together_whatever_goes_on_meanwhile(lake: Lake, tmp_path: Path) -> None:
    """Every state names its number in both tables and both tenants; the first release is pinned and read as of then."""

    def state(number: int) -> Mapping[str, pa.Table]:
        named = tenants("north", "south")
        names = pa.array([str(number)] * 2, named.schema.field("name").type)
        own = customers(north=[number], south=[number + 1000])
        return {"dim_customers": own, "dim_tenants": named.set_column(1, named.schema.field("name"), names)}

    first = lake.publish(state(0), as_of=AS_OF)
    stop, seen = threading.Event(), set[int]()

    def look(tenant: str, offset: int) -> int:
        own, asked = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data"), 0
        query = "select customer_number as n, name from marts.dim_customers join marts.dim_tenants using (tenant_id)"
        while not stop.is_set():
            with suppress(NoRelease):
                session = open_session(own.reader(tenant, own.require_current()))
                found = session.query(query).to_pylist()
                assert [row["n"] - offset for row in found] == [int(row["name"]) for row in found]
                seen.add(int(found[0]["name"]))
                asked += 1
            assert numbers(own, own.release(first.id), tenant) == [offset]
        return asked

    with ThreadPoolExecutor(2) as pool:
        looking = [pool.submit(look, "north", 0), pool.submit(look, "south", 1000)]
        try:
            for number in range(1, 7):
                lake.publish(state(number), as_of=AS_OF)
                if number % 3 == 0:
                    lake.rollback(first.id)
                lake.expire(Policy(2, 0, timedelta()), now=later(), pinned=[first.id])
        finally:
            stop.set()
        assert all(each.result() > 2 for each in looking)
    assert len(seen) > 1
    assert [numbers(lake, first, tenant) for tenant in ("north", "south")] == [[0], [1000]]


def test_of_two_publications_at_once_one_wins_and_the_other_can_be_run_again(lake: Lake, tmp_path: Path) -> None:
    lake.publish({"dim_customers": customers(north=[1], south=[1])}, as_of=AS_OF)
    meeting = threading.Barrier(2)

    def publish(number: int) -> str:
        own = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")

        def rows() -> Source:
            meeting.wait(30)
            return source(customers(north=[number], south=[1]))

        try:
            return own.publish({"dim_customers": rows}, as_of=AS_OF).id
        except PublishConflict:
            return "lost"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(publish, (10, 20)))
    assert sorted(outcomes) == ["lost", "r000002"]
    won, lost = (10, 20) if outcomes[1] == "lost" else (20, 10)
    current = lake.require_current()
    assert (numbers(lake, current), numbers(lake, current, "south")) == ([won], [1])
    retried = lake.publish({"dim_customers": source(customers(north=[lost], south=[1]))}, as_of=AS_OF)
    assert (retried.number, numbers(lake, retried), numbers(lake, retried, "south")) == (3, [lost], [1])


def test_an_expiry_in_the_middle_of_a_publication_disturbs_nothing(lake: Lake) -> None:
    for number in (1, 2, 3):
        lake.publish({"dim_customers": customers(north=[number], south=[9])}, as_of=AS_OF)

    def meanwhile() -> pa.Table:
        done = lake.expire(Policy(1, 0, timedelta(hours=1)), now=later())
        assert len(done.releases) == 2
        return tenants("north")

    state = {"dim_customers": source(customers(north=[4], south=[9])), "dim_tenants": meanwhile}
    release = lake.publish(state, as_of=AS_OF)
    assert release.id == "r000004"
    assert (numbers(lake, release), numbers(lake, release, "south")) == ([4], [9])
    lake.expire(STRICT, now=later())
    assert (numbers(lake, release), numbers(lake, release, "south")) == ([4], [9])


# --- a lake of before releases could be rolled back ------------------------------------------------------------------


def test_a_lake_of_an_older_version_is_read_and_brought_up_to_date(shop: Shop) -> None:
    catalog = shop.lake._catalog
    catalog.create_namespace("lake")
    old = catalog.create_table("lake.fct_moves", schema=SMALL["fct_moves"].schema)
    with old.update_spec() as spec:
        spec.add_identity("tenant_id")
    old.append(pa.Table.from_pylist([move("north", 77, "2025-05-05")], schema=SMALL["fct_moves"].schema))
    snapshot = old.current_snapshot()
    assert snapshot
    schema = pa.schema([("id", pa.string()), ("number", pa.int64()), ("at", UTC_TIMESTAMP), ("as_of", UTC_TIMESTAMP)])
    for name in ("tables", "files"):
        schema = schema.append(pa.field(name, pa.string()))
    schema = pa.schema([each.with_nullable(False) for each in schema])
    told = json.dumps([{"name": "fct_moves", "snapshot_id": snapshot.snapshot_id, "rows": 1}])
    row = {"id": "r000001", "number": 1, "at": AS_OF, "as_of": AS_OF, "tables": told, "files": "{}"}
    catalog.create_table("lake.releases", schema=schema).append(pa.Table.from_pylist([row], schema=schema))

    first = shop.lake.require_current()
    assert (first.id, first.rollback_of, first.table("fct_moves").contents) == ("r000001", None, "")
    assert [each["move_id"] for each in shop.rows("fct_moves")] == [77]
    report = shop.export()
    assert report.release.id == "r000002"
    assert shop.rows("fct_moves") == shop.in_warehouse("fct_moves")
    assert [each["move_id"] for each in shop.rows("fct_moves", release=first)] == [77]
    assert {each.written for each in shop.export().tables} == {0}
    shop.lake.rollback("r000001")
    shop.lake.expire(STRICT, now=later())
    assert [each["move_id"] for each in shop.rows("fct_moves")] == [77]
    shop.export()
    assert shop.rows("fct_moves") == shop.in_warehouse("fct_moves")
