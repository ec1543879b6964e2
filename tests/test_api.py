"""The API over HTTP: every field, every way to be turned away, and that nothing is said or logged that must not be."""

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from graphql import build_schema, get_introspection_query
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mercurios.api.access import ROLES
from mercurios.api.access.tokens import AUDIENCE, ISSUER, issue, verify
from mercurios.api.document import document
from mercurios.api.documents import DocumentLimits, Documents, InvalidDocument
from mercurios.api.processes import listen
from mercurios.api.resolvers import load_schema
from mercurios.api.server import serve
from mercurios.config import ROOT
from mercurios.errors import BadRequest, ConfigError, Unauthenticated
from mercurios.metrics import CompiledQuery, MetricQuery
from tests.api_world import SECRET, ApiWorld, fill, listening, make_world


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("api"))) as running:
        yield running


def counters(api: ApiWorld) -> dict[str, float]:
    """Every sample of /metrics by its name and labels."""
    text = api.http.get(f"{api.url}/metrics").text
    return {name: float(value) for name, value in re.findall(r"^(mercurios\S+) (\S+)$", text, re.MULTILINE)}


# The schema


def test_the_fields_that_were_promised_are_there_as_they_were() -> None:
    promised = """
        tenant: Tenant!
        metricCatalog: [Metric!]!
        metrics(names: [String!]!, groupBy: [String!], grain: Grain, from: Date, to: Date, where: [Filter!],
                orderBy: [Order!], limit: Int): MetricResult!
        forecast(level: ForecastLevel!, key: String!, horizon: Int): Forecast!
        forecastBacktest(level: ForecastLevel!, allClasses: Boolean): [BacktestScore!]!
        recommendations(customer: String!, limit: Int): [Recommendation!]!
        reorderProposals(branch: String, article: String, supplier: String, onlyOrders: Boolean, limit: Int,
                         after: Int): ReorderProposals!
        supplierDelay(supplier: String!, days: Int!): SupplierDelay!
        promotionScenario(category: String!, week: Date!, discount: Float!, kind: String,
                          share: Float): PromotionScenario!
        ask(question: String!, locale: String): Answer!"""
    query = load_schema().query_type
    assert query
    now = {
        f"{name}({','.join(f'{arg}:{given.type}' for arg, given in field.args.items())}):{field.type}".replace("()", "")
        for name, field in query.fields.items()
    }
    assert set(re.sub(r"(?<=[,(:])\s+", "", promised).split()) <= now


def test_everything_in_the_schema_is_described() -> None:
    schema = load_schema()
    own = [kind for name, kind in schema.type_map.items() if not name.startswith("__") and kind.ast_node]
    directives = [directive for directive in schema.directives if directive.ast_node]
    assert len(own) > 60
    for kind in (*own, *directives):
        fields = getattr(kind, "fields", {})
        arguments = [*getattr(kind, "args", {}).items()]
        arguments += [each for field in fields.values() for each in getattr(field, "args", {}).items()]
        parts = [*fields.items(), *getattr(kind, "values", {}).items(), *arguments]
        for name, part in ((kind.name, kind), *parts):
            assert part.description, f"{kind.name}: {name} has no description"


def test_the_document_says_what_the_schema_says() -> None:
    written = (ROOT / "docs" / "graphql.md").read_text(encoding="utf-8")
    assert written == document(load_schema()), "run `make docs`"
    for said in ("### sales", "needs the role buyer", "`Int = 50`", "### Type StockoutRisk", "`Boolean = true`"):
        assert said in written


# The fields


def test_tenant(api: ApiWorld) -> None:
    tenant = api.ask("{ tenant { id name currency timeZone locale release { id at asOf } } }")["tenant"]
    assert (tenant["id"], tenant["name"], tenant["currency"]) == ("north", "northern stores", "USD")
    assert (tenant["timeZone"], tenant["locale"]) == ("America/New_York", "no")
    current = api.lake.require_current()
    assert tenant["release"]["id"] == current.id
    assert tenant["release"]["asOf"] == "2026-11-22T00:00:00Z"
    assert tenant["release"]["at"] == current.at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_row_counts_are_the_tenants_own(api: ApiWorld) -> None:
    document = "{ tenant { release { tables { name rows } } } }"
    north, south = (
        {table["name"]: table["rows"] for table in api.ask(document, tenant=tenant)["tenant"]["release"]["tables"]}
        for tenant in ("north", "south")
    )
    assert (north["dim_customers"], south["dim_customers"]) == (2, 4)
    assert api.lake.require_current().table("dim_customers").rows == 6


def test_metric_catalog_speaks_both_languages(api: ApiWorld) -> None:
    document = """{ metricCatalog {
        name unit dimensions grains label german: label(locale: "de-AT") description other: description(locale: "de")
        formula(locale: "de") caution
    } }"""
    first = api.ask(document)["metricCatalog"][0]
    assert first == {
        "name": "revenue",
        "unit": "currency",
        "dimensions": ["branch", "category"],
        "grains": ["DAY", "MONTH"],
        "label": "Revenue",
        "german": "Umsatz",
        "description": "revenue of all lines",
        "other": "Umsatz aller Zeilen",
        "formula": "Summe: Umsatz",
        "caution": None,
    }


def test_metrics(api: ApiWorld) -> None:
    document = """query($from: Date, $where: [Filter!]) {
        metrics(names: ["revenue", "units"], groupBy: ["branch"], grain: MONTH, from: $from, to: "2017-12-31",
                where: $where, orderBy: [{column: "revenue"}]) { columns rows release sql } }"""
    where = [{"dimension": "branch", "op": "IN", "values": [8801, 1]}]
    result = api.ask(document, where=where, **{"from": "2017-11-01"})["metrics"]
    assert result["columns"] == ["metric_time", "branch", "revenue", "units"]
    assert result["rows"] == [["2017-11-01", 8801, 88000100.15, 88000100.0], ["2017-12-01", 8801, 88288.3, 88288.0]]
    assert result["release"] == api.lake.require_current().id
    assert result["sql"].startswith("select")


def test_metrics_are_cached_per_tenant(api: ApiWorld) -> None:
    document = '{ metrics(names: ["units"], limit: 77) { rows } }'
    before = counters(api)
    first, again = (api.ask(document)["metrics"]["rows"] for _ in range(2))
    other = api.ask(document, tenant="south")["metrics"]["rows"]
    assert first == again == [[88088388.0]]
    assert other == [[77077377.0]]
    after = counters(api)
    looks = {result: f'mercurios_api_cache_total{{result="{result}"}}' for result in ("hit", "miss")}
    assert after[looks["hit"]] - before.get(looks["hit"], 0) == 1
    assert after[looks["miss"]] - before.get(looks["miss"], 0) == 2


def test_a_new_release_is_seen_and_never_answered_from_the_cache(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        document = '{ metrics(names: ["units"]) { release } tenant { release { id } } }'
        api.ask(document)
        fill(api.lake)
        answer = api.ask(document)
        assert answer["metrics"]["release"] == answer["tenant"]["release"]["id"] == "r000002"


def test_what_a_stranger_wrote_into_the_cache_is_ignored(api: ApiWorld) -> None:
    document = '{ metrics(names: ["revenue"], limit: 5) { rows } }'
    expected = api.ask(document)
    for key in list(api.cache._entries):  # type: ignore[attr-defined]
        api.cache.set(key, b'{"neither": "nor"}', ttl_seconds=60)
    assert api.ask(document) == expected


def test_forecast_by_week(api: ApiWorld) -> None:
    document = """query($horizon: Int) { forecast(level: CATEGORY, key: "northern bakery", horizon: $horizon) {
        points { date mean lo80 hi80 lo95 hi95 } model cutoff } }"""
    result = api.ask(document)["forecast"]
    assert [point["date"] for point in result["points"]] == ["2018-01-01", "2018-01-08", "2018-01-15", "2018-01-22"]
    assert result["points"][1] | {"date": ""} == {
        "date": "",
        "mean": 881.0,
        "lo80": 88.0,
        "hi80": 8800.0,
        "lo95": None,
        "hi95": None,
    }
    assert (result["model"], result["cutoff"]) == ("AutoETS", "2017-12-31")
    assert len(api.ask(document, horizon=14)["forecast"]["points"]) == 2
    assert len(api.ask(document, horizon=None)["forecast"]["points"]) == 4


def test_the_backtest_of_a_level(api: ApiWorld) -> None:
    document = """query($every: Boolean) { forecastBacktest(level: CATEGORY, allClasses: $every) {
        method role demandClass observations wape skill pValue bias cutoff } }"""
    best, baseline = api.ask(document)["forecastBacktest"]
    assert best == {
        **{"method": "AutoETS", "role": "CHAMPION", "demandClass": "all", "observations": 88, "wape": 0.088},
        **{"skill": pytest.approx(0.824), "pValue": pytest.approx(0.00088), "bias": None, "cutoff": "2017-12-31"},
    }
    assert (baseline["method"], baseline["role"], baseline["skill"]) == ("SeasonalNaive", "BASELINE", 0)
    rows = api.ask(document, every=False)["forecastBacktest"]
    assert [row["demandClass"] for row in rows] == ["all", "all", "smooth", "smooth"]
    code, said = api.fail("{ forecastBacktest(level: BRANCH) { method } }")
    assert (code, said) == ("NO_CHAMPION", "this release holds no backtest by branch; run `mercurios retrain` first")


def test_forecast_by_day(api: ApiWorld) -> None:
    points = api.ask('{ forecast(level: BRANCH, key: "8801", horizon: 3) { points { date } } }')["forecast"]["points"]
    assert [point["date"] for point in points] == ["2018-01-01", "2018-01-02", "2018-01-03"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('level: CATEGORY, key: "Northern Bakerys"', "close to it: 'northern bakery'"),
        ('level: BRANCH, key: "x"', "there are: '8801'"),
        ('level: BRANCH, key: "8801", horizon: 0', "horizon 0: expected 1 to 365 days"),
        ('level: BRANCH, key: "8801", horizon: 366', "horizon 366: expected 1 to 365 days"),
        ('level: BRANCH, key: "8801", horizon: 29', "reaches from 1 to 28 days"),
        ('level: CATEGORY, key: "northern bakery", horizon: 29', "reaches from 1 to 28 days"),
    ],
)
def test_a_forecast_that_is_not_there(api: ApiWorld, arguments: str, message: str) -> None:
    code, said = api.fail(f"{{ forecast({arguments}) {{ model }} }}")
    assert code == "BAD_REQUEST"
    assert message in said


def test_recommendations(api: ApiWorld) -> None:
    document = "query($c: String!, $n: Int) { recommendations(customer: $c, limit: $n) { article label score reason } }"
    result = api.ask(document, c="88001", n=2)["recommendations"]
    assert result == [
        {"article": "8800001", "label": "northern bread", "score": 88.0, "reason": "northern reason 1"},
        {"article": "8800002", "label": None, "score": 44.0, "reason": "northern reason 2"},
    ]
    assert len(api.ask(document, c="88001", n=None)["recommendations"]) == 3
    assert api.ask(document, c="88002")["recommendations"] == [], "known, but without any"


@pytest.mark.parametrize(
    ("customer", "limit", "message"),
    [
        ("77001", 10, "no customer '77001'"),
        ("Miller", 10, "expected a number"),
        ("-1", 10, "expected a number"),
        ("٣", 10, "expected a number"),
        ("9" * 19, 10, "expected a number"),
        ("", 10, "expected a number"),
        ("88001", 0, "expected 1 to 100"),
        ("88001", 101, "expected 1 to 100"),
    ],
)
def test_recommendations_that_cannot_be(api: ApiWorld, customer: str, limit: int, message: str) -> None:
    document = "query($c: String!, $n: Int) { recommendations(customer: $c, limit: $n) { article } }"
    code, said = api.fail(document, c=customer, n=limit)
    assert code == "BAD_REQUEST"
    assert message in said


PROPOSALS = """query($b: String, $a: String, $s: String, $o: Boolean, $n: Int, $after: Int) {
    reorderProposals(branch: $b, article: $a, supplier: $s, onlyOrders: $o, limit: $n, after: $after) {
        proposals { item rank article branch label supplierNumber supplier orderQuantity orderValue unitCost
                    reason reasonText german: reasonText(locale: "de-AT") lostMarginAvoided holdingCostAdded
                    serviceClass serviceLevel leadTimeBasis leadDays onHand reorderPoint orderUpTo }
        matches orderValue lostMarginAvoided holdingCostAdded budget currency cutoff next } }"""


def test_reorder_proposals(api: ApiWorld) -> None:
    page = api.ask(PROPOSALS, n=1)["reorderProposals"]
    assert page["proposals"] == [
        {
            "item": "8800001/8801",
            "rank": 1,
            "article": "8800001",
            "branch": "8801",
            "label": "northern bread",
            "supplierNumber": "880001",
            "supplier": "northern mill",
            "orderQuantity": 176.0,
            "orderValue": 352.0,
            "unitCost": 2.0,
            "reason": "BELOW_REORDER_POINT",
            "reasonText": "Stock and open orders (88 units) are below the reorder point of 264; "
            "176 units fill up to 264.",
            "german": "Bestand und offene Bestellungen (88 Stück) liegen unter dem Meldebestand von 264; "
            "176 Stück füllen bis 264 auf.",
            "lostMarginAvoided": 176.0,
            "holdingCostAdded": 0.88,
            "serviceClass": "AX",
            "serviceLevel": 0.95,
            "leadTimeBasis": "DEFAULT",
            "leadDays": None,
            "onHand": 88.0,
            "reorderPoint": 264.0,
            "orderUpTo": 264.0,
        }
    ]
    assert (page["matches"], page["orderValue"], page["lostMarginAvoided"], page["holdingCostAdded"]) == (
        2, 704.0, 264.0, 1.76,
    )  # fmt: skip
    assert (page["budget"], page["currency"], page["cutoff"], page["next"]) == (88_000.0, "USD", "2017-12-31", 1)


def test_proposals_are_paged_and_filtered(api: ApiWorld) -> None:
    def ranks(**given: Any) -> list[int]:
        return [one["rank"] for one in api.ask(PROPOSALS, **given)["reorderProposals"]["proposals"]]

    second = api.ask(PROPOSALS, n=1, after=1)["reorderProposals"]
    assert [one["rank"] for one in second["proposals"]] == [2]
    assert (second["matches"], second["next"]) == (2, None), "sums are over all pages"
    assert ranks(o=False) == [1, 2, 3]
    assert ranks(b="8801") == [1]
    assert ranks(a="8800001") == [1, 2]
    assert ranks(s="Northern Mill") == ranks(s="880001") == [1, 2]
    silent = api.ask(PROPOSALS, o=False, after=2)["reorderProposals"]["proposals"][0]
    assert (silent["reason"], silent["onHand"], silent["leadTimeBasis"]) == ("NO_STOCK", None, None)
    assert "stock record" in silent["reasonText"]
    assert "Bestandssatz" in silent["german"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "limit 0: expected 1 to 1,000"),
        ({"n": 1_001}, "expected 1 to 1,000"),
        ({"b": "7701"}, "no branch '7701'"),
        ({"b": "Berlin"}, "expected a number"),
        ({"a": "7700001"}, "no article '7700001'"),
        ({"s": "southern mill"}, "no supplier 'southern mill'; close to it: 880001 northern mill"),
        ({"s": ""}, "no supplier ''"),
    ],
)
def test_proposals_that_cannot_be(api: ApiWorld, given: dict[str, Any], message: str) -> None:
    code, said = api.fail(PROPOSALS, **given)
    assert code == "BAD_REQUEST"
    assert message in said


DELAY = """query($s: String!, $d: Int!) { supplierDelay(supplier: $s, days: $d) {
    supplierNumber supplier days items weeks cutoff currency
    onTime { orderQuantity orderValue stockoutRisk lostMargin }
    late { orderQuantity orderValue stockoutRisk lostMargin }
    orderQuantityDifference orderValueDifference
    stockoutRiskDifference { mean lo80 hi80 } lostMarginDifference { mean lo80 hi80 } } }"""


def test_a_late_supplier_beside_one_on_time(api: ApiWorld) -> None:
    told = api.ask(DELAY, s="880001", d=14)["supplierDelay"]
    assert (told["supplierNumber"], told["supplier"], told["days"]) == ("880001", "northern mill", 14)
    assert (told["items"], told["weeks"], told["cutoff"], told["currency"]) == (1, 5, "2017-12-31", "USD")
    on_time, late = told["onTime"], told["late"]
    assert told["orderQuantityDifference"] == late["orderQuantity"] - on_time["orderQuantity"] > 88
    assert told["orderValueDifference"] == pytest.approx(late["orderValue"] - on_time["orderValue"])
    lost = told["lostMarginDifference"]
    assert lost["mean"] == pytest.approx(late["lostMargin"] - on_time["lostMargin"])
    assert 0 < lost["lo80"] < lost["mean"] < lost["hi80"]
    assert 0 < on_time["stockoutRisk"] < late["stockoutRisk"] <= 1


@pytest.mark.parametrize(
    ("supplier", "days", "message"),
    [
        ("880001", 0, "a delay of 0 days: expected 1 to 90"),
        ("880001", 91, "expected 1 to 90"),
        ("770001", 14, "no supplier '770001'"),
    ],
)
def test_a_delay_that_cannot_be(api: ApiWorld, supplier: str, days: int, message: str) -> None:
    code, said = api.fail(DELAY, s=supplier, d=days)
    assert code == "BAD_REQUEST"
    assert message in said


def test_a_release_without_proposals_says_what_to_do(tmp_path: Path) -> None:
    fields = ["reorderProposals { matches }", 'supplierDelay(supplier: "880001", days: 14) { items }']
    with listening(make_world(tmp_path, leave_out=("reorder_proposals", "unit_forecasts"))) as api:
        for field in fields:
            code, message = api.fail(f"{{ {field} }}")
            assert code == "NO_CHAMPION"
            assert "mercurios propose" in message


def test_a_release_without_predictions_says_what_to_do(tmp_path: Path) -> None:
    fields = ['forecast(level: BRANCH, key: "1") { model }', 'recommendations(customer: "1") { article }']
    with listening(make_world(tmp_path, leave_out=("forecasts", "recommendations"))) as api:
        for field in fields:
            code, message = api.fail(f"{{ {field} }}")
            assert code == "NO_CHAMPION"
            assert "mercurios retrain" in message


def test_ask(api: ApiWorld) -> None:
    fields = "status text columns rows query sources release"
    document = f"query($q: String!, $l: String) {{ ask(question: $q, locale: $l) {{ {fields} }} }}"
    answered = api.ask(document, q="what was our revenue?")["ask"]
    assert answered == {
        "status": "ANSWERED",
        "text": "revenue 88088388.45",
        "columns": ["revenue"],
        "rows": [[88088388.45]],
        "query": {"names": ["revenue"]},
        "sources": ["metric:revenue"],
        "release": api.lake.require_current().id,
    }
    refused = api.ask(document, q="Wie wird das Wetter?", l="de-DE")["ask"]
    assert (refused["status"], refused["text"], refused["rows"]) == ("REFUSED", "keine Kennzahl dafür", None)


@pytest.mark.parametrize(
    ("question", "locale", "message"),
    [
        ("revenue " * 1_250, None, "the question has 10,000 characters, at most 1,000 are read"),
        (" \n", None, "the question is empty"),
        ("revenue", "fr", "expected one of de, en"),
    ],
)
def test_questions_that_are_not_read(api: ApiWorld, question: str, locale: str | None, message: str) -> None:
    document = "query($q: String!, $l: String) { ask(question: $q, locale: $l) { text } }"
    code, said = api.fail(document, q=question, l=locale)
    assert code == "BAD_REQUEST"
    assert message in said
    assert len(said) < 200, "a refusal does not repeat the question"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('names: ["revenu"]', "UNKNOWN_METRIC"),
        ('names: ["revenue"], groupBy: ["weather"]', "UNKNOWN_DIMENSION"),
        ('names: ["revenue"], from: "2018-01-02", to: "2018-01-01"', "INVALID_METRIC_QUERY"),
        ('names: ["revenue"], limit: 0', "INVALID_METRIC_QUERY"),
        ('names: ["revenue"], limit: 10001', "INVALID_METRIC_QUERY"),
        ('names: ["revenue"], where: [{dimension: "branch", op: EQ, values: [{a: 1}]}]', "BAD_REQUEST"),
        ('names: ["revenue"], where: [{dimension: "branch", op: EQ, values: [true]}]', "BAD_REQUEST"),
        ('names: ["revenue"], where: [{dimension: "branch", op: EQ, values: [null]}]', "INVALID_DOCUMENT"),
        (f"names: {json.dumps(['revenue'] * 11)}", "BAD_REQUEST"),
        (f'names: ["revenue"], where: [{{dimension: "branch", op: IN, values: {[1] * 1_001}}}]', "INVALID_DOCUMENT"),
        ('names: ["revenue"], from: "2018-02-30"', "INVALID_DOCUMENT"),
        ('names: ["revenue"], from: "20180228"', "INVALID_DOCUMENT"),
        ('names: ["revenue"], from: 20180228', "INVALID_DOCUMENT"),
        ('names: ["revenue"], grain: HOUR', "INVALID_DOCUMENT"),
        ("names: null", "INVALID_DOCUMENT"),
    ],
)
def test_metric_queries_that_cannot_be(api: ApiWorld, arguments: str, code: str) -> None:
    assert api.fail(f"{{ metrics({arguments}) {{ rows }} }}")[0] == code


def test_an_error_does_not_repeat_everything_that_was_asked(api: ApiWorld) -> None:
    _, message = api.fail(f'{{ forecast(level: {"X" * 20_000}, key: "") {{ model }} }}')
    assert len(message) < 600


def test_a_wrong_variable_is_the_askers_error(api: ApiWorld) -> None:
    code, message = api.fail('query($f: Date) { metrics(names: ["revenue"], from: $f) { rows } }', f="yesterday")
    assert code == "INVALID_DOCUMENT"
    assert "expected a day as YYYY-MM-DD" in message


def test_one_wrong_field_does_not_hide_its_neighbours_code(api: ApiWorld) -> None:
    body = {"query": '{ a: metrics(names: ["x"]) { rows } b: forecast(level: BRANCH, key: "x") { model } }'}
    assert api.post(body).json()["errors"][0]["path"] == ["a"]


# Who may ask


def claims(**changed: object) -> dict[str, object]:
    """Claims of a good token, some changed; None leaves one out."""
    now = int(time.time())
    good = {"tenant": "north", "role": "viewer", "iat": now, "exp": now + 60, "iss": ISSUER, "aud": AUDIENCE}
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changed: object) -> str:
    return jwt.encode(claims(**changed), secret, algorithm=algorithm)


BAD_TOKENS = {
    "none at all": None,
    "garbage": "garbage",
    "three garbage parts": "a.b.c",
    "not ascii": "tökén",
    "wrong key": signed(secret="another-secret-that-is-long-enough-too"),
    "cut short": signed()[:-4],
    "alg none": jwt.encode(claims(), None, algorithm="none"),
    "other algorithm": signed(secret=SECRET * 2, algorithm="HS512"),
    "expired": signed(exp=int(time.time()) - 1),
    "not yet": signed(iat=int(time.time()) + 600),
    "wrong audience": signed(aud="mercurios-dashboard"),
    "audience among others": signed(aud=[AUDIENCE, "other"]),
    "no audience": signed(aud=None),
    "wrong issuer": signed(iss="somebody"),
    "no expiry": signed(exp=None),
    "no tenant": signed(tenant=None),
    "tenant no string": signed(tenant=["north"]),
    "tenant a path": signed(tenant="../north"),
    "unknown tenant": signed(tenant="west"),
    "unknown role": signed(role="root"),
    "role no string": signed(role=["admin"]),
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_without_a_good_token_nothing_is_answered(api: ApiWorld, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    compiled = api.semantics.compiled
    for body in (b'{"query": "{ metrics(names: [\\"revenue\\"]) { rows } }"}', b"no json", b""):
        answer = api.http.post(f"{api.url}/graphql", content=body, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert api.audit()[-1]["request_id"] == answer.headers["X-Request-Id"]
        assert api.audit()[-1]["code"] == "UNAUTHENTICATED"
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="mercurios"')
        assert ("invalid_token" in answer.headers["WWW-Authenticate"]) == (token is not None)
        content = answer.json()
        assert content["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert "data" not in content
        assert token is None or len(token) < 8 or token not in answer.text
    assert api.semantics.compiled == compiled


@pytest.mark.parametrize("header", ["Basic bm9ydGg6c2VjcmV0", "Bearer", "Token x"])
def test_other_schemes_are_refused(api: ApiWorld, header: str) -> None:
    assert api.post({"query": "{ tenant { id } }"}, tenant=None, Authorization=header).status_code == 401


@pytest.mark.parametrize("place", ["query", "header", "variable"])
def test_the_tenant_comes_from_the_token_and_from_nowhere_else(api: ApiWorld, place: str) -> None:
    body: dict[str, object] = {"query": "{ tenant { id } }"}
    if place == "variable":
        body |= {"variables": {"tenant": "south"}, "tenant": "south"}
    headers = {"X-Tenant": "south", "Host": "south.example"} if place == "header" else {}
    url = f"{api.url}/graphql" + ("?tenant=south&access_token=" + api.tokens["south"] if place == "query" else "")
    headers["Authorization"] = f"Bearer {api.tokens['north']}"
    answer = api.http.post(url, json=body, headers=headers).json()
    assert answer == {"data": {"tenant": {"id": "north"}}}


@given(tenant=st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), role=st.sampled_from(ROLES))
def test_a_token_says_what_was_issued(tenant: str, role: str) -> None:
    identity = verify(SECRET, issue(SECRET, tenant, role, timedelta(minutes=1)))
    assert (identity.tenant, identity.role, identity.how) == (tenant, role, "token")


@given(st.text(max_size=200))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(SECRET, text)


def test_tokens_that_are_not_issued() -> None:
    with pytest.raises(BadRequest, match="role 'root': expected one of viewer, analyst, buyer, admin"):
        issue(SECRET, "north", "root", timedelta(hours=1))
    with pytest.raises(BadRequest, match="tenant"):
        issue(SECRET, "../north", "viewer", timedelta(hours=1))
    with pytest.raises(ConfigError, match="MERCURIOS_TOKEN_SECRET") as raised:
        issue("short-secret", "north", "viewer", timedelta(hours=1))
    assert "short-secret" not in str(raised.value)
    with pytest.raises(Unauthenticated, match="expired"):
        verify(SECRET, issue(SECRET, "north", "viewer", timedelta(seconds=-1)))


# Bodies and documents that are not read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"{ tenant { id } }"',
        b'[{"query": "{ tenant { id } }"}]',
        b"{}",
        b'{"query": 1}',
        b'{"query": "{ tenant { id } }", "variables": []}',
        b'{"query": "{ tenant { id } }", "operationName": 1}',
        b'{"query": "{ tenant { id } }", "variables": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_a_malformed_body_is_a_400(api: ApiWorld, body: bytes) -> None:
    answer = api.post(body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("", "INVALID_DOCUMENT"),
        ("{", "INVALID_DOCUMENT"),
        ("{ tenant { id }", "INVALID_DOCUMENT"),
        ("select * from marts.fct_sale_lines", "INVALID_DOCUMENT"),
        ("{ tenants { id } }", "INVALID_DOCUMENT"),
        ("mutation { tenant { id } }", "INVALID_DOCUMENT"),
        ("subscription { tenant { id } }", "INVALID_DOCUMENT"),
        ("query A { tenant { id } } query B { tenant { id } }", "INVALID_DOCUMENT"),
        ("{" * 1_000, "INVALID_DOCUMENT"),
        ("{a" * 20_000, "INVALID_DOCUMENT"),
        ("{ tenant { id } } fragment A on Tenant { ...B } fragment B on Tenant { ...A }", "INVALID_DOCUMENT"),
        ("{ tenant " + "{ ... on Tenant " * 60 + "{ id }" + " }" * 60 + " }", "BAD_REQUEST"),
        ("{ __schema { types " + "{ fields { type " * 7 + "{ name }" + " } }" * 7 + " } }", "BAD_REQUEST"),
        ("{" + " ".join(f"t{n}: tenant {{ id }}" for n in range(51)) + "}", "BAD_REQUEST"),
        ("{ ...A } fragment A on Query {" + " ".join(f"t{n}: tenant {{ id }}" for n in range(51)) + "}", "BAD_REQUEST"),
        ("{ tenant {" + " id" * 501 + "} }", "BAD_REQUEST"),
        ("{ tenant { id } } #" + "x" * 100_000, "BAD_REQUEST"),
        ("{ tenant { id } } " + "\n#" * 10_001, "INVALID_DOCUMENT"),
        ("{ tenant(" + 'a: "' * 30_000, "BAD_REQUEST"),
    ],
)
def test_a_document_that_is_wrong_or_too_large_reaches_no_resolver(api: ApiWorld, document: str, code: str) -> None:
    started = time.monotonic()
    answer = api.post({"query": document})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert answer.json().get("data") is None
    assert time.monotonic() - started < 5


def test_fragments_that_double_are_weighed_and_not_written_out() -> None:
    bomb = "{ ...F0 }" + "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(30))
    with pytest.raises(BadRequest, match="root fields wide"):
        Documents(load_schema()).prepare(bomb + "fragment F30 on Query { tenant { id } }")


def test_tools_may_read_the_schema(api: ApiWorld) -> None:
    answer = api.post({"query": get_introspection_query()}).json()
    assert "errors" not in answer
    assert answer["data"]["__schema"]["queryType"]["name"] == "Query"


@given(depth=st.integers(1, 8), limit=st.integers(1, 8))
def test_depth_is_counted_exactly(depth: int, limit: int) -> None:
    schema = build_schema("type Query { q: Query x: Int }")
    document = "{ q" * (depth - 1) + " { x }" + " }" * (depth - 1) if depth > 1 else "{ x }"
    documents = Documents(schema, DocumentLimits(depth=limit))
    if depth <= limit:
        documents.prepare(document)
    else:
        with pytest.raises(BadRequest, match=r"levels deep|selections nested"):
            documents.prepare(document)


def test_a_document_is_parsed_once(api: ApiWorld) -> None:
    def looks() -> tuple[float, float]:
        now = counters(api)
        hit, miss = (now.get(f'mercurios_api_documents_total{{result="{r}"}}', 0.0) for r in ("hit", "miss"))
        return hit, miss

    document = '{ recommendations(customer: "88001") { score } } # an answer that is not kept'
    hits, misses = looks()
    for _ in range(5):
        api.ask(document)
    assert looks() == (hits + 4, misses + 1)


def test_documents_are_kept_within_bounds_and_wrong_ones_not_at_all() -> None:
    looks: list[str] = []
    documents = Documents(load_schema(), capacity_characters=1_000, on_look=looks.append)
    for number in range(100):
        documents.prepare(f"{{ a{number}: tenant {{ id }} }}")
    assert documents.characters <= 1_000
    documents.prepare("{ a99: tenant { id } }")
    documents.prepare("{ a0: tenant { id } }")
    assert looks[-2:] == ["hit", "miss"]
    for _ in range(2):
        with pytest.raises(InvalidDocument, match="Cannot query field"):
            documents.prepare("{ nope }")
    assert looks[-2:] == ["miss", "miss"]


def test_a_huge_body_is_refused_and_the_refusal_arrives(api: ApiWorld) -> None:
    answer = api.post(b'{"query": "' + b"x" * 2_000_000 + b'"}')
    assert answer.status_code == 413
    assert "larger than 1,000,000 bytes" in answer.json()["errors"][0]["message"]
    assert api.ask("{ tenant { id } }") == {"tenant": {"id": "north"}}


def test_a_body_without_an_announced_end_is_limited_as_well(api: ApiWorld) -> None:
    pieces = (b"x" * 100_000 for _ in range(20))
    headers = {"Authorization": f"Bearer {api.tokens['north']}"}
    answer = api.http.post(f"{api.url}/graphql", content=pieces, headers=headers)
    assert answer.status_code == 413


def test_an_endless_body_loses_the_connection(api: ApiWorld) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 400")


# What an answer gives away


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/graphql", 405),
        ("OPTIONS", "/graphql", 405),
        ("POST", "/healthz", 405),
        ("POST", "/graphql", 401),
    ],
)
def test_headers_are_safe_on_every_answer(api: ApiWorld, method: str, path: str, status: int) -> None:
    answer = api.http.request(method, api.url + path, headers={"Origin": "https://evil.example"})
    assert answer.status_code == status
    assert "Server" not in answer.headers
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (status == 405) == ("Allow" in answer.headers)
    assert "tornado" not in answer.text.lower()


def test_a_fault_is_masked_and_found_by_its_id(api: ApiWorld) -> None:
    with capture_logs() as logs:
        answer = api.post({"query": '{ ask(question: "boom secret-question") { text } tenant { id } }'})
    error = answer.json()["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL_ERROR"
    assert error["message"].startswith("internal error")
    fault = next(entry for entry in logs if entry["event"] == "api.fault")
    assert fault["request_id"] == error["extensions"]["requestId"] == answer.headers["X-Request-Id"]
    assert fault["error"] == "RuntimeError"
    assert any("toy_ask" in place for place in fault["where"])
    assert "secret-question" not in str(logs) + answer.text


def test_a_fault_outside_of_any_field_is_masked_as_well(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret-detail")

    monkeypatch.setattr(api.app.service._graphql, "read", fail)
    with capture_logs() as logs:
        answer = api.post({"query": "{ tenant { id } } # never asked before"})
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert "secret-detail" not in str(logs) + answer.text
    assert [entry["outcome"] for entry in logs if entry["event"] == "api.request"] == ["fault"]


def test_a_tenant_without_data_is_told_so(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = api.app.service._backend
    monkeypatch.setattr(api.app.service, "_backend", replace(backend, tenants=lambda: ("west",)))
    monkeypatch.setitem(api.tokens, "west", issue(SECRET, "west", "viewer", timedelta(minutes=1)))
    code, message = api.fail("{ tenant { id } }", tenant="west")
    assert code == "NO_RELEASE"
    assert "north" not in message


def test_a_request_leaves_one_line_without_content(api: ApiWorld) -> None:
    with capture_logs() as logs:
        api.ask("query Personal($q: String!) { ask(question: $q) { text } }", q="revenue of Frau Krause")
    assert [entry["event"] for entry in logs] == ["api.request"]
    assert {name: logs[0][name] for name in ("tenant", "operation", "outcome")} == {
        "tenant": "north",
        "operation": "ask",
        "outcome": "ok",
    }
    assert "Krause" not in str(logs)
    assert api.tokens["north"] not in str(logs)


def test_counters_name_operations_and_outcomes_and_no_tenant(api: ApiWorld) -> None:
    before = counters(api)
    api.ask("{ tenant { id } }")
    api.ask("{ tenant { id } metricCatalog { name } }")
    api.ask("{ __schema { queryType { name } } }")
    api.fail('{ metrics(names: ["x"]) { rows } }')
    api.post(b"{")
    api.post({"query": "{ tenant { id } }"}, tenant=None)
    after = counters(api)
    expected = ["tenant/ok", "several/ok", "introspection/ok", "metrics/error", "none/malformed", "none/refused"]
    for operation, outcome in (pair.split("/") for pair in expected):
        name = f'mercurios_api_requests_total{{operation="{operation}",outcome="{outcome}"}}'
        assert after[name] - before.get(name, 0) == 1, name
    assert after["mercurios_api_sessions_open"] == len(api.sessions)
    assert not [name for name in after if "north" in name or "south" in name]


# Many at once


def test_many_requests_at_once_keep_their_tenants(api: ApiWorld) -> None:
    def name(turn: int) -> bool:
        tenant = "north" if turn % 2 else "south"
        answer = api.ask('{ tenant { id } metrics(names: ["units"]) { rows } }', tenant=tenant)
        return answer == {"tenant": {"id": tenant}, "metrics": {"rows": [[88088388.0 if turn % 2 else 77077377.0]]}}

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(name, range(100)))


def test_one_slow_answer_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(make_world(tmp_path, threads=2)) as api, ThreadPoolExecutor(1) as thread:
        compile_query, begun, go_on = api.semantics.compile, threading.Event(), threading.Event()

        def slowly(query: object) -> object:
            begun.set()
            assert go_on.wait(60)
            return compile_query(query)  # type: ignore[arg-type]

        monkeypatch.setattr(api.semantics, "compile", slowly)
        slow = thread.submit(api.ask, '{ metrics(names: ["revenue"]) { rows } }')
        try:
            assert begun.wait(60)
            assert api.http.get(f"{api.url}/healthz").json() == {"status": "ok"}
            api.ask("{ metricCatalog { name } }")
            assert not slow.done()
        finally:
            go_on.set()
        assert slow.result()["metrics"]["rows"] == [[88088388.45]]


def test_when_too_many_wait_the_next_is_told_to_come_back(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, max_waiting=0)) as api:
        answer = api.post({"query": "{ tenant { id } }"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"


# Starting and stopping


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1 port {port}: .* another one with --port"):
            listen(port, "127.0.0.1")
    with pytest.raises(ConfigError, match="expected 0 to 65535"):
        listen(99_999, "127.0.0.1")


def test_a_short_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.api_world.SECRET", "short")
    with pytest.raises(ConfigError, match="expected 32 or more"):
        make_world(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_after_its_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    api, announced = make_world(tmp_path), []
    compile_query = api.semantics.compile

    def slowly(query: MetricQuery) -> CompiledQuery:
        os.kill(os.getpid(), number)
        time.sleep(0.3)
        return compile_query(query)

    def announce(url: str) -> None:
        announced.append((url, api.semantics.compiled))
        api.url = url.removesuffix("/graphql")
        monkeypatch.setattr(api.semantics, "compile", slowly)
        answers.append(thread.submit(api.ask, '{ metrics(names: ["revenue"]) { rows } }'))

    answers: list[Future[dict[str, Any]]] = []
    with ThreadPoolExecutor(1) as thread:
        serve(api.app, listen(0, "127.0.0.1"), announce=announce)
        assert answers[0].result()["metrics"]["rows"] == [[88088388.45]]
    assert announced == [(api.url, 1)], "announced once, after it had warmed up"
    with pytest.raises(httpx.ConnectError):
        api.http.get(f"{api.url}/healthz")
    api.http.close()


def test_without_a_release_the_api_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, is_empty=True)) as api:
        with capture_logs() as logs:
            api.app.service.warm_up()
        assert [entry["event"] for entry in logs] == ["api.cold"]
        code, message = api.fail("{ tenant { id } }")
        assert code == "NO_RELEASE"
        assert "run `mercurios" in message
