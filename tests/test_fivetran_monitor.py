"""The monitor: what Fivetran's REST API tells of a connection becomes a judgement, an event, a failed run."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from mercurios.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    MalformedPage,
    MercuriosError,
    SourceError,
    SourceUnavailable,
    SyncFailed,
    SyncOverdue,
)
from mercurios.fivetran.api import FivetranApi
from mercurios.jobs.fivetran import Account as References
from mercurios.jobs.fivetran import Condition, Waiting, counter, look, sync
from mercurios.secrets import SecretRef
from mercurios.sources.retrying import Patience
from tests.fivetran_double import Account, fivetran, status

KEY, SECRET = "key-canary-3141", "secret-canary-2718"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=26)
OLD, NEW = "2026-01-05T03:00:00.000000Z", "2026-01-05T11:59:00.000000Z"


@pytest.fixture
def account() -> Account:
    return Account(KEY, SECRET, {"warm_sun": [status()]})


@pytest.fixture
def url(account: Account) -> Iterator[str]:
    with fivetran(account) as served:
        yield served


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def api(url: str, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[FivetranApi]:
    with opened(url, slept, monkeypatch) as made:
        yield made


def opened(url: str, slept: list[float], monkeypatch: pytest.MonkeyPatch, secret: str = SECRET) -> FivetranApi:
    from pathlib import Path

    monkeypatch.setenv("FIVETRAN_API_KEY", KEY)
    monkeypatch.setenv("FIVETRAN_API_SECRET", secret)
    key, word = (SecretRef.parse(f"env:FIVETRAN_API_{name}", Path()) for name in ("KEY", "SECRET"))
    return FivetranApi(key, word, url=url, patience=Patience(attempts=3, timeout_seconds=2.0, sleep=slept.append))


def test_a_connection_is_read_with_its_times_in_utc(api: FivetranApi, account: Account) -> None:
    told = status(failed_at="2026-01-05T02:00:00+01:00", tasks=[{"code": "reconnect", "message": SECRET}])
    account.connections["warm_sun"] = [told]
    connection = api.connection("warm_sun")
    assert (connection.id, connection.schema) == ("warm_sun", "prohandel_warm_sun")
    assert connection.succeeded_at == datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert connection.failed_at == datetime(2026, 1, 5, 1, tzinfo=UTC)
    assert connection.tasks == ("reconnect",)
    assert not connection.has_failed_last
    assert "canary" not in f"{api!r} {connection!r}"


@pytest.mark.parametrize(
    ("told", "condition", "reasons"),
    [
        (status(), "synced", ()),
        (status(sync_state="syncing"), "synced", ()),
        (status(succeeded_at="2026-01-04T09:00:00Z"), "stale", ("its last good sync is 27.0 h old",)),
        (status(succeeded_at="2026-01-04T10:00:00Z"), "synced", ()),
        (status(succeeded_at=None), "stale", ("no sync has ever succeeded",)),
        (status(succeeded_at=None, paused=True), "stale", ("no sync has ever succeeded", "it is paused")),
        (status(failed_at="2026-01-05T04:00:00Z"), "failed", ("its newest sync failed at 2026-01-05 04:00 UTC",)),
        (status(failed_at="2026-01-05T02:00:00Z"), "synced", ()),
        (status(setup_state="broken"), "failed", ("its setup is broken",)),
        (
            status(succeeded_at=None, failed_at="2026-01-01T04:00:00Z", setup_state="incomplete"),
            "failed",
            (
                "its setup is incomplete",
                "its newest sync failed at 2026-01-01 04:00 UTC",
                "no sync has ever succeeded",
            ),
        ),
    ],
)
def test_a_connection_is_judged(
    api: FivetranApi, account: Account, told: dict[str, Any], condition: str, reasons: tuple[str, ...]
) -> None:
    account.connections["warm_sun"] = [told]
    report = look(api, "warm_sun", NOW, stale_after=DAY)
    assert (report.condition.value, report.reasons) == (condition, reasons)
    assert (report.age_hours is None) == (told["succeeded_at"] is None)


def test_rows_are_counted_in_the_destination(api: FivetranApi) -> None:
    class Store:
        def tables(self, schema: str) -> tuple[str, ...]:
            return (f"{schema}.branch", f"{schema}.sale") if schema == "prohandel_warm_sun" else ()

        def count(self, name: str, tenant_id: str | None = None) -> int:
            return len(name)

        def table(self, name: str) -> pa.Table:
            raise AssertionError("rows are counted, not read")

    counted = counter(Store())  # type: ignore[arg-type]
    report = look(api, "warm_sun", NOW, stale_after=DAY, rows=counted)
    assert report.rows == {"prohandel_warm_sun.branch": 25, "prohandel_warm_sun.sale": 23}
    assert counted("no name; drop table") == {}
    assert look(api, "warm_sun", NOW, stale_after=DAY).rows == {}


def test_a_moment_without_a_zone_is_refused(api: FivetranApi) -> None:
    with pytest.raises(BadRequest, match="time zone"):
        look(api, "warm_sun", datetime(2026, 1, 5), stale_after=DAY)


def test_a_wrong_secret_is_told_without_it(url: str, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        opened(url, slept, monkeypatch, secret="other-canary") as api,
        pytest.raises(AuthenticationFailed, match="answered 401; check API key and secret") as caught,
    ):
        api.connection("warm_sun")
    assert "canary" not in str(caught.value)
    assert slept == []


def test_what_may_be_repeated_is_repeated_as_the_server_asks(
    api: FivetranApi, account: Account, slept: list[float]
) -> None:
    account.answers = [(429, {"Retry-After": "7"}, b"{}"), (503, {}, b"")]
    assert api.connection("warm_sun").id == "warm_sun"
    assert account.requests == 3
    assert slept[0] == 7.0
    assert 0 < slept[1] < 7


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((429, {"Retry-After": "3600"}, b"{}"), SourceUnavailable, "answers 429; run again later"),
        ((200, {}, b'{"code": "Success", "data": '), MalformedPage, "no JSON"),
        ((200, {}, b"<html>secret-canary-2718</html>"), MalformedPage, "no JSON"),
        ((200, {}, b"[]"), MalformedPage, "something else"),
        ((200, {}, b'{"code": "Success"}'), MalformedPage, "no description of a connection"),
        ((200, {}, b'{"data": {"id": 7}}'), MalformedPage, "no description"),
        ((404, {}, b'{"code": "NotFound_Connection", "message": "canary"}'), SourceError, "404 NotFound_Connection"),
        ((409, {}, b'{"code": "secret canary"}'), SourceError, "answered 409; check"),
        ((302, {"Location": "http://127.0.0.1:9/canary"}, b""), SourceError, "answered 302"),
        ((200, {"Content-Encoding": "gzip"}, b"no gzip"), SourceUnavailable, "no answer"),
    ],
)
def test_a_bad_answer_is_told_clearly(
    api: FivetranApi, account: Account, answer: tuple[int, dict[str, str], bytes], kind: type[Exception], message: str
) -> None:
    account.answers = [answer] * 3
    with pytest.raises(kind, match=message) as caught:
        api.connection("warm_sun")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        {"succeeded_at": "yesterday"},
        {"succeeded_at": "2026-01-05T03:00:00"},
        {"succeeded_at": 7},
        {"status": None},
        {"status": {"setup_state": "connected"}},
        {"status": {"setup_state": None, "sync_state": "x"}},
        {"id": None},
    ],
)
def test_a_damaged_description_is_no_connection(api: FivetranApi, account: Account, damage: dict[str, Any]) -> None:
    account.connections["warm_sun"] = [status() | damage]
    with pytest.raises(MalformedPage, match="no description of a connection"):
        api.connection("warm_sun")


def test_no_answer_is_no_connection(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        opened("http://127.0.0.1:9", slept, monkeypatch) as api,
        pytest.raises(SourceUnavailable, match="no answer") as caught,
    ):
        api.connection("warm_sun")
    assert "canary" not in str(caught.value)
    assert len(slept) == 2


@pytest.mark.parametrize("connection_id", ["", "../users", "a/b", "a b", "x" * 65, "warm_sun\n"])
def test_what_is_no_id_is_not_asked_for(api: FivetranApi, account: Account, connection_id: str) -> None:
    with pytest.raises(ConfigError, match="no id of a Fivetran connection"):
        api.connection(connection_id)
    assert account.requests == 0


@pytest.mark.parametrize(
    "bad",
    [
        "http://api.fivetran.com",
        "ftp://x",
        "https://u:canary@x",
        "https://",
        "",
        "https://[canary",
        "https://x/?q=canary",
        "https://x#canary",
        "https://@x",
        "https://canary:canary@ho\u2100st",
        "https://host:canary/",
    ],
)
def test_secrets_go_to_https_only(bad: str, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected https://HOST") as caught:
        opened(bad, slept, monkeypatch)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_sync_is_started_and_awaited(api: FivetranApi, account: Account, slept: list[float]) -> None:
    syncing = status(sync_state="syncing")
    account.connections["warm_sun"] = [status(), syncing, syncing, status(succeeded_at=NEW)]
    after = sync(api, "warm_sun", Waiting(600, 5, slept.append))
    assert after.succeeded_at == datetime(2026, 1, 5, 11, 59, tzinfo=UTC)
    assert account.synced == [("warm_sun", {"force": False})]
    assert slept == [5, 5]


def test_the_first_sync_ever_is_awaited(api: FivetranApi, account: Account, slept: list[float]) -> None:
    account.connections["warm_sun"] = [status(succeeded_at=None), status()]
    assert sync(api, "warm_sun", Waiting(600, 5, slept.append)).succeeded_at is not None


def test_a_sync_that_fails_is_told_with_its_task(api: FivetranApi, account: Account, slept: list[float]) -> None:
    failed = status(failed_at=NEW, tasks=[{"code": "python_code_throwing_error"}])
    account.connections["warm_sun"] = [status(), status(sync_state="syncing"), failed]
    with pytest.raises(SyncFailed, match="the sync failed \\(python_code_throwing_error\\)"):
        sync(api, "warm_sun", Waiting(600, 5, slept.append))


def test_an_old_failure_does_not_fail_the_sync_that_follows(
    api: FivetranApi, account: Account, slept: list[float]
) -> None:
    before = status(failed_at="2026-01-05T04:00:00Z")
    account.connections["warm_sun"] = [before, before, status(failed_at="2026-01-05T04:00:00Z", succeeded_at=NEW)]
    assert not sync(api, "warm_sun", Waiting(600, 5, slept.append)).has_failed_last


def test_a_sync_without_an_end_is_overdue(api: FivetranApi, account: Account, slept: list[float]) -> None:
    account.connections["warm_sun"] = [status(), status(sync_state="rescheduled")]
    with pytest.raises(SyncOverdue, match="no end of the sync within 0 s, it is rescheduled"):
        sync(api, "warm_sun", Waiting(0, 0, slept.append))


@pytest.mark.parametrize("told", [status(paused=True), status(setup_state="broken")])
def test_a_connection_that_cannot_sync_is_not_asked_to(
    api: FivetranApi, account: Account, told: dict[str, Any]
) -> None:
    account.connections["warm_sun"] = [told]
    with pytest.raises(SyncFailed, match="set it right"):
        sync(api, "warm_sun")
    assert account.synced == []


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> list[dict[str, Any]]:
    """Events as the flow emits them and Prefect takes them."""
    from prefect.events import emit_event

    from flows import events as module

    seen: list[dict[str, Any]] = []

    def emitted(**event: Any) -> None:
        assert emit_event(**event)
        seen.append(event)

    monkeypatch.setattr(module, "emit_event", emitted)
    monkeypatch.setenv("FIVETRAN_API_KEY", KEY)
    monkeypatch.setenv("FIVETRAN_API_SECRET", SECRET)
    return seen


def test_the_flow_looks_at_all_and_fails_for_one(account: Account, url: str, events: list[dict[str, Any]]) -> None:
    from flows import fivetran as module

    account.connections |= {
        "gone_moon": [status("gone_moon", failed_at="2026-01-05T04:00:00Z")],
        "slow_star": [status("slow_star", succeeded_at="2026-01-01T04:00:00Z", warnings=[{"code": "sdk_old"}])],
    }
    with pytest.raises(SyncFailed, match="gone_moon: its newest sync failed") as caught:
        module.fivetran(["gone_moon", "slow_star", "warm_sun"], References(url=url), as_of=NOW)
    assert "slow_star" not in str(caught.value)
    assert [(event["event"], event["resource"]["prefect.resource.id"]) for event in events] == [
        ("mercurios.fivetran.failed", "mercurios.fivetran.gone_moon"),
        ("mercurios.fivetran.stale", "mercurios.fivetran.slow_star"),
        ("mercurios.fivetran.synced", "mercurios.fivetran.warm_sun"),
    ]
    assert [event["payload"]["warnings"] for event in events] == [(), ("sdk_old",), ()]
    assert "canary" not in json.dumps(events)


def test_the_flow_syncs_first_when_asked(account: Account, url: str, events: list[dict[str, Any]]) -> None:
    from flows import fivetran as module

    account.connections["warm_sun"] = [status(), status(succeeded_at=NEW)]
    watch = module.Watch(syncs_first=True, timeout_seconds=20, poll_seconds=0.01)
    (report,) = module.fivetran(["warm_sun"], References(url=url), watch, as_of=NOW)
    assert report.condition is Condition.SYNCED
    assert report.succeeded_at == datetime(2026, 1, 5, 11, 59, tzinfo=UTC)
    assert account.synced == [("warm_sun", {"force": False})]


def test_the_flow_looks_at_the_others_when_one_is_not_there(
    account: Account, url: str, events: list[dict[str, Any]]
) -> None:
    from flows import fivetran as module

    with pytest.raises(MercuriosError, match="404 NotFound_Connection"):
        module.fivetran(["no_such", "warm_sun"], References(url=url), as_of=NOW)
    assert [event["event"] for event in events] == ["mercurios.fivetran.synced"]
