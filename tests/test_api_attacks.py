"""Hostile requests: each is refused before any resolver runs, soon, and with a stated error."""

import json
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from mercurios.api.access import Identity
from mercurios.api.execution import GraphQL
from mercurios.api.persisted import document_id
from tests.api_world import ApiWorld, Response, listening, make_world

_NAME = "{ tenant { name } }"
_DEEP = "{ __schema { types " + "{ fields { type " * 20 + "{ name }" + " } }" * 20 + " } }"
_BOMB = "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }} " for n in range(40))


def _query(document: str, **variables: object) -> bytes:
    return json.dumps({"query": document, "variables": variables}).encode()


def _many(part: str, times: int, between: str = " ") -> str:
    return "{ " + between.join(part.replace("#", str(n)) for n in range(times)) + " }"


def _times(argument: str, name: str = "sales", below: str = "nodes { id }") -> str:
    return f"{{ {name}({argument}) {{ {below} }} }}"


DOCUMENTS: dict[str, str] = {
    # Depth
    "deep introspection": _DEEP,
    "deep fields": "{ tenant " + "{ release " * 30 + "{ id }" + " }" * 31,
    "braces without end": "{a" * 20_000,
    "inline fragments in each other": "{ " + "... { " * 200 + "tenant { name }" + " }" * 201,
    "typed inline fragments in each other": "{ " + "... on Query { " * 100 + "tenant { name }" + " }" * 101,
    "fragments in a chain": "{ ...F0 } "
    + "".join(f"fragment F{n} on Query {{ ...F{n + 1} }} " for n in range(55))
    + "fragment F55 on Query { tenant { name } }",
    "lists in a value": f"{{ metrics(names: {'[' * 500}{']' * 500}) {{ rows }} }}",
    "objects in a value": "{ metrics(names: [], where: " + "{a: " * 400 + "1" + "}" * 400 + ") { rows } }",
    # Breadth, aliases, duplicates
    "wide root": _many("tenant { name }", 51),
    "wide below": "{ tenant " + _many("name", 501) + " }",
    "the same field a thousand times": _many("tenant { name }", 1_000),
    "aliases at the root": _many("a#: tenant { name }", 61),
    "aliases below": "{ tenant " + _many("a#: name", 61) + " }",
    "aliases in a fragment": "{ tenant { ...F } } fragment F on Tenant " + _many("a#: name", 100),
    "aliases of introspection": _many("a#: __schema { types { name } }", 61),
    "aliases of a dear field": _many('a#: ask(question: "revenue") { text }', 50),
    "typenames": _many("a#: __typename", 400),
    # Fragments
    "fragment bomb": "{ ...F0 } " + _BOMB + "fragment F40 on Query { tenant { name } }",
    "fragment bomb with fields": "{ ...F0 } "
    + "".join(
        f"fragment F{n} on Query {{ a: tenant {{ name }} ...F{n + 1} b: tenant {{ name }} ...F{n + 1} }} "
        for n in range(20)
    )
    + "fragment F20 on Query { tenant { name } }",
    "fragment bomb unused": _NAME + _BOMB + "fragment F40 on Query { tenant { name } }",
    "fragment cycle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "fragment of itself": "{ ...A } fragment A on Query { tenant { name } ...A }",
    "fragment cycle unused": _NAME + " fragment A on Query { ...B } fragment B on Query { ...A }",
    "fragments nobody uses": _NAME + "".join(f" fragment F{n} on Query {{ tenant {{ name }} }}" for n in range(100)),
    "fragments of one name": "{ ...F }" + " fragment F on Query { tenant { name } }" * 50,
    "fragment that is not there": "{ ...Nowhere }",
    "fragment on another type": "{ ...F } fragment F on Tenant { name }",
    # Directives
    "directives on a field": "{ tenant " + "@include(if: true) " * 500 + "{ name } }",
    "unknown directives": "{ tenant " + "@a " * 1_000 + "{ name } }",
    "directives on the operation": "query " + "@a " * 100 + _NAME,
    "directives on a fragment": "{ ...F } fragment F on Query " + "@a " * 100 + _NAME,
    "directives on variables": "query ($a: Int " + "@a " * 100 + ") " + _NAME,
    "directives spread over fields": "{ tenant " + _many("name @skip(if: false)", 61) + " }",
    "directive of the schema in a document": "{ tenant @cost(weight: 0) { name } }",
    # Tokens, bytes, lexing
    "tokens": "{" + " a" * 3_000 + "}",
    "commas and comments": "{" + "#\n" * 50_000 + "}",
    "longer than is read": "{ tenant { name } } #" + "x" * 100_000,
    "a string without end": '{ ask(question: "' + "x" * 50_000,
    "a block string without end": '{ ask(question: """' + "x" * 50_000,
    "null bytes": "{ tenant\u0000 { name } }",
    "a bidirectional override": "{ ten\u202eant { name } }",
    "a letter that looks the same": "{ ten\u0430nt { name } }",
    "a full-width brace": "\uff5b tenant { name } \uff5d",
    "a zero-width blank in a name": "{ ten\u200bant { name } }",
    "a lone surrogate by escape": '{ ask(question: "\\uD800") { text } }',
    "an escape beyond Unicode": '{ ask(question: "\\u{FFFFFFFF}") { text } }',
    "nothing": "",
    "blanks": " \n\t",
    "a schema": "type Query { tenant: String }",
    "an extension of the schema": "extend type Query { evil: String }",
    # Operations
    "many operations": "".join(f"query Q{n} {_NAME} " for n in range(100)),
    "operations of one name": f"query Q {_NAME} query Q {_NAME}",
    "which operation is not said": f"query A {_NAME} query B {_NAME}",
    "a subscription": "subscription { tenant { name } }",
    "anonymous beside named": f"{_NAME} query Q {_NAME}",
    # Values
    "a huge integer": _times("first: 99999999999999999999"),
    "an integer of 40,000 digits": _times("first: " + "9" * 40_000),
    "a huge float": '{ promotionScenario(category: "a", week: "2018-01-01", discount: 1e999999) { caution } }',
    "a number in place of a name": "{ metrics(names: 1) { rows } }",
    "a string in place of a number": _times('first: "50"'),
    # Cost
    "rows by limit": _times("first: 1000000"),
    "rows by limit of metrics": _times("limit: 2147483647", "metrics", "rows").replace("(", '(names: ["revenue"], '),
    "rows by many fields": _many("a#: sales(first: 1000) { nodes { id } }", 21),
    "rows by default of many fields": _many("a#: articles(first: 1000) { totalCount }", 25),
    "rows in fragments": "{ ...F ...G } fragment F on Query "
    + _many("a#: sales(first: 1000) { nodes { id } }", 11)
    + " fragment G on Query "
    + _many("b#: sales(first: 1000) { nodes { id } }", 11),
    "rows by the largest number": _times("first: 2147483647", "stock"),
    "late suppliers": _many('a#: supplierDelay(supplier: "x", days: 9) { supplier }', 45),
}
BODIES: dict[str, tuple[bytes, int]] = {
    "rows by a variable": (_query("query ($n: Int) { sales(first: $n) { nodes { id } } }", n=2_000_000), 200),
    "rows by a variable as a float": (_query("query ($n: Int) { sales(first: $n) { nodes { id } } }", n=2e6), 200),
    "rows by a default": (_query("query ($n: Int = 2000000) { sales(first: $n) { nodes { id } } }"), 200),
    "a variable of the wrong kind": (_query("query ($n: Int) { sales(first: $n) { nodes { id } } }", n={"a": 1}), 200),
    "a variable beyond 32 bits": (_query("query ($n: Int) { sales(first: $n) { nodes { id } } }", n=2**53), 200),
    "a batch": (b"[" + _query(_NAME) + b"]", 400),
    "a batch of a thousand": (b"[" + b",".join([_query(_NAME)] * 1_000) + b"]", 400),
    "an empty batch": (b"[]", 400),
    "deep JSON": (b'{"query": "{ tenant { name } }", "variables": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, 400),
    "deep lists": (b'{"query": "{ tenant { name } }", "variables": {"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}", 400),
    "invalid UTF-8": (b'{"query": "{ tenant { name } \xff\xfe }"}', 400),
    "overlong UTF-8": (b'{"query": "{ tenant { name\xc0\xaf } }"}', 400),
    "a lone surrogate": (b'{"query": "{ tenant { name } } \\ud800"}', 400),
    "a byte order mark": (b"\xef\xbb\xbf" + _query(_NAME), 400),
    "UTF-16": (json.dumps({"query": _NAME}).encode("utf-16"), 400),
    "null bytes around JSON": (b"\x00" + _query(_NAME) + b"\x00", 400),
    "NaN": (b'{"query": "{ tenant { name } }", "variables": {"a": NaN}}', 400),
    "two documents": (json.dumps({"query": _NAME, "documentId": document_id(_NAME)}).encode(), 400),
    "an id that is not known": (b'{"documentId": "sha256:00"}', 400),
    "an id that is a path": (b'{"documentId": "../../token.secret"}', 400),
    "variables that are a list": (b'{"query": "{ tenant { name } }", "variables": []}', 400),
    "a name that is an object": (b'{"query": "{ tenant { name } }", "operationName": {}}', 400),
    "a name of nothing": (b'{"query": "{ tenant { name } }", "operationName": "Nothing"}', 200),
    "more than a megabyte": (_query(_NAME, a="x" * 1_000_001), 413),
}
KINDS = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/graphql",
    "application/json; charset=utf-16",
    "application/json; charset=utf-7",
    "application/jsonx",
    "text/html, application/json",
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """A world in which the first resolver that is called would be seen."""
    with listening(make_world(tmp_path_factory.mktemp("attacks"))) as running:
        yield running


@pytest.fixture
def called(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fields whose resolvers were called, whatever the schema has: own ones and the default."""
    schema, seen = _graphql(api)._schema, []

    def watch(name: str) -> Any:
        def resolve(*_: object, **__: object) -> None:
            seen.append(name)

        return resolve

    for kind in (schema.query_type, schema.mutation_type):
        assert kind
        for name, field in kind.fields.items():
            monkeypatch.setattr(field, "resolve", watch(name))
    return seen


def _graphql(api: ApiWorld) -> GraphQL:
    return api.app.service._graphql


def _assert_refused(answer: Response, called: list[str], status: int) -> None:
    content = answer.json()
    assert answer.status_code == status
    assert content["errors"][0]["extensions"]["code"]
    assert content["errors"][0]["extensions"]["code"] != "INTERNAL_ERROR"
    assert not content.get("data")
    assert called == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_reaches_no_resolver(api: ApiWorld, called: list[str], name: str) -> None:
    _assert_refused(api.post(_query(DOCUMENTS[name])), called, 200)


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_reaches_no_resolver(api: ApiWorld, called: list[str], name: str) -> None:
    body, status = BODIES[name]
    _assert_refused(api.post(body), called, status)


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_not_said_to_be_json_reaches_no_resolver(api: ApiWorld, called: list[str], kind: str) -> None:
    _assert_refused(api.post(_query(_NAME), **{"Content-Type": kind}), called, 415)


def test_the_watch_sees_a_resolver(api: ApiWorld, called: list[str]) -> None:
    api.post(_query(_NAME))
    assert called == ["tenant"]


def test_a_refusal_takes_a_few_milliseconds(api: ApiWorld) -> None:
    graphql, who, taken = _graphql(api), Identity("north", "buyer", how="test"), {}
    bodies = {name: _query(document) for name, document in DOCUMENTS.items()}
    bodies |= {name: body for name, (body, status) in BODIES.items() if status != 413}
    for name, body in bodies.items():
        times = []
        for _ in range(3):
            begun = time.thread_time()  # of this thread alone: the machine may be busy
            graphql.answer(body, who, request_id="attack")
            times.append(time.thread_time() - begun)
        taken[name] = 1_000 * min(times)
    ordered = sorted(taken, key=lambda name: taken[name])
    slowest = ordered[round(0.99 * len(ordered)) - 1]
    assert taken[slowest] < 20, {name: round(taken[name], 1) for name in ordered[-5:]}


def test_every_operation_of_the_dashboard_passes(api: ApiWorld, called: list[str]) -> None:
    for one in files("mercurios.api.page").joinpath("operations").iterdir():
        request = _graphql(api).read(_query(one.read_text()), request_id="page")
        assert not hasattr(request, "status"), (one.name, request)
