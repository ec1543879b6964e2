"""Quality: every expectation on rows made to break it, scores and promises by hand, the job on two merchants."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercurios.errors import BadRequest
from mercurios.jobs.ingest.tables import ENTITY_TABLES, RAW_TABLES
from mercurios.jobs.quality import quality
from mercurios.jobs.quarantine import is_replay, replay
from mercurios.quality import Arrivals, Facts, Finding, Measured, QualityReport, Severity
from mercurios.quality.checking import EXAMPLES, columns, examine
from mercurios.quality.expectations import EXPECTATIONS
from mercurios.quality.score import Trading, scored, trading
from mercurios.sources.contracts import CONTRACTS
from mercurios.tenancy import FilesSource, Sla, Tenant
from mercurios.warehouse import Batch, Rejected
from mercurios.warehouse.duckdb import DuckDBWarehouse

Row = Mapping[str, object]

TODAY = date(2025, 12, 31)
AS_OF = datetime(2025, 12, 31, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2025, 12, 30)
KNOWN = {entity: pl.Series([1, 2]) for entity in ("article", "branch", "category", "staff", "supplier")}
FACTS = Facts("EUR", frozenset({1, 2}), TODAY, KNOWN)
LEDGER = {"date": DAY, "currency_number": "EUR", "branch_number": 1}
PRICES = {"purchase_price": 4.0, "sale_price": 10.0, "price": 10.0, "label_price": 12.0}
SOUND: Mapping[str, Row] = {
    "branch": {"number": 1, "name1": "Mitte"},
    "category": {"number": 1, "name": "Coats", "tax_number": 2, "main_category_number": 1},
    "supplier": {"number": 1},
    "staff": {"number": 1, "branch_number": 1},
    "article": {
        "number": 1,
        "currency_number": "EUR",
        **PRICES,
        "first_sale_date": datetime(2024, 5, 1),
        "last_sale_date": DAY,
        "first_purchase_date": datetime(1990, 1, 1),
        "category_number": 1,
        "supplier_number": 2,
    },
    "articlesize": {"currency_number": "", **PRICES, "stock_quantity": 3.0, "article_number": 1, "branch_number": 2},
    "customer": {"number": 7, "branch_number": 1},
    "sale": {
        "date": DAY,
        "currency_number": "",
        "branch_number": 1,
        "cash_register_number": 2,
        "receipt_number": 2_000_017,
        "receipt_position": 1,
        "quantity": 2.0,
        "sale_price": 19.9,
        "discount": 3.0,
        "deduction": 1.1,
        "label_price": 12.0,
        "purchase_price": 8.0,
        "type": 0,
        "time": 36_141,
        "article_number": 1,
        "staff_number": 2,
    },
    "inventory": {"date": DAY, "branch_number": 1, "category_number": 2},
    "order": {"created": DAY, "supplier_number": 1},
    "season": {"valid_from": datetime(2025, 1, 1), "valid_until": datetime(2025, 6, 30)},
    "voucher": {**LEDGER, "value": 50.0, "amount_redeemed": 50.0},
    "credit": {**LEDGER, "value": -20.0, "amount_redeemed": -5.0},
    "invoice": {**LEDGER, "amount": -80.0, "amount_cleared": -80.0},
    "payment": LEDGER,
    "currency": {"course": 1.0},
    "promotion": {"first_day": DAY, "last_day": DAY, "article_number": 1, "share": 1.0, "discount": 0.0},
    "factor": {"factor": "temperature", "day": DAY, "known_on": DAY, "value": -3.5},
}
TWICE = object()
"""Marks a row that stands twice, as the only change or with other ids."""
SPENT: Row = {"value": 5.0, "amount_redeemed": 5.02}
BREAKING: Mapping[str, Mapping[str, Row]] = {
    "branch": {"number_is_unique": {"id": TWICE}, "name_is_there": {"name1": ""}},
    "category": {
        "number_is_unique": {"id": TWICE},
        "name_is_there": {"name": ""},
        "tax_number_has_a_rate": {"tax_number": 3},
        "main_category_exists": {"main_category_number": 9},
    },
    "supplier": {"number_is_unique": {"id": TWICE}},
    "staff": {"number_is_unique": {"id": TWICE}, "branch_exists": {"branch_number": 9}},
    "article": {
        "number_is_unique": {"id": TWICE},
        "currency_is_the_tenants": {"currency_number": "DM"},
        "prices_are_plausible": {"label_price": -0.01},
        "dates_are_plausible": {"last_sale_date": datetime(2026, 1, 1)},
        "first_sale_is_before_the_last": {"last_sale_date": datetime(2024, 4, 30)},
        "category_exists": {"category_number": 9},
        "supplier_exists": {"supplier_number": 9},
    },
    "articlesize": {
        "currency_is_the_tenants": {"currency_number": "USD"},
        "prices_are_plausible": {"purchase_price": 100_000.01},
        "stock_is_plausible": {"stock_quantity": -1.0},
        "article_exists": {"article_number": 9},
        "branch_exists": {"branch_number": 9},
    },
    "customer": {"number_is_unique": {"id": TWICE}, "branch_exists": {"branch_number": 9}},
    "sale": {
        "dates_are_plausible": {"date": datetime(1989, 12, 31)},
        "currency_is_the_tenants": {"currency_number": "CHF"},
        "line_is_unique": {"id": TWICE},
        "quantity_is_not_zero": {"quantity": 0.0, "label_price": 0.0},
        "amounts_can_be_added_up": {"purchase_price": 1e9},
        "amounts_are_plausible": {"quantity": 100_001.0, "label_price": 0.0},
        "price_has_the_sign_of_the_quantity": {"quantity": -2.0, "label_price": 0.0},
        "type_is_known": {"type": 4},
        "returns_are_negative": {"type": 3},
        "label_price_is_explained": {"sale_price": 19.87},
        "discount_is_within_the_label": {"sale_price": -0.5, "discount": 24.5, "deduction": 0.0},
        "cost_is_there": {"purchase_price": None},
        "receipt_belongs_to_its_register": {"cash_register_number": 3},
        "time_is_of_a_day": {"time": 86_400},
        "article_exists": {"article_number": 9},
        "branch_exists": {"branch_number": 9},
        "staff_exists": {"staff_number": 9},
    },
    "inventory": {
        "dates_are_plausible": {"date": datetime(2026, 1, 1)},
        "branch_exists": {"branch_number": 9},
        "category_exists": {"category_number": 9},
    },
    "order": {"dates_are_plausible": {"created": datetime(2026, 1, 1)}, "supplier_exists": {"supplier_number": 9}},
    "promotion": {
        "ends_after_it_begins": {"last_day": datetime(2024, 12, 31)},
        "shares_are_fractions": {"discount": -0.1},
        "article_exists": {"article_number": 9},
        "branch_exists": {"branch_number": 9},
        "category_exists": {"category_number": 9},
    },
    "factor": {"dates_are_plausible": {"known_on": datetime(2026, 1, 1)}, "value_is_plausible": {"value": math.nan}},
    "season": {"begins_before_it_ends": {"valid_until": datetime(2024, 12, 31)}},
    "voucher": {"amount_redeemed_is_within_value": SPENT},
    "credit": {"amount_redeemed_is_within_value": SPENT},
    "invoice": {"amount_cleared_is_within_amount": {"amount": 5.0, "amount_cleared": -5.02}},
    "payment": {},
    "currency": {"course_is_positive": {"course": 0.0}},
}
OF_LEDGERS: Mapping[str, Row] = {
    "dates_are_plausible": {"date": datetime(2026, 1, 1)},
    "currency_is_the_tenants": {"currency_number": "USD"},
    "branch_exists": {"branch_number": 9},
}
OF_KEYS: Mapping[str, Row] = {"key_is_there": {"id": ""}, "key_is_unique": {"id": "sound"}}
ALSO = {
    ("sale", "key_is_unique"): {"line_is_unique"},
    ("sale", "discount_is_within_the_label"): {"price_has_the_sign_of_the_quantity"},
}


def frame(entity: str, *rows: Row) -> pl.DataFrame:
    """Rows with all columns of the contract, null where they name none."""
    schema = {field.column: field.kind.dtype for field in CONTRACTS[entity].kept}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def failures(entity: str, *rows: Row, facts: Facts = FACTS) -> dict[str, tuple[str, ...]]:
    return {each.name: each.examples for each in examine(entity, frame(entity, *rows), facts) if each.failed}


def breaking(entity: str) -> Mapping[str, Row]:
    ledger = OF_LEDGERS if entity in {"voucher", "credit", "invoice", "payment"} else {}
    return {**OF_KEYS, **BREAKING.get(entity, {}), **ledger}


@pytest.mark.parametrize("entity", CONTRACTS)
def test_every_expectation_is_broken_by_a_row_made_for_it_and_by_no_sound_one(entity: str) -> None:
    sound = {"id": "sound", **SOUND.get(entity, {})}
    assert failures(entity, sound) == {}
    assert set(breaking(entity)) == {each.name for each in EXPECTATIONS[entity]}
    for name, change in breaking(entity).items():
        other = {"number": 2, "receipt_position": 2} if TWICE not in change.values() else {}
        broken = {**sound, **other, **change}
        broken["id"] = "broken" if change.get("id", TWICE) is TWICE else change["id"]
        if name == "key_is_unique":
            broken = {**sound}
        found = failures(entity, sound, broken)
        also = ALSO.get((entity, name), set())
        also = also | {"number_is_unique"} if name == "key_is_unique" and "number" in SOUND.get(entity, {}) else also
        assert set(found) == {name} | also, name
        assert set(found[name]) <= {"sound", "broken", ""}
        assert broken["id"] in found[name]


def test_names_are_unique_sentences_are_sentences_and_columns_are_of_the_contract() -> None:
    assert set(EXPECTATIONS) == set(CONTRACTS)
    for entity, expectations in EXPECTATIONS.items():
        assert len({each.name for each in expectations}) == len(expectations)
        assert set(columns(entity)) <= {field.column for field in CONTRACTS[entity].kept}
        for each in expectations:
            assert each.sentence[0].isupper()
            assert each.sentence.endswith(".")
            assert each.columns


def test_of_what_a_merchant_lacks_nothing_is_expected() -> None:
    sale = {"id": "s", **SOUND["sale"], "article_number": 9, "branch_number": 9, "staff_number": 9}
    assert failures("sale", sale, facts=replace(FACTS, known={})) == {}
    assert failures("sale", sale, facts=replace(FACTS, known={"article": pl.Series(dtype=pl.Int64)})) == {}
    nothing = dict.fromkeys(("article_number", "branch_number", "staff_number"), 0)
    assert failures("sale", {**sale, **nothing}) == {}
    findings = {each.name: each for each in examine("sale", frame("sale", sale, {**sale, **nothing, "id": "t"}), FACTS)}
    assert (findings["branch_exists"].checked, findings["branch_exists"].failed) == (1, 1)


@pytest.mark.parametrize("entity", CONTRACTS)
def test_a_row_of_nulls_and_no_row_at_all_are_no_trouble(entity: str) -> None:
    assert all((each.checked, each.failed) == (0, 0) for each in examine(entity, frame(entity), FACTS))
    found = set(failures(entity, {"id": "empty"}))
    assert found <= {"name_is_there", "cost_is_there"}


def test_counts_are_exact_and_examples_few_and_ids_only() -> None:
    rows = [{"id": f"line-{n}", **SOUND["sale"], "receipt_position": n, "zip_code": "CANARY"} for n in range(50)]
    broken = [{**row, "article_number": 9, "quantity": 0.0, "label_price": 0.0} for row in rows[10:40]]
    findings = examine("sale", frame("sale", *rows[:10], *broken, *rows[40:]), FACTS)
    failed = {each.name: each for each in findings if each.failed}
    assert {name: each.failed for name, each in failed.items()} == {"quantity_is_not_zero": 30, "article_exists": 30}
    assert failed["article_exists"].examples == tuple(f"line-{n}" for n in range(10, 10 + EXAMPLES))
    assert failed["article_exists"].checked == 50
    assert "CANARY" not in repr(findings)


@pytest.mark.parametrize(
    ("quantity", "paid", "reduced", "label", "is_fine"),
    [
        (1.0, 19.95, 5.0, 24.95, True),
        (-1.0, -19.95, -5.0, 24.95, True),
        (0.5, 2.0, 0.0, 3.99, True),  # weighed goods are rounded
        (3.0, 10.0, 0.0, 3.33, True),  # three pieces for ten
        (1.0, 19.93, 5.0, 24.95, False),
        (2.0, 24.95, 0.0, 24.95, False),
        (2.0, 24.95, 0.0, 0.0, True),  # nothing is said where no label price stands
    ],
)
def test_the_price_identity_holds_to_the_cent(
    quantity: float, paid: float, reduced: float, label: float, is_fine: bool
) -> None:
    prices = {"quantity": quantity, "sale_price": paid, "discount": reduced, "deduction": 0.0, "label_price": label}
    found = failures("sale", {"id": "s", **SOUND["sale"], **prices})
    assert ("label_price_is_explained" not in found) is is_fine


def finding(checked: int, failed: int, severity: Severity = Severity.WARNING) -> Finding:
    return Finding("sale", "made_up", severity, "All is well.", checked, failed)


def arrived(loaded: int, quarantined: int, hours_ago: float = 1) -> Arrivals:
    finished = (AS_OF - timedelta(hours=hours_ago)).replace(tzinfo=None)
    return Arrivals(loaded + quarantined, loaded, quarantined, finished)


SOLD = Trading(date(2025, 12, 30), datetime(2025, 12, 31, tzinfo=BERLIN), 1)


def report(*measured: Measured, traded: Trading | None = SOLD, sla: Sla | None = None) -> QualityReport:
    return scored("north", AS_OF, sla or Sla(), measured, traded)


def test_a_quarter_in_quarantine_is_a_score_of_three_quarters() -> None:
    made = report(Measured("sale", 75, (finding(75, 0),), arrived(75, 25)))
    assert made.score == made.tables[0].score == 0.75
    assert [(each.kind, each.subject, each.promised, each.found) for each in made.breaches] == [
        ("quality", "tenant", 0.98, 0.75)
    ]
    assert made.breaches[0].sentence == "75.00% of the records are sound, 98.00% were promised."


def test_tables_weigh_by_their_records_and_a_small_batch_says_little_of_a_large_table() -> None:
    made = report(
        Measured("article", 100, (finding(100, 50), finding(300, 0)), None),
        Measured("sale", 9_900, (finding(9_900, 0),), arrived(0, 0)),
    )
    assert [table.score for table in made.tables] == [0.875, 1.0]
    assert made.score == pytest.approx((100 * 0.875 + 9_900) / 10_000)
    late = report(Measured("sale", 9_999, (finding(9_999, 0),), arrived(0, 1)))
    assert late.score == pytest.approx(0.9999)
    onboarding = report(Measured("sale", 100, (finding(100, 0),), arrived(9_000, 1_000)))
    assert onboarding.score == pytest.approx(0.9)


counts = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (max(pair), min(pair)))


@given(st.lists(st.tuples(counts, st.integers(0, 20), st.integers(0, 20)), max_size=4))
def test_a_score_is_a_fraction_and_one_only_where_all_is_sound(
    tables: list[tuple[tuple[int, int], int, int]],
) -> None:
    measured = [
        Measured("sale", rows, (finding(rows, failed),), arrived(loaded, quarantined))
        for (rows, failed), loaded, quarantined in tables
    ]
    score = report(*measured).score
    assert 0 <= score <= 1
    assert (score == 1) == (not any(failed or quarantined for (_, failed), _, quarantined in tables))
    worse = [replace(each, findings=(*each.findings, finding(5, 5))) for each in measured]
    assert report(*worse).score <= score


def test_without_anything_the_score_is_one_and_the_missing_sale_is_a_breach() -> None:
    made = report(traded=None)
    assert (made.score, made.tables, made.expectations) == (1.0, (), ())
    assert [(each.kind, each.subject, each.found) for each in made.breaches] == [("freshness", "sale", None)]


def test_an_error_is_a_breach_a_warning_is_not() -> None:
    made = report(Measured("sale", 1_000_000, (finding(1_000_000, 1, Severity.ERROR), finding(1_000_000, 5)), None))
    assert [(each.kind, each.sentence) for each in made.breaches] == [
        ("expectation", "sale: 1 of 1,000,000 rows fail: All is well.")
    ]
    assert len(made.failed) == 2


def test_an_old_batch_breaks_the_promise_of_its_entity_only() -> None:
    old, young = arrived(1, 0, hours_ago=26.1), arrived(1, 0, hours_ago=25.9)
    made = report(Measured("article", 1, (), old), Measured("sale", 1, (), young), Measured("size", 1, (), None))
    assert [(each.kind, each.subject, each.severity) for each in made.breaches] == [
        ("freshness", "article", Severity.ERROR)
    ]
    assert [table.age_hours for table in made.tables] == [pytest.approx(26.1), pytest.approx(25.9), None]
    assert not report(Measured("article", 1, (), old), sla=Sla(freshness_hours=27)).breaches


def days(first: date, last: date, closed: set[int]) -> pl.Series:
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return pl.Series([day for day in every if day.weekday() not in closed], dtype=pl.Date)


@pytest.mark.parametrize(
    ("closed", "last", "closed_days"),
    [(set(), date(2025, 12, 30), 0), ({6}, date(2025, 12, 27), 1), ({5, 6}, date(2025, 12, 26), 2)],
)
def test_a_merchants_rhythm_is_read_from_the_days_it_sold(closed: set[int], last: date, closed_days: int) -> None:
    found = trading(days(date(2024, 1, 1), last, closed), TODAY, BERLIN)
    assert found is not None
    assert (found.last, found.closed_days) == (last, closed_days)
    assert found.ended_at == datetime(last.year, last.month, last.day, tzinfo=BERLIN) + timedelta(days=1)


def test_an_outage_is_not_usual_and_a_sale_of_tomorrow_not_the_newest() -> None:
    sold = days(date(2025, 9, 1), date(2025, 12, 30), {6})
    gap = sold.filter((sold < date(2025, 11, 1)) | (sold > date(2025, 11, 20))).append(pl.Series([date(2099, 1, 1)]))
    assert trading(gap, TODAY, BERLIN) == Trading(
        date(2025, 12, 30), datetime(2025, 12, 31, tzinfo=BERLIN), closed_days=1
    )
    assert trading(pl.Series([date(2099, 1, 1)]), TODAY, BERLIN) is None
    only = trading(pl.Series([TODAY]), TODAY, BERLIN)
    assert only is not None
    assert only.closed_days == 0


@pytest.mark.parametrize(
    ("as_of", "is_breach"),
    [
        (datetime(2025, 12, 29, 4, 30, tzinfo=BERLIN), False),  # Monday after a Saturday
        (datetime(2025, 12, 30, 1, 59, tzinfo=BERLIN), False),
        (datetime(2025, 12, 30, 2, 1, tzinfo=BERLIN), True),
    ],
)
def test_a_shop_closed_on_sundays_is_given_the_sunday(as_of: datetime, is_breach: bool) -> None:
    traded = trading(days(date(2025, 1, 1), date(2025, 12, 27), {6}), as_of.date(), BERLIN)
    made = scored("north", as_of, Sla(), [Measured("sale", 1, (), None)], traded)
    assert [(each.subject, each.severity) for each in made.breaches] == [("sale", Severity.WARNING)] * is_breach


def tenant(tenant_id: str, currency: str = "EUR") -> Tenant:
    source = FilesSource("nowhere")
    return Tenant(tenant_id, tenant_id, currency, "Europe/Berlin", "de", {1: 0.19, 2: 0.07}, source)


@pytest.fixture
def warehouse() -> Iterator[DuckDBWarehouse]:
    with DuckDBWarehouse.open("duckdb:///:memory:") as opened:
        yield opened


def load(warehouse: DuckDBWarehouse, tenant_id: str, entity: str, rows: list[Row], *, broken: int = 0) -> None:
    """Commit one batch that began two hours before AS_OF."""
    commit(warehouse, batch(tenant_id, entity, AS_OF - timedelta(hours=2)), rows, broken)


def batch(tenant_id: str, entity: str, began: datetime, name: str = "made") -> Batch:
    return Batch(tenant_id, f"{began:%Y%m%dT%H%M%SZ}-{entity}-{name}", entity, ENTITY_TABLES[entity], began)


def commit(warehouse: DuckDBWarehouse, batch: Batch, rows: list[Row], broken: int = 0) -> None:
    """A batch that took a minute."""
    made = frame(batch.entity, *rows).with_columns(pl.lit(None, pl.String).alias("_variant")).to_arrow()
    with warehouse.load(batch) as loading:
        loading.stage([made])
        loading.reject([Rejected(json.dumps({"n": n}), ("made up",)) for n in range(broken)])
        loading.commit(len(rows) + broken, batch.started_at + timedelta(minutes=1))


def test_the_job_measures_one_tenant_and_keeps_the_result(warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure(*RAW_TABLES)
    always: Row = {"last_change": DAY, "is_deleted": False}
    lines = [{**always, **SOUND["sale"], "id": f"s{n}", "receipt_position": n} for n in range(1, 76)]
    lines[0] = {**lines[0], "currency_number": "CHF"}
    articles = [{**always, **SOUND["article"], "id": "a1", "currency_number": ""}]
    for tenant_id in ("north", "south"):
        load(warehouse, tenant_id, "article", articles)
        load(warehouse, tenant_id, "sale", lines, broken=25 if tenant_id == "north" else 0)
    made = quality(tenant("north"), warehouse, AS_OF)
    assert [table.entity for table in made.tables] == ["article", "sale"]
    assert [(each.kind, each.subject) for each in made.breaches] == [("quality", "tenant"), ("expectation", "sale")]
    sale = made.tables[1]
    assert (sale.rows, sale.quarantined, sale.failed) == (75, 25, 1)
    assert sale.age_hours == pytest.approx(2 - 1 / 60)
    assert sale.score == pytest.approx(0.75 * (1 - 1 / sale.checked))
    (wrong,) = made.failed
    assert (wrong.name, wrong.examples) == ("currency_is_the_tenants", ("s1",))
    other = quality(tenant("south", "CHF"), warehouse, AS_OF)
    assert (other.tables[1].quarantined, other.tables[1].failed, other.tenant_id) == (0, 0, "south")
    quality(tenant("north"), warehouse, AS_OF)
    stored = {(row["tenant_id"], row["subject"]): row for row in warehouse.table("ops.quality").to_pylist()}
    assert warehouse.count("ops.quality") == len(stored) == 6
    assert stored["north", "tenant"]["score"] == pytest.approx(made.score)
    assert json.loads(stored["north", "tenant"]["breaches"]) == [each.sentence for each in made.breaches]
    assert json.loads(stored["north", "sale"]["breaches"]) == [made.breaches[1].sentence]
    assert stored["south", "tenant"]["breaches"] == "[]"
    kept = pl.DataFrame(warehouse.table("ops.expectations")).filter(tenant_id="north", failed=1)
    assert kept["examples"].to_list() == ['["s1"]']
    assert warehouse.forget("north")["ops.quality"] == 3


def test_sales_are_examined_that_are_new_to_the_calendar_or_to_the_warehouse(warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure(*RAW_TABLES)
    always: Row = {**SOUND["sale"], "last_change": DAY, "is_deleted": False}
    table = ENTITY_TABLES["sale"]
    old = [
        {**always, "tenant_id": "north", "id": name, "date": day, "_extracted_at": datetime(2025, 12, 1)}
        for name, day in (("recent", DAY), ("old", datetime(2025, 9, 1)), ("future", datetime(2099, 1, 1)))
    ]
    old.append({**old[0], "id": "gone", "_deleted_at": DAY})
    warehouse.replace(table, "north", pa.Table.from_pylist(old, schema=table.own_columns))
    made = quality(tenant("north"), warehouse, AS_OF)
    assert [(table.entity, table.rows, table.age_hours) for table in made.tables] == [("sale", 2, None)]
    assert {each.name: each.examples for each in made.failed}["dates_are_plausible"] == ("future",)
    load(warehouse, "north", "sale", [{**always, "id": "late", "date": datetime(2024, 9, 1)}])
    assert quality(tenant("north"), warehouse, AS_OF).tables[0].rows == 3


def test_a_replay_of_the_quarantine_is_no_arrival(warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure(*RAW_TABLES)
    row: Row = {**SOUND["article"], "last_change": DAY, "is_deleted": False, "currency_number": ""}
    days_ago = AS_OF - timedelta(hours=48)
    for name in ("north", "south"):
        commit(warehouse, batch(name, "article", days_ago), [{**row, "id": "a1"}], 1)
        commit(warehouse, batch(name, "season", days_ago, "replay-0a1b2c"), [], 1)
    commit(warehouse, batch("north", "article", AS_OF, "replay-0a1b2c"), [{**row, "id": "a2", "number": 2}], 7)
    north, south = (quality(tenant(name), warehouse, AS_OF) for name in ("north", "south"))
    for report, rows in ((north, 2), (south, 1)):
        (article,) = report.tables
        assert (article.entity, article.rows, article.quarantined) == ("article", rows, 1)
        assert article.age_hours == pytest.approx(48 - 1 / 60)
        assert ("freshness", "article") in {(each.kind, each.subject) for each in report.breaches}


def test_the_replays_that_the_job_makes_are_known_as_such(warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure(*RAW_TABLES)
    load(warehouse, "north", "label", [], broken=1)
    (done,) = replay(warehouse, "north", AS_OF)
    assert {batch.batch_id for batch in warehouse.batches() if is_replay(batch)} == {done.batch_id}


def test_the_job_of_a_merchant_without_anything_and_without_a_zone_in_its_moment(warehouse: DuckDBWarehouse) -> None:
    made = quality(tenant("new"), warehouse, AS_OF)
    assert (made.score, made.tables, [each.sentence for each in made.breaches]) == (1.0, (), ["There is no sale."])
    with pytest.raises(BadRequest, match="time zone"):
        quality(tenant("new"), warehouse, AS_OF.replace(tzinfo=None))
