"""A token of one merchant never shows a row of the other: through any field, with any arguments."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mercurios.config import ROOT
from mercurios.metrics import SemanticLayer
from mercurios.transformation import run_dbt, semantic_manifest, target_for
from tests.api_world import MARKS, OTHER, ApiWorld, listening, make_world, rows_of
from tests.isolation import FIELDS, document, keys_of, leaks, strings_in, used


@pytest.fixture(scope="module")
def semantics(tmp_path_factory: pytest.TempPathFactory) -> SemanticLayer:
    """The real metric definitions."""
    state = tmp_path_factory.mktemp("dbt")
    run_dbt(ROOT / "dbt", target_for(f"duckdb:///{state}/none.duckdb"), state, command=("parse",))
    return SemanticLayer.parse(semantic_manifest(state))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, semantics: SemanticLayer) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("isolation"), semantics=semantics)) as running:
        yield running


KEYS = st.sampled_from([*keys_of("north"), *keys_of("south")])
NAMES = st.lists(
    st.sampled_from(["revenue", "units", "receipts", "gross_margin", "active_customers", "stock_value", "tenant_id"]),
    min_size=1,
    max_size=2,
    unique=True,
)
DIMENSIONS = st.lists(
    st.sampled_from(["branch", "category", "department", "product_type", "tenant_id"]), max_size=2, unique=True
)
FILTERS = st.lists(
    st.fixed_dictionaries(
        {
            "dimension": st.sampled_from(["branch", "category", "product_type"]),
            "op": st.sampled_from(["EQ", "NE", "IN", "NOT_IN", "GT", "LE"]),
            "values": st.lists(KEYS | st.sampled_from([7701, 8801, 0.5, 2**63, -(2**63), 1e300]), max_size=3),
        }
    ),
    max_size=2,
)
VARIABLES = st.fixed_dictionaries(
    {
        "names": NAMES,
        "groupBy": DIMENSIONS,
        "grain": st.sampled_from(["DAY", "MONTH", None]),
        "where": FILTERS,
        "from": st.dates(date(2017, 1, 1), date(2018, 12, 31)).map(str) | st.none(),
        "level": st.sampled_from(["CATEGORY", "BRANCH"]),
        "key": KEYS,
        "horizon": st.integers(-1, 400) | st.none(),
        "customer": KEYS,
        "limit": st.integers(-1, 200) | st.none(),
        "question": KEYS.map(lambda key: f"revenue of {key}"),
        "branch": KEYS | st.none(),
        "article": KEYS | st.none(),
        "supplier": KEYS,
        "after": st.integers(-1, 4) | st.none(),
        "days": st.integers(0, 91),
        "week": st.dates(date(2017, 12, 18), date(2018, 2, 5)).map(str),
        "discount": st.floats(-0.1, 1),
        "kind": KEYS | st.none(),
    }
)


@pytest.mark.parametrize("tenant", ["north", "south"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(list(FIELDS)), variables=VARIABLES)
@example(field="", variables={})
def test_no_field_shows_a_row_of_the_other(api: ApiWorld, tenant: str, field: str, variables: dict[str, Any]) -> None:
    written = used(field, variables)
    answer = api.post({"query": document(field), "variables": written}, tenant=tenant)
    assert answer.status_code == 200
    assert "INTERNAL_ERROR" not in answer.text
    assert not leaks(answer.text, OTHER[tenant], given=list(strings_in(written)))


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_the_search_for_leaks_would_find_one(api: ApiWorld, tenant: str) -> None:
    """The asker's own rows are found by the same search, so that silence above means something."""
    branch = str(rows_of(tenant)["mart_sales_daily"][0]["branch"])
    customer = str(rows_of(tenant)["dim_customers"][0]["customer_number"])
    documents = [
        "{ tenant { name } }",
        '{ metrics(names: ["revenue"]) { rows } }',
        f'{{ forecast(level: BRANCH, key: "{branch}") {{ points {{ hi80 }} }} }}',
        f'{{ forecast(level: BRANCH, key: "{branch[:-1]}") {{ model }} }}',
        f'{{ recommendations(customer: "{customer}") {{ article reason }} }}',
        "{ reorderProposals { proposals { item supplier } orderValue } }",
        f'{{ supplierDelay(supplier: "{MARKS[tenant][0]} mill", days: 14) {{ supplier supplierNumber }} }}',
        '{ ask(question: "revenue") { text } }',
        "{ sales { nodes { receipt revenue } } }",
        "{ articles { nodes { label figures { revenue364d } } } }",
        "{ customers { nodes { number revenue } } }",
        "{ stock { nodes { article stockValue } } }",
        "{ dataQuality { example } }",
    ]
    for query in documents:
        assert leaks(api.post({"query": query}, tenant=tenant).text, tenant, given=[]), query


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_the_session_itself_holds_one_tenant(api: ApiWorld, tenant: str) -> None:
    session = api.sessions.get(tenant)
    for table in session.release.tables:
        ids = session.query("select distinct tenant_id from query_table(?)", [f"marts.{table.name}"])
        assert set(ids["tenant_id"].to_pylist()) <= {tenant}


def test_a_shared_cache_does_not_join_tenants(api: ApiWorld) -> None:
    document = {"query": '{ metrics(names: ["revenue"], groupBy: ["category"]) { rows } }'}
    for _ in range(2):
        for tenant in MARKS:
            text = api.post(document, tenant=tenant).text
            assert leaks(text, tenant, given=[])
            assert not leaks(text, OTHER[tenant], given=[])


def test_every_metric_that_tells_purchase_prices_needs_an_analyst(semantics: SemanticLayer) -> None:
    catalog = semantics.catalog()
    telling = re.compile(r"cost|purchase price|profit|stock value")
    told = {one.name for one in catalog if telling.search(f"{one.description['en']} {one.formula['en']}")}
    needing = {one.name for one in catalog if one.needs == "analyst"}
    assert {"gross_margin", "stock_value", "open_to_buy", "wssi_sales"} <= told <= needing
    assert needing - told == {"days_in_stock"}, "it is reckoned from stock turnover"
    assert {one.needs for one in catalog} == {"viewer", "analyst"}
