"""What a request may cost, how long it may take, which documents are known, and who may ask from where."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest
from graphql import get_introspection_query, parse

from mercurios.answers import Answer
from mercurios.api.access.limits import QueryBudget
from mercurios.api.armour import Armour, origins
from mercurios.api.costs import cost_of, declared_cost
from mercurios.api.resolvers import load_schema
from mercurios.errors import ConfigError, RateLimited
from mercurios.serving import Session
from tests.api_world import ApiWorld, listening, make_world

_SLOW = "select sum(a.range * b.range) as s from range(10_000_000) a, range(1_000_000) b"
_SHOP = "https://shop.example.com"


def _ask(session: Session, question: str, locale: str | None) -> Answer:
    sql = _SLOW if "slow" in question else "select 1 as s"
    return Answer("ANSWERED", str(session.query(sql)["s"][0]))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    armour = Armour(deadline_seconds=1, request_points=600, origins=frozenset({_SHOP}))
    world = make_world(tmp_path_factory.mktemp("armour"), ask=_ask, armour=armour, threads=2)
    with listening(world) as running:
        yield running


# Cost


@pytest.mark.parametrize(
    ("document", "variables", "points"),
    [
        ("{ tenant { name } }", {}, 1),
        ("{ sales { nodes { id } } }", {}, 50),
        ("{ sales(first: 7) { totalCount } }", {}, 17),
        ("query ($n: Int) { sales(first: $n) { nodes { id } } }", {"n": 9}, 9),
        ("query ($n: Int) { sales(first: $n) { nodes { id } } }", {"n": 9.0}, 9),
        ("query ($n: Int) { sales(first: $n) { nodes { id } } }", {}, 50),
        ("query ($n: Int) { sales(first: $n) { nodes { id } } }", {"n": None}, 50),
        ("query ($n: Int = 3) { sales(first: $n) { nodes { id } } }", {}, 3),
        ("{ sales(first: -5) { nodes { id } } }", {}, 1),
        (
            "{ ...F ...F } fragment F on Query { sales(first: 4) { ...G } } fragment G on SaleConnection { totalCount }",  # noqa: E501
            {},
            28,
        ),
        ("{ ... @include(if: false) { a: tenant { name } b: tenant { name } } }", {}, 2),
        ("{ __schema { types { name } } }", {}, 0),
    ],
)
def test_a_request_costs_what_the_schema_says(document: str, variables: dict[str, object], points: int) -> None:
    assert cost_of(load_schema(), parse(document), None, variables) == points


def test_of_several_operations_the_one_that_runs_costs() -> None:
    document = parse("query A { tenant { name } } query B { freshness { subject } }")
    assert [cost_of(load_schema(), document, name, {}) for name in "AB"] == [1, 5]


def test_every_field_at_the_root_has_a_price_and_what_counts_a_default() -> None:
    schema = load_schema()
    for kind in (schema.query_type, schema.mutation_type):
        assert kind
        for name, field in kind.fields.items():
            told = declared_cost(schema, field)
            assert told is not None, name
            assert told is not None, name
            assert told[0] >= 1, name


def test_the_cost_is_told_and_what_costs_too_much_refused(api: ApiWorld) -> None:
    document = "query ($n: Int) { sales(first: $n) { nodes { id } } }"
    told = [api.post({"query": document, "variables": {"n": 599}}).headers["X-Query-Cost"] for _ in range(2)]
    assert told == ["599", "0"]  # a kept answer costs nothing
    assert api.fail(document, n=601)[0] == "TOO_COSTLY"


def test_a_tenant_spends_its_own_budget_and_gets_it_back() -> None:
    now = [0.0]
    budget = QueryBudget(600, clock=lambda: now[0])
    budget.spend("north", 600)
    budget.spend("south", 600)
    with pytest.raises(RateLimited) as error:
        budget.spend("north", 100)
    assert error.value.seconds == 10
    now[0] = 10.0
    budget.spend("north", 100)


def test_above_the_budget_it_is_said_when_to_come_back(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, armour=Armour(tenant_points=60))) as api:
        document = "query ($n: Int) { sales(first: $n) { nodes { id } } }"
        assert api.post({"query": document, "variables": {"n": 60}}).status_code == 200
        answer = api.post({"query": document, "variables": {"n": 30}})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
        assert api.post({"query": document, "variables": {"n": 60}}, tenant="south").status_code == 200
        assert api.audit()[1]["outcome"] == "limited"


# Deadline


def test_a_slow_statement_is_stopped_and_the_others_go_on(api: ApiWorld) -> None:
    with ThreadPoolExecutor(2) as askers:
        begun = time.monotonic()
        slow = askers.submit(api.fail, '{ ask(question: "slow") { text } }')
        time.sleep(0.3)
        assert api.ask('{ ask(question: "quick") { text } }') == {"ask": {"text": "1"}}
        assert not slow.done()
        code, message = slow.result()
    assert (code, message) == ("TIMEOUT", "stopped after 1 seconds; ask for a shorter period or fewer rows")
    assert time.monotonic() - begun < 5
    for n in range(4):  # twice as many as there are threads: none is held
        assert api.ask(f'{{ ask(question: "quick {n}") {{ text }} }}')["ask"]["text"] == "1"


# Known documents


def test_a_known_document_is_named_by_its_hash(api: ApiWorld) -> None:
    source = files("mercurios.api.page").joinpath("operations", "shop.graphql").read_text()
    name = f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"
    assert api.post({"documentId": name}).json()["data"]["tenant"]["name"] == "northern stores"
    answer = api.post({"documentId": "sha256:00"})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


def test_with_an_allow_list_nothing_else_is_answered(tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    listed.mkdir()
    (listed / "name.graphql").write_text("{ tenant { name } }")
    with listening(make_world(tmp_path, armour=Armour(allow_list=listed))) as api:
        assert api.ask("{ tenant { name } }") == {"tenant": {"name": "northern stores"}}
        refused = api.post({"query": "{ tenant { currency } }"})
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_ALLOWED"
        for one in files("mercurios.api.page").joinpath("operations").iterdir():
            assert api.post({"query": one.read_text()}).status_code == 200


def test_an_allow_list_without_documents_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder"):
        make_world(tmp_path, armour=Armour(allow_list=tmp_path / "nowhere"))


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_the_schema_is_told_from_a_role_on(tmp_path: Path, role: str) -> None:
    with listening(make_world(tmp_path, armour=Armour(introspection=role))) as api:
        status = api.post({"query": get_introspection_query()}).status_code  # as a buyer
        assert status == (200 if role == "analyst" else 403)


# From where


def test_a_listed_page_elsewhere_may_ask_and_no_other(api: ApiWorld) -> None:
    def preflight(origin: str) -> tuple[int, str | None]:
        answer = api.http.options(f"{api.url}/graphql", headers={"Origin": origin})
        return answer.status_code, answer.headers.get("Access-Control-Allow-Origin")

    assert preflight(_SHOP) == (204, _SHOP)
    for other in (f"{_SHOP}.evil.com", "https://evil.com", "null", f"{_SHOP}:8080", "http://shop.example.com"):
        assert preflight(other) == (405, None)
    answer = api.post({"query": "{ tenant { name } }"}, Origin=_SHOP)
    assert answer.headers["Access-Control-Allow-Origin"] == _SHOP
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("wrong", ["*", "https://a.example/path", "shop.example.com", "null"])
def test_what_is_no_origin_is_a_mistake(wrong: str) -> None:
    with pytest.raises(ConfigError, match="expected origins"):
        origins(wrong)


@pytest.mark.parametrize(
    ("told", "is_taken"), [("caller-0123_ABC", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_a_well_formed_request_id_is_taken(api: ApiWorld, told: str, is_taken: bool) -> None:
    answer = api.post({"query": "{ tenant { name } }"}, **{"X-Request-Id": told})
    assert (answer.headers["X-Request-Id"] == told) is is_taken
