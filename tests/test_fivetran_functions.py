"""The Function connection: Fivetran's protocol, call after call, with the state that the last answer gave."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from mercurios.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    MalformedPage,
    MercuriosError,
    SourceError,
)
from mercurios.fivetran import functions, tables
from mercurios.fivetran.functions import MOST_EMPTY_ANSWERS, handler, respond
from mercurios.fivetran.reading import Reading
from mercurios.fivetran.state import State
from mercurios.sources.contracts import CONTRACTS
from tests.fivetran_double import Destination, Listing, made, oracle

NOON = datetime(2025, 11, 4, 12, 0)
SECRETS = {
    "tenant_id": "north",
    "auth_url": "http://127.0.0.1:9",
    "api_key": "key-canary-3141",
    "api_secret": "secret-canary-2718",
}
"""Nothing answers there: what is asked goes to the merchant in memory, except where a test says so."""


class Context:
    """AWS Lambda's context: the time that is left, one value a question, the last one again and again."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds) or [900.0]

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]))


@pytest.fixture
def merchant(monkeypatch: pytest.MonkeyPatch) -> Listing:
    """The merchant whose records the handler reads, whatever it is configured to ask."""
    source = Listing({}, page_size=50)

    class Opened:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> Listing:
            return source

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(functions, "ProHandel", Opened)
    monkeypatch.setattr(functions, "local_clock", lambda _tenant: lambda: NOON)
    return source


def event(state: object, **more: object) -> dict[str, object]:
    secrets = {**SECRETS, **more.pop("settings", {})}  # type: ignore[dict-item]
    return {"agent": "Fivetran AWS Lambda Connector", "state": state, "secrets": secrets, "sync_id": "s1", **more}


def call(state: object, context: Context | None = None, **more: object) -> dict[str, Any]:
    """One call as AWS makes it: request and answer travel as JSON."""
    request = json.loads(json.dumps(event(state, **more)))
    return json.loads(json.dumps(handler(request, context or Context())))


def sync(target: Destination, check: Callable[[dict[str, Any]], None] = lambda _: None, **more: object) -> int:
    """Call until nothing is left, as Fivetran does; returns the number of calls."""
    empty = 0
    for number in count(1):
        answer = call(target.state, **more)
        check(answer)
        target.take(answer)
        empty = 0 if answer["insert"] or answer["delete"] else empty + 1
        assert not (answer["hasMore"] and empty > 10), "Fivetran gives up"
        if not answer["hasMore"]:
            return number
    raise AssertionError


def test_many_calls_carry_the_state_and_bring_every_row_and_delete(merchant: Listing) -> None:
    sales = [made("sale", number, isDeleted=number % 10 == 3) for number in range(400)]
    merchant.records = {"sale": list(sales), "branch": [made("branch", n) for n in range(3)]}
    merchant.records["order"] = [made("order", n) for n in range(5)]
    merchant.records["sale"][7] = {**sales[7], "quantity": "two"}
    target, deletes = Destination(), []
    most = 12_000

    def check(answer: dict[str, Any]) -> None:
        assert len(json.dumps(answer)) <= most
        assert answer["schema"] == {table: {"primary_key": key} for table, key in tables.keys(CONTRACTS).items()}
        assert set(answer) <= {"state", "insert", "delete", "schema", "hasMore", "softDelete"}
        deletes.extend(row for rows in answer["delete"].values() for row in rows)

    calls = sync(target, check, settings={"response_bytes": str(most)})
    assert calls >= 20
    assert {row["id"] for row in deletes} == {row["id"] for row in sales if row["isDeleted"]}
    assert all(set(row) == {"id"} for row in deletes)
    names = [one.column for one in CONTRACTS["sale"].kept]
    held = {key: {name: row[name] for name in names} for key, row in target.alive("sale").items()}
    assert held == oracle("sale", [row for number, row in enumerate(sales) if number != 7])
    assert len(target.alive("order")) == 5
    (broken,) = (row for row, _ in target.rows[tables.QUARANTINE].values())
    assert json.loads(broken["record"])["id"] == broken["record_id"] == "sale-00007"
    assert json.loads(broken["reasons"])

    merchant.records["sale"] = [row for row in merchant.records["sale"] if row["id"] != "sale-00020"]  # type: ignore[index]
    sync(target, check, settings={"response_bytes": str(most)}, sync_id="s2")
    assert "sale-00020" in target.dead("sale")
    assert len(target.alive("sale")) == len(held) - 1


def test_the_first_rows_of_a_complete_read_come_with_soft_delete_and_no_others(merchant: Listing) -> None:
    merchant.records = {"sale": [made("sale", number) for number in range(300)]}
    target, named = Destination(), []
    sync(target, lambda answer: named.append(answer.get("softDelete", [])), settings={"response_bytes": "12000"})
    assert len(named) > 5
    assert [tables for tables in named if tables] == [["sale"]]
    assert named[0] == ["sale"]


def test_a_page_larger_than_an_answer_is_cut_and_a_record_larger_than_one_is_told(merchant: Listing) -> None:
    merchant.records = {"branch": [made("branch", n, name1="ü" * 1500) for n in range(20)]}
    target = Destination()
    sync(target, lambda one: None, settings={"response_bytes": "24000"})
    assert len(target.alive("branch")) == 20
    merchant.records = {"branch": [made("branch", n, name1="ü" * 5000) for n in range(20)]}
    with pytest.raises(BadRequest, match="raise response_bytes"):
        sync(Destination(), settings={"response_bytes": "24000"})


def test_no_page_is_asked_for_when_the_time_is_nearly_up(merchant: Listing) -> None:
    merchant.records = {"sale": [made("sale", number) for number in range(600)]}
    answer = call({}, Context(900, 900, *[900.0] * len(CONTRACTS), 100))
    assert answer["hasMore"]
    assert 0 < len(answer["insert"]["sale"]) < 600
    short = call({}, Context(20, 15, 11, 9))
    assert short["hasMore"]
    assert State.parse(short["state"]).left == tuple(CONTRACTS)[3:]


def test_answers_without_rows_do_not_go_on_for_ever(merchant: Listing) -> None:
    state, more = {}, []
    for _ in range(len(CONTRACTS)):
        answer = call(state, Context(10, 1))
        state = answer["state"]
        more.append(answer["hasMore"])
    assert MOST_EMPTY_ANSWERS < 10
    turn = MOST_EMPTY_ANSWERS + 1
    assert more == [number % turn != 0 for number in range(1, len(CONTRACTS))] + [False]


def test_the_last_step_in_the_last_second_is_the_end(merchant: Listing) -> None:
    merchant.records = {"size": [made("size", 1)]}
    answer = call({}, Context(10, 1), settings={"entities": "size"})
    assert (len(answer["insert"]["size"]), answer["hasMore"]) == (1, False)


def test_nothing_to_read_is_one_answer(merchant: Listing) -> None:
    answer = call({})
    assert (answer["insert"], answer["delete"], answer["hasMore"]) == ({}, {}, False)
    assert "softDelete" not in answer
    assert State.parse(answer["state"]).left == ()


def test_the_last_word_on_a_key_counts(merchant: Listing) -> None:
    merchant.page_size = 1
    merchant.records = {"size": [made("size", 1, name="S"), made("size", 1, isDeleted=True), made("size", 2, name="M")]}
    answer = call({})
    assert [row["id"] for row in answer["insert"]["size"]] == ["size-00002"]
    assert answer["delete"] == {"size": [{"id": "size-00001"}]}


def test_an_error_comes_after_the_rows_that_were_read(merchant: Listing) -> None:
    merchant.records = {"branch": [made("branch", 1)]}
    merchant.failures = {"sale": AuthenticationFailed("refused")}
    answer = call({})
    assert answer["hasMore"]
    assert len(answer["insert"]["branch"]) == 1
    with pytest.raises(AuthenticationFailed, match="refused"):
        call(answer["state"])


def test_an_entity_that_fails_fails_each_sync_once_and_no_other_entity(merchant: Listing) -> None:
    merchant.records = {entity: [made(entity, 1)] for entity in CONTRACTS}
    merchant.failures = {"country": MalformedPage("cut")}
    target = Destination()
    for run in ("s1", "s2"):
        with pytest.raises(SourceError, match="country: cut"):
            sync(target, sync_id=run)
        assert {entity for entity in CONTRACTS if target.alive(entity)} == CONTRACTS.keys() - {"country"}
    merchant.failures.clear()
    sync(target, sync_id="s3")
    assert target.alive("country")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="sync", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield s3


def test_with_a_bucket_the_rows_go_there(merchant: Listing, bucket: Any) -> None:
    merchant.records = {"branch": [made("branch", 1), made("branch", 2, isDeleted=True)]}
    answer = call({}, bucket="sync", file="run/1.json")
    assert set(answer) == {"state", "schema", "hasMore", "softDelete"}
    stored = json.loads(bucket.get_object(Bucket="sync", Key="run/1.json")["Body"].read())
    assert [row["id"] for row in stored["insert"]["branch"]] == ["branch-00001"]
    assert stored["delete"] == {"branch": [{"id": "branch-00002"}]}
    with pytest.raises(SourceError, match="allow the function to write there"):
        call({}, bucket="nowhere", file="run/1.json")


@pytest.mark.parametrize(
    "request_",
    [
        None, [], "sync", {}, {"type": "test"}, event([]), event("x"), event({"a": 1}),
        {**event({}), "secrets": "secret-canary-2718"}, {**event({}), "secrets": [1]}, {**event({}), "sync_id": 7},
        {**event({}), "bucket": "sync"}, {**event({}), "file": "1.json"}, {**event({}), "customPayload": "x"},
        event({}, settings={"api_key": ""}), event({}, settings={"secret-canary-2718": "x"}),
        event({}, settings={"page_size": "secret-canary-2718"}), event({}, settings={"response_bytes": "6000001"}),
        event({}, settings={"auth_url": "https://u:secret-canary-2718@host"}),
        event({}, settings={"auth_url": "http://secret-canary-2718"}),
        event({}, settings={"auth_url": "https://[secret-canary-2718"}),
        event({}, settings={"auth_url": "https://host/?q=secret-canary-2718"}),
        event({}, settings={"auth_url": "https://host/#secret-canary-2718"}),
        event({}, settings={"auth_url": "secret-canary-2718: [\x7f\ud800"}),
        event({}, settings={"day_from_parameter": "secret canary 2718"}),
        event({}, settings={"calls_per_minute": "2718" * 2000}), event({}, settings={"page_size": "10001"}),
        event({}, settings={"tenant_id": "secret-canary-2718"}),
        event({}, settings={"time_zone": "secret-canary-2718"}),
        event({}, settings={"entities": "secret-canary-2718"}), event({}, settings={"api_secret": 2718}),
    ],
)  # fmt: skip
def test_what_is_no_request_is_told_without_a_secret(request_: object) -> None:
    with pytest.raises(MercuriosError) as caught:
        handler(request_, Context())
    assert isinstance(caught.value, BadRequest | ConfigError)
    assert "canary" not in _all_told(caught.value)
    assert "2718" not in _all_told(caught.value)


def _all_told(error: BaseException | None) -> str:
    return "" if error is None else f"{error!r} {_all_told(error.__cause__)}"


def test_custom_payload_sets_what_is_no_secret(merchant: Listing) -> None:
    merchant.records = {"branch": [made("branch", 1)], "size": [made("size", 1)]}
    answer = call({}, customPayload={"entities": "size"})
    assert set(answer["insert"]) == {"size"}
    assert set(answer["schema"]) == {"size", tables.QUARANTINE}


def test_without_a_sync_id_the_hour_names_the_sync(merchant: Listing) -> None:
    merchant.records = {"size": [made("size", n) for n in range(3)]}
    assert State.parse(call({}, sync_id=None)["state"]).run == "2025-11-04T12"


@settings(max_examples=25, deadline=None)
@given(most=st.integers(6_000, 20_000), records=st.integers(1, 4), count=st.integers(1, 6))
def test_no_answer_is_larger_than_allowed(most: int, records: int, count: int) -> None:
    source = Listing({entity: [made(entity, n) for n in range(count)] for entity in CONTRACTS}, page_size=2)
    reading, state = Reading(source, tuple(CONTRACTS), lambda: NOON, "s", records=records), State()
    while True:
        answer = respond(reading, state, most, lambda: 900.0)
        assert len(json.dumps(answer.as_json() | answer.payload())) <= most
        assert answer.rows
        state = answer.state
        if not answer.has_more:
            break
    assert state.left == ()


def test_size_is_counted_as_lambda_writes_it() -> None:
    source = Listing({"size": [made("size", n, name="ü€" * 20) for n in range(500)]}, page_size=100)
    reading = Reading(source, ("size",), lambda: NOON, "s", records=10)
    answer = respond(reading, State(), 50_000, lambda: 900.0)
    assert 40_000 < len(json.dumps(answer.as_json() | answer.payload())) <= 50_000
