"""The lists of the API: pages that fit together, cursors that are refused, and what each role sees of two merchants."""

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mercurios.api.access.tokens import issue
from tests.api_lists import RULES
from tests.api_world import MARKS, OTHER, SECRET, ApiWorld, fill, listening, make_world
from tests.test_api_isolation import leaks


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("lists"))) as running:
        yield running


LISTS = {
    "sales": "receipt soldOn soldAt branch article label category department productType quantity revenue labelValue"
    " netRevenue cost customerNumber isReturn isMerchandise",
    "branches": "number name country isActive isWebshop firstSoldOn lastSoldOn",
    "categories": "number name department path depth parent isService vatRate",
    "articles": "number label category department brand labelPrice purchasePrice isActive isNos isMerchandise"
    " figures { asOfOn units28d revenue364d abc xyz grossMargin364d stockValue }",
    "customers": "number segment firstSoldOn lastSoldOn recencyDays receipts revenue recencyQuintile",
    "suppliers": "number name country isActive figures { orders fillRate revenue364d openValue }",
    "stock": "branch article label category snapshotOn stockUnits daysOfSupply risk isListed isOld stockValue",
}
SIZES = {"sales": 3, "branches": 2, "categories": 2, "articles": 1, "customers": 2, "suppliers": 1, "stock": 3}


def whole(name: str, arguments: str = "first: 1000") -> str:
    return f"{{ {name}({arguments}) {{ nodes {{ {LISTS[name]} }} totalCount pageInfo {{ hasNextPage endCursor }} }} }}"


def nodes(api: ApiWorld, name: str, arguments: str = "first: 1000", tenant: str = "north") -> list[dict[str, Any]]:
    return list(api.ask(whole(name, arguments), tenant=tenant)[name]["nodes"])


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("tenant", MARKS)
def test_a_list_is_read_whole_page_by_page_and_holds_the_asker_s_rows_alone(
    api: ApiWorld, name: str, tenant: str
) -> None:
    document = f"""query($after: String) {{ {name}(first: 1, after: $after) {{
        nodes {{ {LISTS[name]} }} edges {{ cursor node {{ __typename }} }}
        pageInfo {{ hasNextPage endCursor }} totalCount }} }}"""
    found, after, more = [], None, True
    while more:
        page = api.ask(document, tenant=tenant, after=after)[name]
        found += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        assert [edge["cursor"] for edge in page["edges"]] == [after]
        assert page["totalCount"] == SIZES[name] + (2 if (name, tenant) == ("customers", "south") else 0)
    assert len(found) == page["totalCount"]
    assert found == nodes(api, name, tenant=tenant)
    behind = api.ask(document, tenant=tenant, after=after)[name]
    assert (behind["nodes"], behind["pageInfo"]) == ([], {"hasNextPage": False, "endCursor": None})
    assert leaks(str(found), tenant, given=[])
    assert not leaks(str(found), OTHER[tenant], given=[])


def test_sale_lines_are_the_newest_first_and_filtered(api: ApiWorld) -> None:
    lines = nodes(api, "sales")
    assert [line["soldOn"] for line in lines] == ["2017-12-02", "2017-12-01", "2017-11-30"]
    assert lines[0] | {"soldAt": ""} == {
        "receipt": "northern receipt 2017-12-02", "soldOn": "2017-12-02", "soldAt": "", "branch": "8801",
        "article": "8800001", "label": "northern bread", "category": "northern bakery",
        "department": "northern grocery", "productType": "northern rolls", "quantity": 88.0, "revenue": 88.15,
        "labelValue": 88.15, "netRevenue": 88.15, "cost": 88.0, "customerNumber": "88001", "isReturn": False,
        "isMerchandise": True,
    }  # fmt: skip
    assert len(nodes(api, "sales", 'from: "2017-12-01", branch: "8801"')) == 2
    assert len(nodes(api, "sales", 'to: "2017-11-30", category: "NORTHERN bakery", article: "8800001"')) == 1
    assert nodes(api, "sales", 'branch: "8802"') == []


def test_masters_carry_their_figures(api: ApiWorld) -> None:
    assert [branch["name"] for branch in nodes(api, "branches")] == ["8801", "northern web"]
    top, below = nodes(api, "categories")
    assert (top["parent"], below["parent"], below["path"]) == (None, "880", "northern grocery > northern bakery")
    [article] = nodes(api, "articles")
    assert article["figures"]["revenue364d"] == 88_000
    assert nodes(api, "articles", "active: true") == []
    [supplier] = nodes(api, "suppliers")
    assert supplier["figures"] == {"orders": 8_800, "fillRate": 0.5, "revenue364d": 88_000.0, "openValue": 88_000.0}


def test_stock_by_risk(api: ApiWorld) -> None:
    assert [one["risk"] for one in nodes(api, "stock")] == ["OUT", "CRITICAL", "NONE"]
    [out] = nodes(api, "stock", 'risk: OUT, branch: "8801"')
    assert (out["article"], out["label"], out["daysOfSupply"]) == ("8800001", "northern bread", 0)


def test_customers_have_pseudonyms_of_their_merchant(api: ApiWorld) -> None:
    document = "{ customers { nodes { id number segment } } }"
    first, again = (api.ask(document)["customers"]["nodes"] for _ in range(2))
    assert first == again
    assert len({one["id"] for one in first}) == 2
    assert {len(one["id"]) for one in first} == {32}
    assert [one["number"] for one in nodes(api, "customers", "segment: AT_RISK")] == ["88002"]
    seals = api.app.service._backend.seals
    assert seals.pepper("north") != seals.pepper("south")


def test_segments(api: ApiWorld) -> None:
    fields = "segment customers customerShare revenue revenueShare receipts averageReceipt averageRecencyDays asOfOn"
    best, next_best = api.ask(f"{{ segments {{ {fields} }} }}")["segments"]
    assert best == {
        "segment": "AT_RISK", "customers": 1, "customerShare": 0.5, "revenue": 176_000.0,
        "revenueShare": pytest.approx(2 / 3), "receipts": 2, "averageReceipt": 88_000.0, "averageRecencyDays": 10.0,
        "asOfOn": "2017-12-02",
    }  # fmt: skip
    assert next_best["segment"] == "CHAMPIONS"


def test_data_quality_tells_the_gravest_first(api: ApiWorld) -> None:
    fields = "rule severity entity statement fallback remedy checked breaches share example"
    rules = api.ask(f"{{ dataQuality {{ {fields} }} }}")["dataQuality"]
    assert (rules[0]["statement"], rules[0]["remedy"]) == ("northern rule", "northern remedy")
    named = ["day_in_future", "sale_without_cost", "article_without_category", "order_without_day"]
    assert [rule["rule"] for rule in rules] == named
    assert (rules[0]["severity"], rules[0]["share"], rules[0]["example"]) == ("ERROR", 0.01, "northern record: wrong")
    every = api.ask("{ dataQuality(onlyBroken: false) { rule share } }", tenant="south")["dataQuality"]
    assert len(every) == len(RULES)


def test_freshness_is_by_the_merchant_s_own_day(api: ApiWorld) -> None:
    document = "{ freshness { subject newestOn ageDays records promise { hours ageHours isKept } } }"
    told = {one["subject"]: one for one in api.ask(document)["freshness"]}
    # The last day of business ended at five in the morning UTC of 3 December; it traded on every day it knows of.
    promise = {"hours": 26.0, "ageHours": 24 * 3_275 + 24.0 - 5, "isKept": False}
    # The release speaks for midnight UTC of 22 November 2026, when it is the 21st in New York.
    assert told["SALES"] == {
        "subject": "SALES",
        "newestOn": "2017-12-02",
        "ageDays": 3_276,
        "records": 3,
        "promise": promise,
    }
    assert {one["promise"] for subject, one in told.items() if subject != "SALES"} == {None}
    assert told.keys() == {"SALES", "STOCK", "FORECASTS", "REORDER_PROPOSALS"}, "what the release holds"


def test_releases_are_told_newest_first(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        fill(api.lake)
        api.lake.rollback("r000001")
        told = api.ask("{ releases(first: 2) { id asOf isRead rollbackOf } }")["releases"]
        code, message = api.fail("{ releases(first: 101) { id } }")
    as_of = "2026-11-22T00:00:00Z"
    assert told == [
        {"id": "r000003", "asOf": as_of, "isRead": True, "rollbackOf": "r000001"},
        {"id": "r000002", "asOf": as_of, "isRead": False, "rollbackOf": None},
    ]
    assert (code, message) == ("BAD_REQUEST", "first 101: expected 1 to 100 releases")


# What is refused


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("sales(first: 0)", "first 0: expected 1 to 1,000"),
        ("sales(first: -1)", "first -1: expected 1 to 1,000"),
        ("stock(first: 1001)", "first 1001: expected 1 to 1,000"),
        ('sales(branch: "7701")', "no branch '7701'"),
        ('sales(branch: "8801; drop table x")', "expected a number, digits only"),
        ('sales(branch: "\\u0000")', "branch '\\x00': expected a number"),
        ('sales(branch: "")', "expected a number"),
        ('sales(article: "99999999999999999999")', "expected a number"),
        ('sales(category: "northern bakerys")', "close to it: 'northern bakery'"),
        ('stock(category: "southern bakery")', "no category 'southern bakery'"),
        ("sales(category: \"x' or '1'='1\")", "no category \"x' or '1'='1\""),
        ('sales(category: "\\u0007")', "no category '\\x07'"),
        ('articles(supplier: "southern mill")', "no supplier 'southern mill'"),
        ('sales(from: "2017-12-02", to: "2017-12-01")', "ends before it begins; swap `from` and `to`"),
        ('sales(after: "")', "that is no cursor of ours"),
        ('sales(after: "Zm9yZ2Vk")', "that is no cursor of ours"),
        ('sales(after: "köln")', "that is no cursor of ours"),
        (f'sales(after: "{"A" * 5_000}")', "that is no cursor of ours"),
    ],
)
def test_a_list_that_cannot_be(api: ApiWorld, field: str, message: str) -> None:
    code, said = api.fail(f"{{ {field} {{ totalCount }} }}")
    assert code == "BAD_REQUEST"
    assert message in said


def test_a_list_that_nobody_could_pay_is_not_read(api: ApiWorld) -> None:
    code, said = api.fail("{ stock(first: 10000000) { totalCount } }")
    assert code == "TOO_COSTLY"
    assert "points" in said


def cursor(api: ApiWorld, field: str, tenant: str = "north") -> str:
    found = api.ask(f"{{ {field} {{ pageInfo {{ endCursor }} }} }}", tenant=tenant)
    return str(next(iter(found.values()))["pageInfo"]["endCursor"])


def test_a_cursor_belongs_to_its_list_its_filters_and_its_merchant(api: ApiWorld) -> None:
    document = "query($after: String) { sales(first: 1, after: $after) { totalCount } }"
    assert "of another list" in api.fail(document, after=cursor(api, "stock(first: 1)"))[1]
    assert "other filters" in api.fail(document, after=cursor(api, 'sales(first: 1, branch: "8801")'))[1]
    assert "no cursor of ours" in api.fail(document, after=cursor(api, "sales(first: 1)", tenant="south"))[1]
    own = cursor(api, "sales(first: 1)")
    for at in range(0, len(own), 7):
        changed = own[:at] + ("A" if own[at] != "A" else "B") + own[at + 1 :]
        assert "no cursor of ours" in api.fail(document, after=changed)[1]
    assert b"2017-12-02" not in urlsafe_b64decode(own + "=" * (-len(own) % 4)), "nor can it be read"


def test_a_cursor_of_another_release_is_refused(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        before = cursor(api, "sales(first: 1)")
        fill(api.lake)
        code, message = api.fail("query($a: String) { sales(after: $a) { totalCount } }", a=before)
    assert code == "BAD_REQUEST"
    assert message == "the cursor is of release r000001, what is read now is r000002; begin without `after`"


def test_a_release_without_a_table_says_what_to_do(tmp_path: Path) -> None:
    gone = ("mart_inventory_status", "mart_customer_segments", "mart_data_quality")
    with listening(make_world(tmp_path, leave_out=gone)) as api:
        for field in ("stock { totalCount }", "segments { customers }", "dataQuality { rule }"):
            code, message = api.fail(f"{{ {field} }}")
            assert code == "NO_RELEASE"
            assert "run `mercurios export` first" in message


def test_a_viewer_reads_lists_without_prices_and_numbers(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api.tokens, "north", issue(SECRET, "north", "viewer", timedelta(minutes=5)))
    read = api.ask("{ sales { nodes { revenue } } customers { nodes { id revenue } } stock { nodes { stockUnits } } }")
    assert {name: len(page["nodes"]) for name, page in read.items()} == {"sales": 3, "customers": 2, "stock": 3}
