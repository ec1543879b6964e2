"""Who may ask what, and how often: API keys, roles, rates, and a log that tells of each request and of no value."""

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mercurios.api.access import ROLES, Identity
from mercurios.api.access.audit import AuditLog
from mercurios.api.access.keys import ApiKeys
from mercurios.api.access.limits import RateLimits
from mercurios.api.access.roles import Need, declared, needs_of
from mercurios.api.access.tokens import issue
from mercurios.api.resolvers import load_schema
from mercurios.errors import AccessUnavailable, BadRequest, ConfigError, RateLimited, Unauthenticated
from tests.api_world import SECRET, ApiWorld, listening, make_world
from tests.sso_world import QUERY, Clock


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """Without a provider: our own tokens are taken."""
    with listening(make_world(tmp_path_factory.mktemp("own"))) as running:
        yield running


# API keys


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_an_api_key_opens_one_tenant(api: ApiWorld, tenant: str) -> None:
    text, key = api.access.keys.create(tenant, "viewer", "price labels", timedelta(days=1))
    answer = api.post(QUERY, tenant=None, Authorization=f"Bearer {text}")
    assert answer.json() == {"data": {"tenant": {"id": tenant}}}
    line = api.audit()[-1]
    assert (line["tenant"], line["role"], line["how"], line["subject"]) == (tenant, "viewer", "key", key.id)


def test_a_key_is_gone_from_the_next_request_on(api: ApiWorld) -> None:
    text, key = api.access.keys.create("north", "viewer", "till", timedelta(days=1))
    _, other = api.access.keys.create("south", "viewer", "till", timedelta(days=1))
    header = f"Bearer {text}"
    assert api.post(QUERY, tenant=None, Authorization=header).status_code == 200
    ApiKeys(api.audited.parent / "keys.sqlite").revoke(key.id)  # as another process does
    assert api.post(QUERY, tenant=None, Authorization=header).status_code == 401
    states = {each.id: each.state(datetime.now(UTC)) for each in api.access.keys.all()}
    assert (states[key.id], states[other.id]) == ("revoked", "valid")


def test_a_key_is_kept_as_a_hash_alone_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "access" / "keys.sqlite")
    text, _ = keys.create("north", "viewer", "till", timedelta(days=1))
    file = tmp_path / "access" / "keys.sqlite"
    assert text[-43:].encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in repr(keys.all())


def test_keys_of_one_tenant_are_taken_back_together(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "keys.sqlite")
    assert keys.revoke_all("north") == 0
    texts = [keys.create(tenant, "viewer", "", timedelta(days=1))[0] for tenant in ("north", "north", "south")]
    assert keys.revoke_all("north") == 2
    for text in texts[:2]:
        with pytest.raises(Unauthenticated):
            keys.identify(text)
    assert keys.identify(texts[2]).tenant == "south"


def test_keys_that_cannot_be(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "keys.sqlite")
    with pytest.raises(BadRequest, match="role 'root'"):
        keys.create("north", "root", "", timedelta(days=1))
    with pytest.raises(BadRequest, match="no API key 'x'"):
        keys.revoke("x")
    (tmp_path / "keys.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match="mend or restore"):
        keys.all()


def test_a_broken_file_of_keys_opens_nothing_and_is_written_down(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        text, _ = api.access.keys.create("north", "viewer", "", timedelta(days=1))
        (tmp_path / "access" / "keys.sqlite").write_bytes(b"no database" * 100)
        answer = api.post(QUERY, tenant=None, Authorization=f"Bearer {text}")
        assert answer.status_code == 500
        assert "sqlite" not in answer.text
        assert (api.audit()[-1]["outcome"], api.audit()[-1]["tenant"]) == ("fault", None)
        assert api.post(QUERY).status_code == 200, "other credentials are not concerned"


# Roles

FIELDS = {
    "Query.recommendations": '{ recommendations(customer: "1") { article } }',
    "Query.reorderProposals": "{ reorderProposals { matches } }",
    "Query.supplierDelay": '{ supplierDelay(supplier: "1", days: 1) { items } }',
    "Query.promotionScenario": '{ promotionScenario(category: "x", week: "2018-01-01", discount: 0.1) { model } }',
    "MetricResult.sql": '{ metrics(names: ["revenue"]) { sql } }',
    "Query.feedback": "{ feedback { isHelpful } }",
    "Mutation.recordEvent": 'mutation { recordEvent(event: SHOWN, customer: "1", article: "1", key: "1") { at } }',
    "Mutation.decideProposal": 'mutation { decideProposal(proposal: "x", verdict: ACCEPT) { item } }',
    "Customer.number": "{ customers { edges { node { number } } } }",
    "QualityRule.example": "{ dataQuality { example } }",
    **{f"Sale.{name}": f"{{ sales {{ nodes {{ {name} }} }} }}" for name in ("cost", "customerNumber")},
    "Article.purchasePrice": "{ articles { nodes { purchasePrice } } }",
    **{
        f"ArticleFigures.{name}": f"{{ articles {{ nodes {{ figures {{ {name} }} }} }} }}"
        for name in ("grossMargin364d", "grossProfit364d", "markup", "stockValue")
    },
    **{
        f"SupplierFigures.{name}": f"{{ suppliers {{ nodes {{ figures {{ {name} }} }} }} }}"
        for name in ("grossMargin364d", "turnover", "stockValue", "openValue")
    },
    **{
        f"StockPosition.{name}": f"{{ stock {{ nodes {{ {name} }} }} }}"
        for name in ("turnover", "stockValue", "excessStockValue")
    },
}


def as_role(api: ApiWorld, role: str, document: str, tenant: str = "north") -> httpx.Response:
    token = issue(SECRET, tenant, role, timedelta(minutes=1))
    return api.post({"query": document}, tenant=None, Authorization=f"Bearer {token}")


def test_every_field_that_needs_a_role_is_tried_below() -> None:
    assert {need.field for need in declared(load_schema())} == FIELDS.keys()


@pytest.mark.parametrize("tenant", ["north", "south"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_refused_below_its_role_and_answered_from_it_on(api: ApiWorld, field: str, tenant: str) -> None:
    needed = next(need.role for need in declared(load_schema()) if need.field == field)
    compiled = api.semantics.compiled
    for role in ROLES:
        answer = as_role(api, role, FIELDS[field], tenant)
        codes = [error["extensions"]["code"] for error in answer.json().get("errors", ())]
        if ROLES.index(role) >= ROLES.index(needed):
            assert answer.status_code == 200
            assert "FORBIDDEN" not in codes
        else:
            assert (answer.status_code, codes) == (403, ["FORBIDDEN"])
            assert f"{field} needs the role {needed} or above, yours is {role}" in answer.text
            assert "data" not in answer.json()
            assert api.semantics.compiled == compiled, "no resolver ran"
            assert api.audit()[-1]["outcome"] == "forbidden"


@pytest.mark.parametrize(
    "document",
    [
        "{ innocent: reorderProposals { matches } }",
        "{ tenant { id } ... on Query { reorderProposals { matches } } }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { reorderProposals { matches } }",
        "{ tenant { id } reorderProposals @skip(if: true) { matches } }",
        '{ metrics(names: ["revenue"]) { rows ... { ...S } } } fragment S on MetricResult { tables: sql }',
    ],
)
def test_no_way_of_writing_gets_around_a_role(api: ApiWorld, document: str) -> None:
    for _ in range(2):  # the second time the document comes from the cache
        assert as_role(api, "buyer", document).status_code == 200
        assert as_role(api, "viewer", document).status_code == 403


def test_a_field_is_not_reached_through_an_interface() -> None:
    schema = build_schema("""
        directive @needs(role: Role!) on FIELD_DEFINITION
        enum Role { VIEWER ADMIN }
        interface Priced { price: Int }
        type Article implements Priced { price: Int @needs(role: ADMIN) }
        type Query { priced: Priced }
    """)
    assert needs_of(schema, parse("{ priced { price } }")) == (Need("Article.price", "admin"),)
    assert needs_of(schema, parse("{ priced { __typename } }")) == ()


def test_a_viewer_reads_revenue_and_no_margin(api: ApiWorld) -> None:
    document = '{ metrics(names: ["revenue", "margin"]) { rows } }'
    assert as_role(api, "viewer", '{ metrics(names: ["revenue"]) { rows } }').json()["data"]["metrics"]["rows"]
    refused = as_role(api, "viewer", document).json()
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "margin needs the role analyst or above, yours is viewer" in refused["errors"][0]["message"]
    assert api.audit()[-1]["outcome"] == "forbidden"
    assert as_role(api, "analyst", document).json()["data"]["metrics"]["rows"]
    assert as_role(api, "viewer", document).json()["data"] is None, "an answer in the cache changes nothing"


def test_a_viewer_does_not_get_a_margin_by_asking_in_words(api: ApiWorld) -> None:
    document = '{ ask(question: "what is our margin?") { text rows } }'
    refused = as_role(api, "viewer", document)
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert refused.json()["data"] is None
    assert as_role(api, "analyst", document).json()["data"]["ask"]["rows"]
    assert as_role(api, "viewer", '{ ask(question: "revenue") { rows } }').json()["data"]["ask"]["rows"]


def test_the_catalog_tells_what_a_metric_needs(api: ApiWorld) -> None:
    listed = as_role(api, "viewer", "{ metricCatalog { name needs } }").json()["data"]["metricCatalog"]
    assert {one["name"]: one["needs"] for one in listed} == {
        "revenue": "VIEWER",
        "units": "VIEWER",
        "margin": "ANALYST",
    }


def test_the_secret_is_not_told_by_what_holds_it(api: ApiWorld) -> None:
    assert SECRET not in repr(api.access)


# How often


@given(
    rate=st.floats(0.5, 50),
    burst=st.integers(1, 50),
    waves=st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 2), st.sampled_from(["north", "south"]), st.integers(1, 40)),
        max_size=20,
    ),
)
@example(rate=1.0, burst=4, waves=[(0.0, 0, "north", 1), (3_600.0, 0, "north", 10)])
def test_never_more_than_burst_and_rate_are_let_in(
    rate: float, burst: int, waves: list[tuple[float, int, str, int]]
) -> None:
    clock = Clock(0.0)
    limits = RateLimits(rate, burst, clock)
    admitted: dict[str, list[float]] = {}
    for pause, person, tenant, requests in waves:
        clock.now += pause
        for _ in range(requests):
            try:
                limits.admit(Identity(tenant, "viewer", str(person)))
            except RateLimited:
                continue
            for name in (tenant, f"{tenant}/{person}"):
                admitted.setdefault(name, []).append(clock.now)
    for name, times in admitted.items():
        share = 0.5 if "/" in name else 1.0
        for first, since in enumerate(times):
            for last in range(first, len(times)):
                most = max(1.0, burst * share) + rate * share * (times[last] - since)
                assert last - first + 1 <= most + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    clock = Clock()
    limits, anna = RateLimits(0.4, 2, clock), Identity("north", "viewer", "anna")
    limits.admit(anna)
    with pytest.raises(RateLimited) as refused:
        limits.admit(anna)
    limits.admit(Identity("south", "viewer", "anna"))
    clock.now += refused.value.seconds
    limits.admit(anna)


def test_those_who_asked_long_ago_are_forgotten() -> None:
    limits = RateLimits(1_000, 100_000, Clock())
    for number in range(11_000):
        limits.admit(Identity("north", "viewer", str(number)))
    assert len(limits._buckets) == 10_000


def test_too_many_requests_are_refused_before_their_bodies_are_read(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, limits=RateLimits(0.01, 4))) as api:
        answers = [api.post(b"no json at all") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert answers[2].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(answers[2].headers["Retry-After"]) >= 1
        assert api.post(QUERY, tenant="south").status_code == 200
        line = api.audit()[2]
        assert (line["tenant"], line["outcome"], line["reason"]) == ("north", "limited", "rate")


# The audit log


def test_a_line_says_who_asked_what_and_no_value_of_it(api: ApiWorld) -> None:
    document = 'query { recommendations(customer: "88001") { article } tenant { name } }'
    answer = api.post({"query": document})
    line = api.audit()[-1]
    assert line.keys() == {
        "at", "request_id", "tenant", "role", "subject", "how", "operation", "document", "release", "status", "outcome",
        "code", "reason", "milliseconds",
    }  # fmt: skip
    told = {name: line[name] for name in ("tenant", "role", "how", "operation", "status", "outcome", "code")}
    assert told == {"tenant": "north", "role": "buyer", "how": "token", "operation": "several"} | {
        "status": 200, "outcome": "ok", "code": None,
    }  # fmt: skip
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert line["release"] == api.lake.require_current().id
    assert datetime.fromisoformat(line["at"]).tzinfo
    for again, is_same in ((document, True), (document + " ", False)):
        api.post({"query": again})
        assert (api.audit()[-1]["document"] == line["document"]) == is_same
    assert not [word for word in ("88001", "northern", "customer") if word in json.dumps(line)]


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("POST", b"{", 400, "BAD_REQUEST"),
        ("POST", b"x" * 1_100_000, 413, "BAD_REQUEST"),
        ("GET", b"", 405, "METHOD_NOT_ALLOWED"),
        ("POST", b'{"query": "{ nope }"}', 200, "INVALID_DOCUMENT"),
    ],
)
def test_refused_requests_are_written_down_as_well(
    api: ApiWorld, method: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['south']}"}
    answer = api.http.request(method, f"{api.url}/graphql", content=body, headers=headers)
    line = api.audit()[-1]
    assert (answer.status_code, line["status"], line["code"], line["tenant"]) == (status, status, code, "south")


def test_a_fault_is_written_down(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.app.service._graphql, "answer", None)
    assert api.post(QUERY).status_code == 500
    assert (api.audit()[-1]["outcome"], api.audit()[-1]["code"]) == ("fault", "INTERNAL_ERROR")


def test_what_cannot_be_written_down_is_not_answered(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        full = os.open("/dev/full", os.O_WRONLY)
        api.access.audit._file, kept = full, api.access.audit._file
        api.access.audit._follow = lambda: None  # type: ignore[method-assign]
        with capture_logs() as logs:
            answer = api.post(QUERY)
        assert answer.status_code == 503
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"]["code"] == "ACCESS_UNAVAILABLE"
        assert "api.audit_unwritable" in [entry["event"] for entry in logs]
        api.access.audit._file = kept
        os.close(full)
        assert api.post(QUERY).status_code == 200


def test_the_log_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "access" / "audit.jsonl"
    for number in range(2):
        log = AuditLog.open(path)
        log.write(number=number)
        log.close()
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write the audit log"):
        AuditLog.open(tmp_path / "file" / "audit.jsonl")


def test_a_log_that_was_renamed_or_removed_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog.open(path)
    log.write(number=1)
    path.rename(tmp_path / "audit.1")
    log.write(number=2)
    assert ((tmp_path / "audit.1").read_text(), path.read_text()) == ('{"number":1}\n', '{"number":2}\n')
    path.unlink()
    log.write(number=3)
    assert path.read_text() == '{"number":3}\n'
    log.close()


def test_a_line_cut_short_is_an_error_and_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = AuditLog.open(tmp_path / "audit.jsonl"), os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:5]))
    with pytest.raises(AccessUnavailable):
        log.write(number=1)
    monkeypatch.undo()
    log.write(number=2)
    assert (tmp_path / "audit.jsonl").read_text().splitlines()[-1] == '{"number":2}'
    log.close()


def test_many_at_once_leave_whole_lines(tmp_path: Path) -> None:
    logs = [AuditLog.open(tmp_path / "audit.jsonl") for _ in range(4)]  # as four processes

    def fill(log: AuditLog) -> None:
        for number in range(200):
            log.write(number=number, text="x" * 500)
        log.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(fill, logs))
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == sorted([*range(200)] * 4)
