"""Metrics: every definition against figures reckoned by hand, and laws that hold for any sales."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mercurios.config import ROOT
from mercurios.errors import InvalidMetricQuery, UnknownDimension, UnknownMetric
from mercurios.jobs.builds import recorded
from mercurios.jobs.export import export
from mercurios.lake import Lake
from mercurios.metrics import GRAINS, Filter, MetricQuery, Order, SemanticLayer, engine, run
from mercurios.serving import Session, open_session
from mercurios.tables import TABLES
from mercurios.transformation import run_dbt, semantic_manifest, target_for
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.till import DECEMBER_1, NOVEMBER_30, fill

AS_OF = datetime(2026, 1, 2, 6, tzinfo=UTC)
DIMENSIONS = ("branch", "category", "department", "product_type")
NOVEMBER, DECEMBER = "2025-11-01", "2025-12-01"
TOTALS: Mapping[str, tuple[object, object]] = {  # north, south
    "revenue": (159.7, 30.0),  # 238 + 10.70 + 25 + 5 - 119
    "net_revenue": (135.2101, 30.0),  # 200 + 10 + 21.0084 + 4.2017 - 100
    "units": (3.0, 3.0),  # 2 + 1 + 1 - 1, fuel left out
    "receipts": (4, 1),
    "average_receipt": (39.925, 30.0),
    "discount_rate": (30.5 / 165.2, 0.0),  # label value 299 + 10.70 + 5 - 149.50, paid for it 134.70
    "gross_profit": (67.2101, 18.0),  # 135.2101 - (80 + 6 + 20 + 2 - 40)
    "gross_margin": (67.2101 / 135.2101, 0.6),
    "active_customers": (2, 1),
    "stock_value": (441.5, 20.0),  # 8 × 40 + 41.50 + 2 × 40, the last day only
}


@dataclass(frozen=True)
class Metrics:
    """A layer and the sessions of two tenants on one release."""

    layer: SemanticLayer
    sessions: Mapping[str, Session]

    def rows(self, *names: str, tenant: str = "north", **query: Any) -> list[list[object]]:
        """Rows of one metric query, as lists."""
        return [list(row) for row in run(self.layer, self.sessions[tenant], MetricQuery(names, **query)).rows]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    folder = tmp_path_factory.mktemp("metrics")
    url = f"duckdb:///{folder}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse)
    with recorded(lambda: DuckDBWarehouse.open(url)):
        run_dbt(ROOT / "dbt", target_for(url), folder / "dbt")
    lake = Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")
    with DuckDBWarehouse.open(url) as warehouse:
        release = export(warehouse, lake, as_of=AS_OF, files={}).release
    sessions = {tenant: open_session(lake.reader(tenant, release)) for tenant in ("north", "south")}
    return Metrics(SemanticLayer.parse(semantic_manifest(folder / "dbt")), sessions)


@pytest.mark.parametrize("name", TOTALS)
def test_every_metric_is_what_was_reckoned_by_hand(metrics: Metrics, name: str) -> None:
    for tenant, expected in zip(("north", "south"), TOTALS[name], strict=True):
        [[found]] = metrics.rows(name, tenant=tenant)
        assert found == pytest.approx(expected, rel=1e-12)
        assert type(found) is type(expected)


def test_all_metrics_at_once_are_the_same_numbers(metrics: Metrics) -> None:
    [row] = metrics.rows(*TOTALS)
    assert row == pytest.approx([north for north, _ in TOTALS.values()], rel=1e-12)


def test_by_time(metrics: Metrics) -> None:
    assert metrics.rows("revenue", "units", "receipts", grain="MONTH") == [
        [NOVEMBER, 273.7, 3.0, 2],
        [DECEMBER, -114.0, 0.0, 2],
    ]
    assert metrics.rows("revenue", grain="WEEK") == [["2025-11-03", 248.7], ["2025-11-24", 25.0], [DECEMBER, -114.0]]
    assert metrics.rows("revenue", grain="YEAR") == [["2025-01-01", 159.7]]
    assert metrics.rows("receipts", grain="QUARTER") == [["2025-10-01", 4]]
    assert metrics.rows("stock_value", grain="DAY") == [[DECEMBER, 400.0], ["2025-12-02", 441.5]]
    assert metrics.rows("stock_value", grain="MONTH") == [[DECEMBER, 441.5]]


def test_a_period_is_inclusive_and_never_widened_to_its_grain(metrics: Metrics) -> None:
    assert metrics.rows("revenue", start=NOVEMBER_30, end=NOVEMBER_30) == [[25.0]]
    assert metrics.rows("revenue", grain="MONTH", start=date(2025, 11, 4), end=NOVEMBER_30) == [[NOVEMBER, 25.0]]
    assert metrics.rows("revenue", start=DECEMBER_1) == [[-114.0]]
    assert metrics.rows("revenue", end=date(2025, 11, 29)) == [[248.7]]
    assert metrics.rows("stock_value", end=DECEMBER_1) == [[400.0]]


def test_nothing_divided_by_nothing_is_null(metrics: Metrics) -> None:
    names = ("revenue", "receipts", "average_receipt", "discount_rate", "gross_margin", "stock_value")
    assert metrics.rows(*names, start=date(2030, 1, 1)) == [[None, 0, None, None, None, None]]
    fuel = (Filter("category", "EQ", ("KRAFTSTOFF",)),)
    assert metrics.rows("revenue", "discount_rate", where=fuel) == [[25.0, None]]


def test_slices_are_ordered_by_themselves_unless_told(metrics: Metrics) -> None:
    assert metrics.rows("units", group_by=("category",)) == [
        ["(unknown)", 1.0],
        ["BUCH", 1.0],
        ["JACKEN", 1.0],
        ["KRAFTSTOFF", 0.0],
    ]
    ranked = metrics.rows("units", group_by=("department",), order_by=(Order("units", True), Order("department", True)))
    assert ranked == [["MODE", 1.0], ["BUCH", 1.0], ["(unknown)", 1.0], ["KRAFTSTOFF", 0.0]]
    best = metrics.rows("units", group_by=("category",), order_by=(Order("units", True),), limit=2)
    assert best == [["(unknown)", 1.0], ["BUCH", 1.0]]
    rates = metrics.rows("discount_rate", group_by=("category",), order_by=(Order("discount_rate", True),))
    assert rates[-1] == ["KRAFTSTOFF", None]


def test_dimensions_and_time_come_before_metrics(metrics: Metrics) -> None:
    query = MetricQuery(("receipts", "revenue"), group_by=("branch", "product_type"), grain="MONTH", limit=3)
    result = run(metrics.layer, metrics.sessions["north"], query)
    assert result.columns == ("metric_time", "branch", "product_type", "receipts", "revenue")
    assert result.rows == (
        (NOVEMBER, 1, "(unknown)", 1, 10.7),
        (NOVEMBER, 1, "Diesel", 1, 25.0),
        (NOVEMBER, 1, "Parka", 1, 238.0),
    )
    assert result.release == metrics.sessions["north"].release.id
    assert json.loads(json.dumps(result.rows)) == [list(row) for row in result.rows]


@pytest.mark.parametrize(
    ("dimension", "op", "values", "revenue"),
    [
        ("category", "EQ", ("JACKEN",), 119.0),
        ("category", "NE", ("JACKEN",), 40.7),
        ("category", "IN", ("BUCH", "KRAFTSTOFF", "nothing"), 35.7),
        ("category", "NOT_IN", ("BUCH", "KRAFTSTOFF"), 124.0),
        ("department", "EQ", ("MODE",), 119.0),
        ("product_type", "EQ", ("Diesel",), 25.0),
        ("branch", "EQ", (2,), -114.0),
        ("branch", "EQ", ("2",), -114.0),
        ("branch", "IN", (1.0, 2.0), 159.7),
        ("branch", "GT", (1,), -114.0),
        ("branch", "GE", (1,), 159.7),
        ("branch", "LT", (2,), 273.7),
        ("branch", "LE", (0,), None),
        ("branch", "EQ", (2**63 - 1,), None),
    ],
)
def test_filters(metrics: Metrics, dimension: str, op: Any, values: tuple[Any, ...], revenue: float | None) -> None:
    assert metrics.rows("revenue", where=(Filter(dimension, op, values),)) == [[revenue]]


def test_sales_and_stock_stand_side_by_side(metrics: Metrics) -> None:
    assert metrics.rows("revenue", "stock_value", group_by=("category",)) == [
        ["(unknown)", 5.0, None],
        ["BUCH", 10.7, None],
        ["JACKEN", 119.0, 441.5],
        ["KRAFTSTOFF", 25.0, None],
    ]


def test_the_catalog_names_what_can_be_asked(metrics: Metrics) -> None:
    catalog = {metric.name: metric for metric in metrics.layer.catalog()}
    assert list(catalog) == sorted(catalog)
    for name in TOTALS:
        assert catalog[name].dimensions[:4] == DIMENSIONS
        assert catalog[name].grains == GRAINS


@pytest.mark.parametrize("name", ["turnover", "cost", "revenue; drop table x", "Revenue", ""])
def test_a_metric_that_is_not_public_is_unknown(metrics: Metrics, name: str) -> None:
    with pytest.raises(UnknownMetric, match="net_revenue, on_order_value"):
        metrics.rows("revenue", name)


@pytest.mark.parametrize(
    "name", ["colour", "tenant_id", "sale_line", 'category" --', "{{ Entity('branch') }}", "metric_time"]
)
def test_a_dimension_that_is_not_public_is_unknown(metrics: Metrics, name: str) -> None:
    with pytest.raises(UnknownDimension, match="branch, category"):
        metrics.rows("revenue", group_by=(name,))
    with pytest.raises(UnknownDimension, match="branch, category"):
        metrics.rows("revenue", where=(Filter(name, "EQ", ("x",)),))


@pytest.mark.parametrize(
    "change",
    [
        {"names": ()},
        {"names": ("revenue", "revenue")},
        {"group_by": ("branch", "branch")},
        {"grain": "HOUR"},
        {"grain": "month'; --"},
        {"start": date(2025, 2, 1), "end": date(2025, 1, 1)},
        {"limit": 0},
        {"limit": 10_001},
        {"order_by": (Order("category"),)},
        {"order_by": (Order('revenue" desc; --'),)},
        {"where": (Filter("category", "LIKE", ("x",)),)},  # type: ignore[arg-type]
        {"where": (Filter("category", "EQ", ()),)},
        {"where": (Filter("category", "IN", ()),)},
        {"where": (Filter("category", "EQ", ("a", "b")),)},
        {"where": (Filter("branch", "EQ", ("one",)),)},
        {"where": (Filter("branch", "EQ", ("1 or 1=1",)),)},
        {"where": (Filter("branch", "EQ", (1.5,)),)},
        {"where": (Filter("branch", "EQ", (2**63,)),)},
        {"where": (Filter("branch", "EQ", (float("nan"),)),)},
    ],
)
def test_a_query_that_makes_no_sense_is_refused(metrics: Metrics, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMetricQuery):
        metrics.layer.compile(replace(MetricQuery(("revenue",)), **change))


@pytest.mark.parametrize(
    "value",
    [
        "x' or '1'='1",
        "'; drop table marts.fct_sale_lines; --",
        "{{ Dimension('sale_line__sold_on') }}",
        "{% raw %}",
        "$start",
        "?",
        "\\' or true --",
        "\n--",
        "\x00",
        "",
        "x" * 5_000,
    ],
)
def test_a_value_stays_a_value(metrics: Metrics, value: str) -> None:
    for op in ("EQ", "IN"):
        assert metrics.rows("revenue", where=(Filter("category", op, (value,)),)) == [[None]]  # type: ignore[arg-type]
    assert metrics.rows("revenue", where=(Filter("category", "NE", (value,)),)) == [[159.7]]


def test_statements_read_published_tables_only(metrics: Metrics) -> None:
    layer = metrics.layer
    for names in (tuple(TOTALS), *((name,) for name in TOTALS)):
        for group_by in ((), DIMENSIONS):
            sql = layer.compile(MetricQuery(names, group_by=group_by, grain="WEEK", start=DECEMBER_1)).sql
            read = set(re.findall(r"(?:from|join)\s+([\w\"]+\.[\w\".]+)", sql, re.IGNORECASE))
            assert read <= {f"marts.{table}" for table in TABLES}
            assert read


def test_a_shape_is_compiled_once_whatever_the_values(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SemanticLayer(metrics.layer._manifest)
    compiled = []
    original = engine.explain

    def counted(*arguments: Any) -> str:
        compiled.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(engine, "explain", counted)
    for value, limit in (("A", 1), ("B", 2)):
        for day in (date(2025, 1, 1), date(2025, 1, 2)):
            query = MetricQuery(("revenue",), where=(Filter("category", "EQ", (value,)),), start=day, limit=limit)
            statement = layer.compile(query)
            assert {value, day, limit} == set(statement.parameters.values())
            assert not re.search(r"'[AB]'|2025", statement.sql)
    layer.compile(MetricQuery(("revenue",), where=(Filter("category", "IN", ("A",)),)))
    layer.compile(MetricQuery(("revenue",), where=(Filter("category", "IN", ("A", "B", "C")),)))
    assert len(compiled) == 2


def test_many_threads_get_the_same_answers(metrics: Metrics) -> None:
    queries = [
        MetricQuery((name,), group_by=(dimension,), grain=grain)
        for name in ("revenue", "gross_margin", "stock_value")
        for dimension in DIMENSIONS
        for grain in (None, GRAINS[2])
    ]
    one = [run(metrics.layer, metrics.sessions["north"], query) for query in queries]
    layer = SemanticLayer(metrics.layer._manifest)
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda query: run(layer, metrics.sessions["north"], query), queries))
    assert many == one


lines = st.lists(
    st.fixed_dictionaries(
        {
            "sold_on": st.dates(date(2024, 1, 1), date(2025, 12, 31)),
            "branch": st.integers(-3, 3),
            "category": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
            "department": st.sampled_from(["A", "B'; --"]),
            "product_type": st.sampled_from(["P", "{{ q }}"]),
            "receipt_id": st.sampled_from("rstuv"),
            "customer_number": st.none() | st.integers(1, 4),
            "is_merchandise": st.booleans(),
            "quantity": st.integers(-5, 9).map(float),
            "gross_amount": st.decimals(-999, 999, places=2),
        }
    ),
    max_size=25,
)


def law_session(sales: list[dict[str, Any]]) -> Session:
    """A session on nothing but these sale lines."""
    rows = [line | {"tenant_id": "t", "sale_line_id": str(number)} for number, line in enumerate(sales)]
    connection = duckdb.connect(":memory:")
    connection.execute("create schema marts")
    schema = TABLES["fct_sale_lines"].schema
    arriving = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
    connection.register("arriving", arriving)
    connection.execute("create table marts.fct_sale_lines as from arriving")
    return Session("t", None, connection)  # type: ignore[arg-type]  # no release is read here


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sales=lines,
    group_by=st.lists(st.sampled_from(DIMENSIONS), unique=True),
    grain=st.none() | st.sampled_from(GRAINS),
    period=st.tuples(st.dates(date(2024, 1, 1), date(2025, 12, 31)), st.integers(0, 400)),
)
def test_any_grouping_adds_up_to_the_total(
    metrics: Metrics, sales: list[dict[str, Any]], group_by: list[str], grain: Any, period: tuple[date, int]
) -> None:
    start, end = period[0], date.fromordinal(period[0].toordinal() + period[1])
    session = law_session(sales)
    grouped = MetricQuery(("revenue", "units", "receipts"), tuple(group_by), grain, start, end, limit=10_000)
    table = session.query(*_statement(metrics, grouped)).to_pylist()
    chosen = [line for line in sales if start <= line["sold_on"] <= end]
    assert sum(row["revenue"] or 0 for row in table) == sum((line["gross_amount"] for line in chosen), Decimal(0))
    merchandise = sum(line["quantity"] for line in chosen if line["is_merchandise"])
    assert sum(row["units"] or 0 for row in table) == merchandise
    assert sum(row["receipts"] for row in table) >= len({line["receipt_id"] for line in chosen})
    assert [[row[name] for name in grouped.columns[: -len(grouped.names)]] for row in table] == _in_order(
        table, grouped
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales=lines, other=st.text(max_size=5))
def test_a_filter_chooses_exactly_its_lines(metrics: Metrics, sales: list[dict[str, Any]], other: str) -> None:
    session = law_session(sales)
    for category in {line["category"] for line in sales} | {other}:
        query = MetricQuery(("revenue", "active_customers"), where=(Filter("category", "EQ", (category,)),))
        [row] = session.query(*_statement(metrics, query)).to_pylist()
        chosen = [line for line in sales if line["category"] == category]
        assert (row["revenue"] or 0) == sum((line["gross_amount"] for line in chosen), Decimal(0))
        assert row["active_customers"] == len({line["customer_number"] for line in chosen} - {None})


def _statement(metrics: Metrics, query: MetricQuery) -> tuple[str, Mapping[str, object]]:
    compiled = metrics.layer.compile(query)
    return compiled.sql, compiled.parameters


def _in_order(table: list[dict[str, Any]], query: MetricQuery) -> list[list[object]]:
    keys = [[row[name] for name in query.columns[: -len(query.names)]] for row in table]
    return sorted(keys, key=lambda key: [value.encode() if isinstance(value, str) else value for value in key])
