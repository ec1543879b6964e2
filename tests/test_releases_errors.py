"""What can go wrong with catalog and files leaves the lake as an error that says what to do, and tells no secret."""

import errno
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from sqlalchemy.exc import OperationalError

from mercurios.errors import BadRequest, LakeError, NoRelease
from mercurios.lake import CONTENTS, Lake, Policy, PublishConflict, Release, Source
from mercurios.lake.releases import ReleaseLog
from tests.test_lake import AS_OF, customers, lake
from tests.test_releases import STRICT, files, later, numbers, source

__all__ = ["lake"]

SECRET = "AKIAIOSFODNN7EXAMPLE"


def refused(word: str) -> ClientError:
    return ClientError({"Error": {"Code": word, "Message": f"not for {SECRET}"}}, "GetTable")


FAILURES: list[tuple[Exception, str]] = [
    (OSError(f"key 'x' {SECRET}: AWS Error ACCESS_DENIED during HeadObject operation: no"), "policy of its role"),
    (OSError(f"{SECRET}: AWS Error UNKNOWN (HTTP status 403) during GetObject operation: no"), "policy of its role"),
    (OSError(f"{SECRET}: AWS Error NETWORK_CONNECTION during PutObject operation: curlCode: 7"), "run this again"),
    (OSError(f"{SECRET}: AWS Error INVALID_ACCESS_KEY_ID during PutObject operation"), "renew"),
    (OSError(f"{SECRET}: AWS Error SLOW_DOWN during PutObject operation"), "run this again"),
    (OSError(f"{SECRET}: AWS Error NO_SUCH_BUCKET during PutObject operation"), "MERCURIOS_LAKE"),
    (OSError(errno.ENOSPC, f"No space {SECRET}"), "free some"),
    (OSError(errno.EACCES, f"Permission {SECRET}"), "right to"),
    (OSError(errno.EIO, f"I/O {SECRET}"), "run this again"),
    (ConnectionResetError(SECRET), "run this again"),
    (refused("AccessDeniedException"), "policy of its role"),
    (refused("ExpiredTokenException"), "renew"),
    (refused("ThrottlingException"), "run this again"),
    (NoCredentialsError(), "AWS_PROFILE"),
    (NoRegionError(), "AWS_REGION"),
    (EndpointConnectionError(endpoint_url=f"https://{SECRET}@x"), "network"),
    (OperationalError(f"select '{SECRET}'", {"x": SECRET}, Exception("disk I/O error")), "MERCURIOS_CATALOG"),
]


def raising(error: Exception) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> Any:
        raise error

    return raises


CALLS: dict[str, Callable[[Lake, Release], object]] = {
    "current": lambda lake, _: lake.current(),
    "releases": lambda lake, _: lake.releases(),
    "release_at": lambda lake, _: lake.release_at(later()),
    "rollback": lambda lake, release: lake.rollback(release.id),
    "expire": lambda lake, _: lake.expire(STRICT, now=later()),
    "plan": lambda lake, _: lake.expire(STRICT, now=later(), dry_run=True),
    "publish": lambda lake, _: lake.publish({"dim_customers": customers(north=[2])}, as_of=AS_OF),
    "source": lambda lake, _: lake.publish({"dim_customers": source(customers(north=[2]))}, as_of=AS_OF),
    "files": lambda lake, _: lake.publish({}, as_of=AS_OF, files={"a": b"2"}),
    "read_file": lambda lake, release: lake.read_file(release, "a"),
    "table": lambda lake, release: lake.reader("north", release).table("dim_customers"),
    "count": lambda lake, release: lake.reader("north", release).count("dim_customers"),
    "column": lambda lake, release: lake.reader("north", release).column("dim_customers", "customer_number"),
}


@pytest.mark.parametrize(("error", "advice"), FAILURES, ids=repr)
def test_every_failure_is_told_with_what_to_do_and_without_secrets(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: Exception, advice: str
) -> None:
    monkeypatch.setattr(type(lake._catalog), "load_table", raising(error))
    for call in (lake.current, lambda: lake.publish({}, as_of=AS_OF)):
        with pytest.raises(LakeError, match=advice) as caught:
            call()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [FAILURES[0][0], refused("AccessDeniedException")], ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_a_catalog_that_fails_does_so_with_an_error_of_ours(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    release = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF, files={"a": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr(type(lake._catalog), "load_table", raising(error))
        with pytest.raises(LakeError, match="policy of its role") as caught:
            CALLS[call](lake, release)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert lake.current() == release


@pytest.mark.parametrize("call", ["publish", "source", "files", "rollback", "expire"])
def test_a_file_that_cannot_be_written_publishes_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    lake.publish({"dim_customers": customers(north=[0])}, as_of=AS_OF, files={"a": b"1"})
    release = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF, files={"a": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr("pyiceberg.io.pyarrow.PyArrowFile.create", raising(FAILURES[0][0]))
        with pytest.raises(LakeError, match="policy of its role") as caught:
            CALLS[call](lake, release)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert lake.current() == release
    assert (numbers(lake, release), lake.read_file(release, "a")) == ([1], b"1")


def test_what_the_caller_raises_is_its_own(lake: Lake) -> None:
    with pytest.raises(OSError, match="mine"):
        lake.publish({"dim_customers": raising(OSError("mine"))}, as_of=AS_OF)


@pytest.mark.parametrize("pattern", ["data/**/*.parquet", "metadata/*.avro", "metadata/*.metadata.json"])
@pytest.mark.parametrize("harm", ["cut", "empty", "noise", "gone"])
def test_a_file_that_is_damaged_is_told(lake: Lake, tmp_path: Path, pattern: str, harm: str) -> None:
    release = lake.publish({"dim_customers": customers(north=[1, 2], south=[3])}, as_of=AS_OF)
    for path in (tmp_path / "data" / "lake" / "dim_customers").glob(pattern):
        body = path.read_bytes()
        if harm == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut": body[: len(body) // 2], "empty": b"", "noise": b"\x93" * len(body)}[harm])
    with pytest.raises(LakeError, match=r"dim_customers.*(restore|roll back)"):
        lake.reader("north", release).table("dim_customers")


def test_a_lost_list_of_contents_costs_a_full_write_and_no_more(lake: Lake, tmp_path: Path) -> None:
    state = source(customers(north=[1], south=[3]))
    first = lake.publish({"dim_customers": state}, as_of=AS_OF)
    for path in (tmp_path / "data" / "lake" / "dim_customers" / "contents").iterdir():
        path.unlink()
    again = lake.publish({"dim_customers": state}, as_of=AS_OF)
    assert again.table("dim_customers").snapshot_id != first.table("dim_customers").snapshot_id
    assert (numbers(lake, again), numbers(lake, again, "south")) == ([1], [3])


def test_a_catalog_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="MERCURIOS_CATALOG"):
        Lake.open(f"sqlite:///{tmp_path}/file/catalog.db", f"file://{tmp_path}/data")
    (tmp_path / "noise.db").write_bytes(b"no database" * 1000)
    with pytest.raises(LakeError, match="MERCURIOS_CATALOG"):
        Lake.open(f"sqlite:///{tmp_path}/noise.db", f"file://{tmp_path}/data")
    monkeypatch.setattr("mercurios.lake.load_catalog", raising(NoRegionError()))
    with pytest.raises(LakeError, match="AWS_REGION"):
        Lake.open("glue://", "s3://bucket/prefix")


def test_who_only_looks_makes_nothing(lake: Lake, tmp_path: Path) -> None:
    assert (lake.current(), lake.releases()) == (None, ())
    for call in (lambda: lake.release("r000001"), lambda: lake.release_at(later()), lambda: lake.rollback("r000001")):
        with pytest.raises(NoRelease):
            call()
    done = lake.expire(Policy(), now=later(), dry_run=True)
    assert (done.releases, done.kept, done.files) == ((), 0, 0)
    assert lake.expire(Policy(), now=later()) == done
    assert files(tmp_path) <= {"catalog.db"}
    assert lake._catalog.list_namespaces() == []


def test_a_release_that_is_expired_meanwhile_is_not_brought_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lake.publish({"dim_customers": customers(north=[1], south=[8])}, as_of=AS_OF)
    second = lake.publish({"dim_customers": customers(north=[2], south=[9])}, as_of=AS_OF)
    append = ReleaseLog.append

    def late(self: ReleaseLog, release: Release) -> None:
        lake.expire(STRICT, now=later())
        append(self, release)

    monkeypatch.setattr(ReleaseLog, "append", late)
    with pytest.raises(NoRelease, match="r000001 was expired"):
        lake.rollback(first.id)
    assert lake.releases() == (second,)
    assert (numbers(lake, second), numbers(lake, second, "south")) == ([2], [9])


def test_rollbacks_expiries_and_exports_at_once_leave_a_current_release_that_reads(lake: Lake, tmp_path: Path) -> None:
    for number in range(4):
        lake.publish({"dim_customers": source(customers(north=[number], south=[9]))}, as_of=AS_OF)
    meeting = threading.Barrier(3)

    def work(kind: str) -> None:
        own = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")
        meeting.wait(30)
        for number in range(5):
            try:
                if kind == "publish":
                    own.publish({"dim_customers": source(customers(north=[number + 10], south=[9]))}, as_of=AS_OF)
                elif kind == "rollback":
                    own.rollback(own.releases()[0].id)
                else:
                    own.expire(Policy(2, 0, timedelta(minutes=5)), now=later())
            except (PublishConflict, NoRelease):
                continue

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work, kind) for kind in ("publish", "rollback", "expire")]:
            done.result()
    for release in lake.releases():
        assert len(numbers(lake, release)) == 1
        assert numbers(lake, release, "south") == [9]
    lake.expire(STRICT, now=later())
    assert numbers(lake, lake.require_current(), "south") == [9]


@pytest.mark.parametrize(
    "given",
    [
        {"releases": 0},
        {"releases": -1},
        {"releases": True},
        {"releases": 1.5},
        {"days": -1},
        {"days": float("nan")},
        {"days": 10**10},
        {"young": timedelta(days=-1)},
        {"young": timedelta.max},
    ],
)
def test_a_policy_of_nonsense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="expected to keep"):
        Policy(**given)


def test_a_moment_without_a_zone_is_refused(lake: Lake) -> None:
    release = lake.publish({"dim_customers": customers(north=[1])}, as_of=AS_OF)
    bare = datetime(2026, 1, 2)
    with pytest.raises(BadRequest, match="zone"):
        lake.publish({"dim_customers": customers(north=[2])}, as_of=bare)
    with pytest.raises(BadRequest, match="zone"):
        lake.release_at(bare)
    with pytest.raises(BadRequest, match="zone"):
        lake.expire(STRICT, now=bare)
    assert lake.releases() == (release,)


@pytest.mark.parametrize("name", ["../south", "a/b", "..", "", "north*", "North", "a b", "a" * 33, "north\n"])
def test_a_tenant_whose_name_is_a_path_is_refused(lake: Lake, tmp_path: Path, name: str) -> None:
    release = lake.publish({"dim_customers": customers(north=[1], south=[8])}, as_of=AS_OF)
    before = files(tmp_path / "data" / "lake" / "dim_customers" / "data")
    with pytest.raises(LakeError, match="tenant"):
        lake.publish({"dim_customers": customers(**{name: [1], "north": [2]})}, as_of=AS_OF)
    with pytest.raises(LakeError, match="tenant"):
        lake.publish({"dim_customers": named(name)}, as_of=AS_OF)
    assert lake.current() == release
    assert files(tmp_path / "data" / "lake" / "dim_customers" / "data") == before


def named(tenant_id: str) -> Any:
    contents = [{"tenant_id": tenant_id, "month": None, "rows": 1, "fingerprint": "x"}]
    return Source(pa.Table.from_pylist(contents, schema=CONTENTS), lambda _: customers(**{tenant_id: [1]}).to_batches())


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a//b", "./a"])
def test_a_file_does_not_leave_the_folder_of_its_release(lake: Lake, tmp_path: Path, name: str) -> None:
    with pytest.raises(LakeError, match="file"):
        lake.publish({}, as_of=AS_OF, files={name: b"1"})
    assert not [path for path in files(tmp_path) if path.endswith(("/a", "/b"))]


def test_rows_of_a_tenant_that_is_removed_stay_in_the_older_release_only(lake: Lake) -> None:
    both = lake.publish({"dim_customers": source(customers(north=[1], south=[8]))}, as_of=AS_OF)
    alone = lake.publish({"dim_customers": source(customers(north=[1]))}, as_of=AS_OF)
    assert (numbers(lake, both, "south"), numbers(lake, alone, "south")) == ([8], [])
    assert (numbers(lake, both), numbers(lake, alone)) == ([1], [1])
    back = lake.rollback(both.id)
    assert numbers(lake, back, "south") == [8]
    last = lake.publish({"dim_customers": source(customers(north=[1]))}, as_of=AS_OF)
    lake.expire(STRICT, now=later())
    assert (numbers(lake, last), numbers(lake, last, "south")) == ([1], [])
