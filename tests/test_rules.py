"""Rules of the warehouse: what is wrong in one merchant's books is named, and leaves the others as they are.

South is sound. Broken breaks every rule there is but one: untaxed has no VAT rate. Vast has the biggest numbers that
count and a tree too deep, the till of ancient has never been told the day, that of turn opened on 31 December 1999.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mercurios.config import ROOT
from mercurios.jobs.transform import transform
from mercurios.summary import MOST_BREACHES, breach_lines
from mercurios.tables import MARTS
from mercurios.transformation import DbtResult, run_dbt, target_for
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.snowflake_emulator import Emulator
from tests.test_transform_snowflake import snowflake_target
from tests.till import COAT, NOVEMBER_3, NOVEMBER_30, SOUTH, Row, article, category, fill, sale, stock

DBT = ROOT / "dbt"
MODELS = ("build", "--exclude-resource-type", "test", "unit_test")
pytestmark = pytest.mark.filterwarnings("ignore:The 'insecure_mode' connection property:DeprecationWarning")

PLAIN = (COAT, 1, 10.0)
POSITIONS = """[{"articleNumber":100,"orderAmount":2.0,"deliveredAmount":1.0},{"articleNumber":998,"quantity":2.0},
    {"articleNumber":100,"orderAmount":1e6,"deliveredAmount":0.0,"price":1e6},
    {"articleNumber":100,"orderAmount":1.0,"deliveredAmount":0.0,"price":1e300}]"""
BROKEN: Mapping[str, list[Row]] = {
    "tenants": [{"name": "Broken", "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de", "calendar": "DE"}],
    "tenant_vat_rates": [{"tax_number": 1, "rate": 0.19}],
    "prohandel_branch": [
        {"id": "b1", "number": 1, "name1": "Old", "is_active": True},
        {"id": "b2", "number": 1, "name1": "New", "is_active": True, "last_change": datetime(2025, 12, 1)},
        {"id": "b3", "number": 2, "name1": "Here"},
        {"id": "b4", "number": 2, "name1": "Gone", "_deleted_at": datetime(2026, 1, 1)},
    ],
    "prohandel_category": [
        category(10, "JACKETS", 10, 1),
        category(11, "COATS", 10, 5),
        category(12, "LOST", 66, 1),
        category(13, "ONE", 10, 1),
        {**category(13, "OTHER", 10, 1), "id": "c13 again"},
        category(41, "LEFT", 42, 1),
        category(42, "RIGHT", 41, 1),
    ],
    "prohandel_article": [
        {**article(COAT, 11, "Parka"), "supplier_number": 5, "season_number": 7},
        article(101, 88, "Nowhere"),
        {**article(102, 41, "Left"), "supplier_number": 6, "season_number": 8},
        article(103, 0, "Loose"),
        article(104, 11, "Twin"),
        {**article(104, 11, "Twin"), "id": "a104 again"},
        {**article(105, 0, "Loose and gone"), "_deleted_at": datetime(2026, 1, 1)},
        {**article(106, 11, "Dear"), "label_price": 1e9},
        {**article(107, 11, "No number"), "purchase_price": float("nan")},
    ],
    "prohandel_supplier": [{"id": "s5", "number": 5}, {"id": "s5 again", "number": 5}],
    "prohandel_season": [{"id": "s7", "season_number": 7, "name": "Winter"}],
    "prohandel_currency": [
        {"id": "w1", "number": "DM", "iso_alpha3": "DEM"},
        {"id": "w2", "number": "E", "iso_alpha3": "EUR"},
    ],
    "prohandel_customer": [{"id": "k7", "number": 7}, {"id": "k7 again", "number": 7}],
    "prohandel_sale": [
        sale("sound", NOVEMBER_3, 1_000_001, PLAIN, currency_number="E"),
        sale("nothing", NOVEMBER_3, 1_000_002, (0, 1, 10.0)),
        sale("unknown", NOVEMBER_3, 1_000_003, (999, 1, 10.0)),
        sale("free", NOVEMBER_3, 1_000_004, PLAIN, purchase_price=None),
        sale("odd", NOVEMBER_3, 1_000_005, PLAIN, type=4),
        sale("marks", NOVEMBER_3, 1_000_006, PLAIN, currency_number="DM"),
        sale("tomorrow", date(2026, 1, 3), 1_000_007, PLAIN),
        sale("ancient", date(1, 1, 1), 1_000_008, PLAIN, time=0),
        sale("nameless", NOVEMBER_3, 0, PLAIN),
        sale("huge", NOVEMBER_3, 1_000_009, (COAT, 1e9, 10.0)),
        sale("dear", NOVEMBER_3, 1_000_010, (COAT, 1, 1e300)),
        sale("product", NOVEMBER_3, 1_000_015, (COAT, 1e5, 10.0), label_price=1e5),
        sale("back", NOVEMBER_3, 1_000_011, PLAIN, type=1),
        sale("label", NOVEMBER_3, 1_000_012, PLAIN, label_price=19.95),
        sale("elsewhere", NOVEMBER_3, 1_000_013, PLAIN, branch_number=9),
        sale("cut", NOVEMBER_3, 1_000_014, (102, 1, 11.9)),
        sale("deleted", NOVEMBER_3, 0, (0, 1, 10.0), _deleted_at=datetime(2026, 1, 1)),
    ],
    "prohandel_articlesize": [
        {"id": "z1", "number": 1, "article_number": None, "branch_number": 1, "stock_quantity": -2.0},
        {"id": "z2", "number": 2, "article_number": COAT, "branch_number": 1, "stock_quantity": 1e200},
        {"id": "z3", "number": 3, "article_number": COAT, "branch_number": 1, "stock_quantity": 3.0},
    ],
    "prohandel_order": [
        {"id": "o1", "number": 1, "created": datetime(2025, 11, 1), "positions": POSITIONS},
        {"id": "o2", "number": 2, "created": None, "positions": "[]"},
    ],
    "prohandel_voucher": [
        {"id": "v1", "number": 1, "date": datetime(2025, 11, 1), "value": 10.0, "amount_redeemed": 10.01},
        {"id": "v2", "number": 2, "date": datetime(2025, 11, 1), "value": 10.0, "amount_redeemed": 10.0},
        {"id": "v3", "number": 3, "date": datetime(2025, 11, 1), "value": -1e300},
    ],
}
UNTAXED: Mapping[str, list[Row]] = {
    "tenants": [{"name": "Untaxed", "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}],
    "prohandel_branch": [{"id": "b1", "number": 1, "name1": "Only"}],
    "prohandel_category": [category(11, "TOOLS", 11, 0)],
    "prohandel_article": [article(COAT, 11, "Hammer")],
    "prohandel_sale": [sale("u1", NOVEMBER_3, 1_000_001, PLAIN)],
}
MOST, MUCH = 9e8, 9e8 + 0.123
VAST: Mapping[str, list[Row]] = {
    **UNTAXED,
    "tenant_vat_rates": [{"tax_number": 1, "rate": 0.19}],
    "prohandel_category": [category(number, f"{number}", max(number - 1, 1), 1) for number in range(1, 23)],
    "prohandel_article": [article(COAT, 11, "Hammer"), article(101, 12, "Nail")],
    "prohandel_sale": [
        *(sale(f"v{n}", NOVEMBER_3, 5, (COAT + n % 2, MUCH, MOST), label_price=0.0) for n in range(12_000)),
        *(sale(f"r{n}", NOVEMBER_3, 5, (COAT + n % 2, -MUCH, -MOST), label_price=0.0, type=1) for n in range(400)),
        sale("1-1-5-2025-11-03", NOVEMBER_30, 0, PLAIN),
    ],
    "prohandel_stock_daily": [stock(NOVEMBER_30, size, 1, MUCH, 1.0) for size in range(1200)],
}
ANCIENT: Mapping[str, list[Row]] = {
    **SOUTH,
    "prohandel_customer": [{"id": "k7", "number": 7}],
    "prohandel_sale": [
        sale("old", date(1990, 1, 1), 1_000_001, PLAIN, customer_number=7),
        sale("never", date(9999, 12, 31), 1_000_001, PLAIN, customer_number=7, time=86_340),
    ],
}
TURN: Mapping[str, list[Row]] = {
    **ANCIENT,
    "prohandel_sale": [
        sale("last", date(1999, 12, 31), 1_000_001, (COAT, -1, -10.0), customer_number=7, type=1),
        sale("first", date(2000, 1, 1), 1_000_001, PLAIN, customer_number=7),
    ],
}
MERCHANTS = {"ancient": ANCIENT, "broken": BROKEN, "south": SOUTH, "turn": TURN, "untaxed": UNTAXED, "vast": VAST}
BREACHES = {
    ("ancient", "day_before_calendar"): ["old"],
    ("ancient", "day_in_future"): ["never"],
    ("broken", "article_category_unknown"): ["101"],
    ("broken", "article_number_twice"): ["104"],
    ("broken", "article_season_unknown"): ["102"],
    ("broken", "article_supplier_unknown"): ["102"],
    ("broken", "article_uncountable"): ["106", "107"],
    ("broken", "article_without_category"): ["103"],
    ("broken", "branch_number_twice"): ["1"],
    ("broken", "category_cycle"): ["41", "42"],
    ("broken", "category_number_twice"): ["13"],
    ("broken", "category_parent_unknown"): ["12"],
    ("broken", "currency_foreign"): ["marks"],
    ("broken", "customer_number_twice"): ["7"],
    ("broken", "day_before_calendar"): ["ancient"],
    ("broken", "day_in_future"): ["tomorrow"],
    ("broken", "label_price_unexplained"): ["label"],
    ("broken", "order_position_uncountable"): ["o1/3", "o1/4"],
    ("broken", "order_position_without_article"): ["o1/2"],
    ("broken", "order_position_without_delivery"): ["o1/2"],
    ("broken", "order_without_day"): ["o2"],
    ("broken", "quantity_uncountable"): ["dear", "huge", "product"],
    ("broken", "receipt_without_number"): ["nameless"],
    ("broken", "return_not_negative"): ["back"],
    ("broken", "sale_at_unknown_branch"): ["9"],
    ("broken", "sale_type_unknown"): ["odd"],
    ("broken", "sale_without_article"): ["nothing", "unknown"],
    ("broken", "sale_without_cost"): ["free"],
    ("broken", "stock_negative"): ["z1"],
    ("broken", "stock_uncountable"): ["z2"],
    ("broken", "supplier_number_twice"): ["5"],
    ("broken", "tax_number_without_rate"): ["11"],
    ("broken", "voucher_overdrawn"): ["1"],
    ("broken", "voucher_uncountable"): ["3"],
    ("turn", "day_before_calendar"): ["last"],
    ("untaxed", "tenant_without_vat_rates"): ["untaxed"],
    ("vast", "category_cycle"): ["21", "22"],
    ("vast", "receipt_without_number"): ["1-1-5-2025-11-03"],
}


@dataclass(frozen=True)
class World:
    """A warehouse that dbt builds."""

    folder: Path

    @property
    def url(self) -> str:
        return f"duckdb:///{self.folder}/warehouse.duckdb"

    def open(self) -> DuckDBWarehouse:
        return DuckDBWarehouse.open(self.url)

    def build(self, merchants: Mapping[str, Mapping[str, list[Row]]], *command: str) -> DbtResult:
        with self.open() as warehouse:
            fill(warehouse, merchants)
        return run_dbt(DBT, target_for(self.url), self.folder / "dbt", command=command or MODELS)

    def query(self, statement: str, *parameters: object) -> list[Any]:
        with duckdb.connect(self.url.removeprefix("duckdb:///"), read_only=True) as connection:
            return connection.execute(statement, list(parameters)).fetchall()

    def breaches(self) -> dict[tuple[str, str], list[str]]:
        return grouped(self.query("select tenant_id, rule, record from intermediate.int_rule_breaches"))

    def of(self, mart: str, tenant_id: str) -> list[str]:
        with self.open() as warehouse:
            rows = warehouse.table(f"marts.{mart}").to_pylist()
        return sorted(str(row) for row in rows if row["tenant_id"] == tenant_id)


def grouped(rows: list[Any]) -> dict[tuple[str, str], list[str]]:
    """Sorted records by tenant and rule."""
    found: dict[tuple[str, str], list[str]] = {}
    for tenant_id, rule, record in sorted(rows):
        found.setdefault((tenant_id, rule), []).append(record)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def result(world: World) -> DbtResult:
    """Built and tested once, with every test of the data."""
    return world.build(MERCHANTS, "build", "--exclude-resource-type", "unit_test")


def test_every_breach_is_named_by_rule_and_record_and_stops_nobody(world: World, result: DbtResult) -> None:
    assert world.breaches() == BREACHES
    warned = {node.name: node.rows for node in result.warnings}
    assert warned["rules_are_kept"] == sum(map(len, BREACHES.values()))


def test_every_rule_is_measured_for_every_merchant_and_broken_here(world: World, result: DbtResult) -> None:
    rules = {rule for (rule,) in world.query("select rule from seeds.warehouse_rules")}
    assert {rule for _, rule in BREACHES} == rules
    assert world.query("select tenant_id, count(*) from marts.mart_data_quality group by all order by all") == [
        (tenant, len(rules)) for tenant in sorted(MERCHANTS)
    ]
    asked = (
        "select severity, entity, example, checked, breaches, share from marts.mart_data_quality "
        "where (tenant_id, rule) = (?, ?)"
    )
    assert world.query(asked, "broken", "category_cycle") == [
        ("error", "category", "41: its main category 42 leads back to it", 6, 2, 2 / 6)
    ]
    assert world.query(asked, "vast", "category_cycle") == [
        ("error", "category", "21: it lies under 20 categories", 22, 2, 2 / 22)
    ]
    assert world.query(asked, "broken", "sale_without_article") == [
        ("warning", "sale", "nothing: no article", 16, 2, 2 / 16)
    ]
    assert world.query(asked, "broken", "stock_negative") == [("note", "stock", "z1: ", 3, 1, 1 / 3)]
    assert world.query(asked, "south", "sale_without_article") == [("warning", "sale", None, 1, 0, 0)]
    assert world.query(asked, "south", "voucher_overdrawn") == [("warning", "voucher", None, 0, 0, None)]


def test_the_job_reports_them_and_the_command_shows_the_gravest_first(world: World, result: DbtResult) -> None:
    report = transform(lambda _: result, world.open)
    assert {(one.tenant_id, one.rule): one.breaches for one in report.breaches} == {
        key: len(records) for key, records in BREACHES.items()
    }
    lines = breach_lines(report.breaches)
    said = (
        "error   category_cycle: No category lies under itself or deeper than 20. Otherwise: The category is cut off "
        "and its own department. To do: Correct the main category in ProHandel"
    )
    cycle = lines.index(said)
    assert lines[cycle + 1 : cycle + 3] == [
        "        broken: 2 of 6 (category), e.g. 41: its main category 42 leads back to it",
        "        vast: 2 of 22 (category), e.g. 21: it lies under 20 categories",
    ]
    gravity = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert gravity[:-1] == sorted(gravity[:-1])
    assert len(lines) - len(gravity) == MOST_BREACHES
    assert lines[-1] == f"and {len(BREACHES) - MOST_BREACHES} more; all are in marts.mart_data_quality"
    assert breach_lines(report.breaches[:1]) == lines[:2]


def test_another_merchants_marts_are_the_same_without_them(world: World, result: DbtResult, tmp_path: Path) -> None:
    alone = World(tmp_path)
    alone.build({"south": SOUTH})
    for mart in MARTS:
        assert world.of(mart, "south") == alone.of(mart, "south"), mart
    assert world.of("fct_sale_lines", "south")


def test_what_breaks_a_rule_counts_as_its_fallback_says(world: World, result: DbtResult) -> None:
    lines = "select category, department, net_amount from marts.fct_sale_lines where (tenant_id, sale_line_id) = (?, ?)"
    assert world.query(lines, "broken", "sound") == [("COATS", "JACKETS", Decimal("8.4034"))]
    assert world.query(lines, "broken", "nothing") == [("(unknown)", "(unknown)", Decimal("8.4034"))]
    assert world.query(lines, "broken", "cut") == [("LEFT", "LEFT", 10)]
    assert world.query(lines, "untaxed", "u1") == [("TOOLS", "TOOLS", None)]
    branches = "select branch, name from marts.dim_branches where tenant_id = 'broken' order by branch"
    assert world.query(branches) == [(1, "New"), (2, "Here"), (9, "Branch 9")]
    assert world.query("select count(*), sum(gross_amount) from marts.fct_sale_lines where tenant_id = 'broken'") == [
        (16, Decimal("151.90"))
    ]
    receipts = "select receipt_id from marts.fct_sale_lines where (tenant_id, sale_line_id) = ('broken', 'nameless')"
    assert world.query(receipts) == [("line nameless",)]
    orders = (
        "select open_units, unit_cost, open_value from marts.fct_purchase_orders where position > 2 order by position"
    )
    assert world.query(orders) == [(1e6, 10**6, 0), (1, 0, 0)]
    days = "select min(day), max(day) from marts.dim_dates where tenant_id = 'broken'"
    assert world.query(days) == [(date(2000, 1, 1), date(2026, 12, 31))]


def test_the_biggest_numbers_that_count_are_added_up(world: World, result: DbtResult) -> None:
    receipts = "select receipt_id, lines, sold_units, returned_units, gross_amount from marts.fct_receipts"
    assert world.query(f"{receipts} where tenant_id = 'vast' order by sold_on") == [
        ("1-1-5-2025-11-03", 12_400, 12_000 * MUCH, 400 * MUCH, 11_600 * Decimal(MOST)),
        ("line 1-1-5-2025-11-03", 1, 1, 0, 10),
    ]
    stocks = "select quantity, stock_value from marts.fct_stock_daily where tenant_id = 'vast'"
    assert world.query(stocks) == [(1200 * MUCH, 1200 * Decimal("900000000.123"))]


def test_what_is_mended_is_a_breach_no_longer_and_history_keeps_the_old_price(tmp_path: Path) -> None:
    world = World(tmp_path)
    read = {"_extracted_at": datetime(2026, 1, 2, 6)}
    later = {"_extracted_at": datetime(2026, 1, 3, 6)}
    parka = {**article(COAT, 11, "Parka"), "label_price": 149.5, **read}
    flawed: dict[str, list[Row]] = {
        **SOUTH,
        "prohandel_article": [parka],
        "prohandel_sale": [
            sale("s1", NOVEMBER_3, 1_000_001, (COAT, 3, 30.0), type=4, **read),
            sale("s2", NOVEMBER_3, 1_000_002, (104, 1, 5.0), **read),
        ],
    }
    world.build({"south": flawed})
    assert world.breaches() == {("south", "sale_type_unknown"): ["s1"], ("south", "sale_without_article"): ["s2"]}
    mended: dict[str, list[Row]] = {
        **flawed,
        "prohandel_article": [{**parka, "label_price": 99.0, **later}, {**article(104, 0, ""), "is_active": False}],
        "prohandel_sale": [
            sale("s1", NOVEMBER_3, 1_000_001, (COAT, 3, 30.0), **later),
            sale("s2", NOVEMBER_3, 1_000_002, (104, 1, 5.0), **read),
        ],
    }
    world.build({"south": mended})
    assert world.breaches() == {}
    prices = "select label_price, dbt_valid_from, dbt_valid_to from snapshots.article_history where article_number = ?"
    assert sorted(world.query(prices, COAT), reverse=True) == [
        (Decimal("149.50"), read["_extracted_at"], later["_extracted_at"]),
        (Decimal("99.00"), later["_extracted_at"], None),
    ]
    world.build({"south": {**mended, "prohandel_article": [{**parka, "label_price": 99.0, "text1": "PARKA", **later}]}})
    assert len(world.query(prices, COAT)) == 2


NEWER = {**article(COAT, 11, "Parka"), "id": "newer", "label_price": 2.0, "last_change": datetime(2026, 1, 1)}


@pytest.mark.parametrize("gone", [{"_deleted_at": datetime(2026, 1, 4, 6)}, {"number": 555}], ids=["dead", "elsewhere"])
def test_a_number_that_falls_back_to_an_older_article_has_one_history(tmp_path: Path, gone: Row) -> None:
    world, days = World(tmp_path), [datetime(2026, 1, day, 6) for day in (2, 3, 4)]
    older = {**article(COAT, 11, "Parka"), "label_price": 1.0, "_extracted_at": days[0]}
    newer = {**NEWER, "_extracted_at": days[1]}
    some = ("build", "--exclude-resource-type", "unit_test", "--select", "+article_history")
    for articles in ([older], [older, newer], [older, {**newer, "_extracted_at": days[2], **gone}]):
        world.build({"south": {**SOUTH, "prohandel_article": articles}}, *some)
    history = "select label_price, dbt_valid_from, dbt_valid_to from snapshots.article_history where article_number = ?"
    assert sorted(world.query(history, COAT), key=lambda row: row[1]) == [
        (1, days[0], days[1]),
        (2, days[1], days[2]),
        (1, days[2], None),
    ]


def test_a_list_that_has_got_a_column_replaces_that_of_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.build({"south": SOUTH}, "seed")
    with duckdb.connect(world.url.removeprefix("duckdb:///")) as connection:
        connection.execute("alter table seeds.warehouse_rules drop column remedy")
    world.build({"south": SOUTH}, "seed")
    assert world.query("select count(*) from seeds.warehouse_rules where remedy is null") == [(0,)]


def test_rules_and_history_are_the_same_on_snowflake(emulator: Emulator, tmp_path: Path) -> None:
    with emulator.open("RULES") as warehouse:
        fill(warehouse, MERCHANTS)
    some = ("--select", "+int_rule_breaches", "+article_history", "+dim_dates")
    target = snowflake_target(emulator, "RULES")
    for _ in range(2):  # the second run follows the first
        run_dbt(DBT, target, tmp_path, command=(*MODELS, *some))
        with emulator.open("RULES") as warehouse:
            rows = warehouse.table("intermediate.int_rule_breaches").to_pylist()
            versions = warehouse.count("snapshots.article_history")
        assert grouped([(row["tenant_id"], row["rule"], row["record"]) for row in rows]) == BREACHES
        numbers = {(name, row["number"]) for name, tables in MERCHANTS.items() for row in tables["prohandel_article"]}
        assert versions == len(numbers)
