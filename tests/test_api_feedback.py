"""What people tell the API: ratings, events and decisions, kept once, by merchant, and carried into the warehouse."""

import json
import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mercurios.api.access.tokens import issue
from mercurios.jobs.feedback import DECISIONS, EVENTS, RATINGS, FeedbackReport, carry_feedback
from mercurios.journal import Journal
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.api_world import MARKS, SECRET, ApiWorld, listening, make_world

ASK = "query($q: String!) { ask(question: $q) { id text } }"
RATE = """mutation($a: ID!, $h: Boolean!, $c: String) {
    rateAnswer(answer: $a, isHelpful: $h, comment: $c) { answer isHelpful comment at } }"""
RECORD = """mutation($e: RecommendationEvent!, $c: String!, $a: String!, $k: String!) {
    recordEvent(event: $e, customer: $c, article: $a, key: $k) { key event at isNew } }"""
DECIDE = """mutation($p: ID!, $v: Verdict!, $q: Float) {
    decideProposal(proposal: $p, verdict: $v, quantity: $q) { item decision { verdict quantity at } } }"""
PROPOSALS = "{ reorderProposals(onlyOrders: false) { proposals { id item decision { verdict quantity } } } }"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("feedback"))) as running:
        yield running


@pytest.fixture
def api(world: ApiWorld) -> ApiWorld:
    """The world, in which nobody has told anything."""
    for tenant in MARKS:
        journal(world, tenant).forget()
    return world


def journal(api: ApiWorld, tenant: str = "north") -> Journal:
    return api.app.service._backend.journal(tenant)


def answer_id(api: ApiWorld, question: str = "revenue", tenant: str = "north") -> str:
    return str(api.ask(ASK, tenant=tenant, q=question)["ask"]["id"])


def proposals(api: ApiWorld, tenant: str = "north") -> list[dict[str, Any]]:
    return list(api.ask(PROPOSALS, tenant=tenant)["reorderProposals"]["proposals"])


# Ratings


def test_an_answer_is_rated_and_the_last_rating_counts(api: ApiWorld) -> None:
    answer = answer_id(api)
    assert answer == answer_id(api) != answer_id(api, "revenue?")
    first = api.ask(RATE, a=answer, h=False, c="  zu\nhoch ")["rateAnswer"]
    assert (first["answer"], first["isHelpful"], first["comment"]) == (answer, False, "zu\nhoch")
    assert api.ask(RATE, a=answer, h=False, c="zu\nhoch")["rateAnswer"] == first, "said twice is said once"
    api.ask(RATE, a=answer, h=True)
    told = [note.body for note in journal(api).pending(10)]
    assert [(one["isHelpful"], one["comment"]) for one in told] == [(False, "zu\nhoch"), (True, None)]
    assert (told[0]["release"], told[0]["status"], told[0]["metrics"]) == ("r000001", "ANSWERED", ["revenue"])
    assert "revenue" not in told[0]["question"]
    assert journal(api, "south").pending(10) == []


def test_an_admin_reads_what_was_said_of_answers(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    document = "{ feedback { isHelpful comment status metrics release role } }"
    assert api.fail(document)[0] == "FORBIDDEN", "a buyer may not"
    for helped, question in ((False, "revenue"), (True, "revenue"), (False, "Wetter?")):
        api.ask(RATE, a=answer_id(api, question), h=helped, c="½ l\u00a0Öl 👩‍🌾")
    monkeypatch.setitem(api.tokens, "north", issue(SECRET, "north", "admin", timedelta(minutes=5)))
    monkeypatch.setitem(api.tokens, "south", issue(SECRET, "south", "admin", timedelta(minutes=5)))
    common = {"comment": "½ l\u00a0Öl 👩‍🌾", "release": "r000001", "role": "BUYER"}
    assert api.ask(document)["feedback"] == [
        {"isHelpful": False, "status": "REFUSED", "metrics": [], **common},
        {"isHelpful": True, "status": "ANSWERED", "metrics": ["revenue"], **common},
    ]
    assert len(api.ask("{ feedback(first: 1) { at } }")["feedback"]) == 1
    assert api.ask(document, tenant="south")["feedback"] == []
    assert api.fail("{ feedback(first: 0) { at } }")[1] == "first 0: expected 1 to 1,000 ratings"


def test_a_refusal_can_be_rated_as_well(api: ApiWorld) -> None:
    api.ask(RATE, a=answer_id(api, "Wetter?"), h=False)
    assert journal(api).pending(10)[0].body["status"] == "REFUSED"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": "made up"}, "that is no answer of ours"),
        ({"a": ""}, "that is no answer of ours"),
        ({"c": "x" * 501}, "the comment has 501 characters, at most 500 are kept"),
        ({"c": "a\x1b[31m"}, "the comment holds control characters"),
        ({"c": "a\x00"}, "the comment holds control characters"),
    ],
)
def test_a_rating_that_cannot_be(api: ApiWorld, given: dict[str, str], message: str) -> None:
    code, said = api.fail(RATE, **{"a": answer_id(api), "h": True, **given})
    assert code == "BAD_REQUEST"
    assert message in said
    assert journal(api).pending(10) == []


def test_the_id_of_an_answer_is_good_for_its_merchant_and_for_nothing_else(api: ApiWorld) -> None:
    foreign = answer_id(api, tenant="south")
    assert "no answer of ours" in api.fail(RATE, a=foreign, h=True)[1]
    assert "no proposal of ours" in api.fail(DECIDE, p=answer_id(api), v="ACCEPT")[1]
    assert "no answer of ours" in api.fail(RATE, a=proposals(api)[0]["id"], h=True)[1]


# Events


def test_an_event_is_recorded_once(api: ApiWorld) -> None:
    given = {"e": "CLICKED", "c": "88001", "a": "8800001", "k": "till-7:4711"}
    first = api.ask(RECORD, **given)["recordEvent"]
    again = api.ask(RECORD, **given)["recordEvent"]
    assert (first["isNew"], again["isNew"], first["at"]) == (True, False, again["at"])
    assert "stands for another event" in api.fail(RECORD, **given | {"e": "BOUGHT"})[1]
    api.ask(RECORD, tenant="south", **given | {"c": "77001", "a": "7700001"})
    assert [note.body for note in journal(api).pending(10)] == [
        {"event": "clicked", "customer": 88001, "article": 8800001}
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": "77001"}, "no customer '77001'"),
        ({"c": "Frau Krause"}, "expected a number, digits only"),
        ({"a": "7700001"}, "no article '7700001'"),
        ({"a": "8800001 or 1=1"}, "expected a number, digits only"),
        ({"k": ""}, "expected 1 to 64 letters"),
        ({"k": "x" * 65}, "expected 1 to 64 letters"),
        ({"k": "a\nb"}, "expected 1 to 64 letters"),
        ({"k": "ä"}, "expected 1 to 64 letters"),
    ],
)
def test_an_event_that_cannot_be(api: ApiWorld, given: dict[str, str], message: str) -> None:
    code, said = api.fail(RECORD, **{"e": "SHOWN", "c": "88001", "a": "8800001", "k": "k1", **given})
    assert code == "BAD_REQUEST"
    assert message in said
    assert journal(api).pending(10) == []


# Decisions


def test_a_decision_is_seen_at_its_proposal(api: ApiWorld) -> None:
    first, second, _ = proposals(api)
    assert first["decision"] is None
    told = api.ask(DECIDE, p=first["id"], v="ACCEPT")["decideProposal"]
    assert told["item"] == first["item"] == "8800001/8801"
    assert (told["decision"]["verdict"], told["decision"]["quantity"]) == ("ACCEPT", 176.0)
    api.ask(DECIDE, p=first["id"], v="CHANGE", q=100.5)
    api.ask(DECIDE, p=second["id"], v="REJECT")
    api.ask(DECIDE, p=second["id"], v="REJECT")
    now = [one["decision"] for one in proposals(api)]
    assert now == [{"verdict": "CHANGE", "quantity": 100.5}, {"verdict": "REJECT", "quantity": 0.0}, None]
    assert [one["decision"] for one in proposals(api, "south")] == [None] * 3
    assert len(journal(api).pending(10)) == 3, "every decision is kept, the repeated one once"


def test_one_request_may_decide_on_several(api: ApiWorld) -> None:
    first, second, _ = proposals(api)
    document = f"""mutation {{ a: decideProposal(proposal: "{first["id"]}", verdict: ACCEPT) {{ item }}
        b: decideProposal(proposal: "{second["id"]}", verdict: CHANGE) {{ item }} }}"""
    answer = api.post({"query": document}).json()
    assert [error["path"] for error in answer["errors"]] == [["b"]]
    assert [one["decision"] and one["decision"]["verdict"] for one in proposals(api)] == ["ACCEPT", None, None]


@pytest.mark.parametrize(
    ("verdict", "quantity", "message"),
    [
        ("CHANGE", "null", "quantity None: expected units above 0"),
        ("CHANGE", "0", "to order none say REJECT"),
        ("CHANGE", "-1", "expected units above 0"),
        ("CHANGE", "1e999", "Float cannot represent non numeric value|too large; expected less than 1e308"),
        ("CHANGE", "1e10", "up to 1,000,000,000"),
        ("ACCEPT", "5", "ACCEPT takes no quantity; leave it out, or say CHANGE"),
        ("REJECT", "0", "REJECT takes no quantity"),
    ],
)
def test_a_decision_that_cannot_be(api: ApiWorld, verdict: str, quantity: str, message: str) -> None:
    proposal = proposals(api)[0]["id"]
    field = f'decideProposal(proposal: "{proposal}", verdict: {verdict}, quantity: {quantity}) {{ item }}'
    code, said = api.fail(f"mutation {{ {field} }}")
    assert code in {"BAD_REQUEST", "INVALID_DOCUMENT"}
    assert any(part in said for part in message.split("|"))
    assert journal(api).pending(10) == []


def test_a_number_that_is_none_does_not_come_in(api: ApiWorld) -> None:
    variables = {"p": proposals(api)[0]["id"], "v": "CHANGE", "q": math.nan}
    assert api.post(json.dumps({"query": DECIDE, "variables": variables}).encode()).status_code == 400


def test_a_proposal_that_changed_is_not_decided_on(api: ApiWorld) -> None:
    seals = api.app.service._backend.seals
    cutoff = "2017-12-31"
    for named in (["8800001/8801", cutoff, 175.0], ["8800001/8801", "2017-12-30", 176.0], ["gone", cutoff, 176.0]):
        code, said = api.fail(DECIDE, p=seals.seal("north", "proposal", named), v="ACCEPT")
        assert code == "BAD_REQUEST"
        assert "is not proposed like that any more; look at reorderProposals again" in said


# Who may, and what is written of it


@pytest.mark.parametrize(
    ("role", "document", "given"),
    [
        ("viewer", RECORD, {"e": "SHOWN", "c": "88001", "a": "8800001", "k": "k"}),
        ("analyst", DECIDE, {"p": "x", "v": "ACCEPT"}),
    ],
)
def test_who_may_not_tell(
    api: ApiWorld, role: str, document: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(api.tokens, "north", issue(SECRET, "north", role, timedelta(minutes=5)))
    assert api.fail(document, **given)[0] == "FORBIDDEN"
    assert journal(api).pending(10) == []


def test_whoever_may_ask_may_rate(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api.tokens, "north", issue(SECRET, "north", "viewer", timedelta(minutes=5)))
    api.ask(RATE, a=answer_id(api), h=True)
    assert journal(api).pending(10)[0].role == "viewer"


def test_the_audit_log_knows_who_told_and_not_what(api: ApiWorld) -> None:
    api.ask(RATE, a=answer_id(api), h=False, c="Frau Krause war verwirrt")
    line = api.audit()[-1]
    assert (line["operation"], line["outcome"], line["tenant"], line["role"]) == ("rateAnswer", "ok", "north", "buyer")
    assert "Krause" not in str(line)


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        (tmp_path / "journal.db").write_text("no database" * 100)
        code, said = api.fail(RATE, a=answer_id(api), h=True)
    assert (code, said) == ("JOURNAL_ERROR", "the journal cannot be used for now, nothing was kept; try again later")


# Into the warehouse


def test_it_is_carried_into_the_warehouse_once(api: ApiWorld, tmp_path: Path) -> None:
    for tenant, (_, mark) in MARKS.items():
        api.ask(RATE, tenant=tenant, a=answer_id(api, tenant=tenant), h=True, c=f"{tenant} is right")
        numbers = {"c": str(mark * 1_000 + 1), "a": str(mark * 100_000 + 1)}
        api.ask(RECORD, tenant=tenant, e="BOUGHT", k="k1", **numbers)
        api.ask(DECIDE, tenant=tenant, p=proposals(api, tenant)[0]["id"], v="CHANGE", q=3)
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        assert carry_feedback("north", journal(api), warehouse) == FeedbackReport("north", 1, 1, 1)
        assert carry_feedback("north", journal(api), warehouse) == FeedbackReport("north", 0, 0, 0)
        [rating] = warehouse.rows(RATINGS, "north").to_pylist()
        assert (rating["is_helpful"], rating["comment"], rating["metrics"]) == (True, "north is right", "revenue")
        [event] = warehouse.rows(EVENTS, "north").to_pylist()
        assert (event["event_id"], event["event"], event["customer_number"]) == ("k1", "bought", 88001)
        [decided] = warehouse.rows(DECISIONS, "north").to_pylist()
        assert (decided["item"], decided["cutoff"], decided["verdict"]) == (
            "8800001/8801",
            date(2017, 12, 31),
            "change",
        )
        assert (decided["proposed_units"], decided["units"], decided["role"]) == (176.0, 3.0, "buyer")
        assert warehouse.rows(DECISIONS, "south").num_rows == 0
        assert carry_feedback("south", journal(api, "south"), warehouse) == FeedbackReport("south", 1, 1, 1)
    assert proposals(api)[0]["decision"] == {"verdict": "CHANGE", "quantity": 3.0}, "it stays to be seen"


def test_what_was_carried_before_a_crash_is_not_there_twice(
    api: ApiWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ask(RECORD, e="SHOWN", c="88001", a="8800001", k="k1")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/warehouse.duckdb") as warehouse:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "carried", crash)
            with pytest.raises(KeyboardInterrupt):
                carry_feedback("north", journal(api), warehouse)
        assert carry_feedback("north", journal(api), warehouse).events == 0
        assert warehouse.rows(EVENTS, "north").num_rows == 1
        assert journal(api).pending(10) == []
