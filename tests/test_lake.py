"""Lake and serving sessions, on a real Iceberg catalog and two tenants."""

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mercurios.errors import ConfigError, LakeError, NoRelease
from mercurios.lake import Lake, PublishConflict
from mercurios.serving import Sessions, open_session
from mercurios.tables import TABLES

AS_OF = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")


def tenants(*ids: str) -> pa.Table:
    rows = [
        {"tenant_id": i, "name": i.title(), "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}
        for i in ids
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["dim_tenants"].schema)


def customers(**numbers: list[int]) -> pa.Table:
    day = date(2026, 1, 1)
    rows = [
        {"tenant_id": tenant, "customer_number": number, "first_sold_on": day, "last_sold_on": day}
        for tenant, known in numbers.items()
        for number in known
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["dim_customers"].schema)


def test_a_release_holds_what_was_published_and_each_tenant_sees_its_own(lake: Lake) -> None:
    release = lake.publish({"dim_customers": customers(north=[1, 2], south=[3])}, as_of=AS_OF)
    assert release.table("dim_customers").rows == 3
    assert lake.reader("north", release).table("dim_customers")["customer_number"].to_pylist() == [1, 2]
    assert lake.reader("south", release).table("dim_customers")["customer_number"].to_pylist() == [3]
    assert lake.reader("east", release).table("dim_customers").num_rows == 0


def test_an_older_release_stays_readable_and_other_tables_are_carried_over(lake: Lake) -> None:
    first = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF, files={"a.txt": b"one"})
    second = lake.publish({"dim_tenants": tenants("north")}, as_of=AS_OF, files={"a.txt": b"two"})
    third = lake.publish({"dim_customers": customers(north=[5, 6])}, as_of=AS_OF)
    assert [release.number for release in lake.releases()] == [1, 2, 3]
    assert lake.reader("north", first).table("dim_customers")["customer_number"].to_pylist() == [1]
    assert second.table("dim_customers") == first.table("dim_customers")
    assert lake.reader("north", third).table("dim_customers")["customer_number"].to_pylist() == [5, 6]
    assert [lake.read_file(release, "a.txt") for release in (first, second, third)] == [b"one", b"two", b"two"]
    assert lake.release(first.id) == first
    assert lake.current() == third


def test_a_file_that_is_lost_comes_back_with_the_next_publication(lake: Lake) -> None:
    first = lake.publish({}, as_of=AS_OF, files={"a.txt": b"one"})
    Path(first.files["a.txt"].removeprefix("file://")).unlink()
    with pytest.raises(LakeError, match=r"'a\.txt' of release r000001 is gone; run the verb that makes it"):
        lake.read_file(first, "a.txt")
    again = lake.publish({}, as_of=AS_OF, files={"a.txt": b"one"})
    assert lake.read_file(again, "a.txt") == b"one"


def test_publishing_one_tenant_leaves_the_other_alone(lake: Lake) -> None:
    lake.publish({"dim_customers": customers(north=[1], south=[9])}, as_of=AS_OF)
    release = lake.publish({"dim_customers": customers(north=[2, 3])}, as_of=AS_OF, tenants=("north",))
    assert lake.reader("north", release).table("dim_customers")["customer_number"].to_pylist() == [2, 3]
    assert lake.reader("south", release).table("dim_customers")["customer_number"].to_pylist() == [9]
    with pytest.raises(LakeError, match="holds rows of south"):
        lake.publish({"dim_customers": customers(south=[1])}, as_of=AS_OF, tenants=("north",))


def test_a_table_that_does_not_fit_publishes_nothing(lake: Lake) -> None:
    good = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)
    broken = customers(north=[1]).drop_columns(["last_sold_on"])
    with pytest.raises(LakeError, match="last_sold_on"):
        lake.publish({"dim_tenants": tenants("north"), "dim_customers": broken}, as_of=AS_OF)
    nameless = pa.table({"tenant_id": [None], "customer_number": [1], "first_sold_on": [None], "last_sold_on": [None]})
    with pytest.raises(LakeError, match="dim_customers"):
        lake.publish({"dim_customers": nameless}, as_of=AS_OF)
    with pytest.raises(LakeError, match="no published table"):
        lake.publish({"passwords": tenants("north")}, as_of=AS_OF)
    assert lake.current() == good


def test_two_publications_at_the_same_moment_do_not_hide_each_other(lake: Lake) -> None:
    first = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)

    def meanwhile() -> pa.Table:
        lake.publish({"dim_customers": customers(north=[2])}, as_of=AS_OF)
        return tenants("north")

    with pytest.raises(PublishConflict, match="again"):
        lake.publish({"dim_tenants": meanwhile}, as_of=AS_OF)
    releases = lake.releases()
    assert [release.number for release in releases] == [1, 2]
    assert not releases[-1].holds("dim_tenants")
    with pytest.raises(PublishConflict, match=first.id):
        lake.publish({"dim_tenants": tenants("north")}, as_of=AS_OF, base=first)
    assert lake.publish({"dim_tenants": tenants("north")}, as_of=AS_OF, base=releases[-1]).number == 3


def test_rows_of_a_publication_that_failed_never_come_with_a_later_one(lake: Lake) -> None:
    lake.publish({"dim_customers": customers(north=[1], south=[9])}, as_of=AS_OF)

    def meanwhile() -> pa.Table:
        lake.publish({}, as_of=AS_OF)
        return tenants("south")

    lost = {"dim_customers": customers(south=[666]), "dim_tenants": meanwhile}
    with pytest.raises(PublishConflict):
        lake.publish(lost, as_of=AS_OF, tenants=("south",))
    release = lake.publish(
        {"dim_customers": customers(north=[2]), "dim_tenants": tenants("north")}, as_of=AS_OF, tenants=("north",)
    )
    read = {name: lake.reader(name, release) for name in ("north", "south")}
    assert read["north"].table("dim_customers")["customer_number"].to_pylist() == [2]
    assert read["south"].table("dim_customers")["customer_number"].to_pylist() == [9]
    assert read["south"].table("dim_tenants").num_rows == 0


def test_the_very_first_publications_do_not_hide_each_other(lake: Lake) -> None:
    def meanwhile() -> pa.Table:
        lake.publish({"dim_customers": customers(north=[2])}, as_of=AS_OF)
        return tenants("north")

    with pytest.raises(PublishConflict):
        lake.publish({"dim_tenants": meanwhile}, as_of=AS_OF)
    assert [release.id for release in lake.releases()] == ["r000001"]


def test_what_is_not_there_is_said_clearly(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(NoRelease, match="mercurios pipeline"):
        lake.require_current()
    release = lake.publish({"dim_tenants": tenants("north")}, as_of=AS_OF)
    with pytest.raises(NoRelease, match="r999999"):
        lake.release("r999999")
    with pytest.raises(LakeError, match="forecasts"):
        release.table("forecasts")
    with pytest.raises(LakeError, match="index"):
        lake.read_file(release, "index")
    with pytest.raises(ConfigError, match="glue://"):
        Lake.open("mysql://somewhere", f"file://{tmp_path}")
    with pytest.raises(ConfigError, match="s3://"):
        Lake.open(f"sqlite:///{tmp_path}/c.db", "ftp://somewhere")


def test_a_session_holds_one_tenant_and_has_no_way_out(lake: Lake, tmp_path: Path) -> None:
    release = lake.publish(
        {"dim_tenants": tenants("north", "south"), "dim_customers": customers(north=[1], south=[2])}, as_of=AS_OF
    )
    session = open_session(lake.reader("north", release))
    assert session.query("select customer_number from marts.dim_customers").to_pylist() == [{"customer_number": 1}]
    assert session.query("select count(*) as n from marts.dim_tenants where tenant_id = ?", ["south"])[
        "n"
    ].to_pylist() == [0]
    for escape in (
        f"copy (select 1) to '{tmp_path}/x.csv'",
        f"attach '{tmp_path}/x.db'",
        "set enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            session.query(escape)
    with pytest.raises(NoRelease, match="east"):
        open_session(lake.reader("east", release))


def test_sessions_swap_on_a_new_release_and_old_ones_finish_their_work(lake: Lake) -> None:
    clock = [0.0]
    sessions = Sessions(lake, capacity_bytes=1, refresh_seconds=5, clock=lambda: clock[0])
    with pytest.raises(NoRelease):
        sessions.get("north")
    lake.publish(
        {"dim_tenants": tenants("north", "south"), "dim_customers": customers(north=[1], south=[2])}, as_of=AS_OF
    )
    old = sessions.get("north")
    assert sessions.get("north") is old
    lake.publish({"dim_customers": customers(north=[7], south=[2])}, as_of=AS_OF)
    assert sessions.get("north") is old
    clock[0] = 6
    new = sessions.get("north")
    count = "select customer_number as n from marts.dim_customers"
    assert (old.query(count)["n"].to_pylist(), new.query(count)["n"].to_pylist()) == ([1], [7])
    assert sessions.get("south").query(count)["n"].to_pylist() == [2]
    assert len(sessions) == 1
