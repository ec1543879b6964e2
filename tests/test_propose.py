"""Propose: from a release in a real lake to order proposals of two merchants, and what if a supplier is late."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from mercurios.config import ROOT
from mercurios.errors import BadRequest, ConfigError, ModelError, NoChampion
from mercurios.jobs.delay import delay
from mercurios.jobs.propose import ProposalReport, load_spec, propose_orders
from mercurios.lake import Lake
from mercurios.replenishment import Reason, ReplenishmentSpec
from mercurios.serving import Session, open_session
from mercurios.tables import TABLES

LAST = date(2025, 6, 29)  # a Sunday
AS_OF = datetime(2025, 6, 30, 4, tzinfo=UTC)  # 06:00 in Berlin, the day after
DAYS = 210
BASE = {"north": 1_000, "south": 2_000}
STEADY, SELDOM, PRICELESS, UNLISTED, OLD, SHORT, RETIRED, FUEL, SUMMER = range(1, 10)
QUICK = """
selection: {articles: 100, sold_within_weeks: 8, branch_weeks_sold: 13}
terms: {holding_rate: 0.25, obsolescence_rate: 0.25, pack_size: 1, minimum_order: 0}
stock: {samples: 200, default_lead_days: 7}
forecast:
  {grain: week, horizon: 4, folds: 2, min_periods_sold: 13, active_periods: 4, tail_periods: 8, baseline: SeasonalNaive,
   tail: RecentMean, candidates: {SeasonalNaive: {season_length: 1}, RecentMean: {periods: 8}}}
"""
SPEC = ReplenishmentSpec.parse(QUICK)


def sold(tenant: str) -> list[dict[str, Any]]:
    """Two pieces of each article a day in branch 1, of the steady one in branch 2 too; in the south six."""
    pieces = 2.0 if tenant == "north" else 6.0
    lines = []
    for day in range(DAYS):
        on = LAST - timedelta(days=day)
        there = [(article, 1) for article in (STEADY, SELDOM, PRICELESS, UNLISTED, SHORT, RETIRED, FUEL, SUMMER)]
        there += [(STEADY, 2)] + [(SELDOM, 2)] * (day % 50 == 0) + [(OLD, 1)] * (day > 100)
        lines += [
            {"sold_on": on, "branch": branch, "article_number": BASE[tenant] + article, "quantity": pieces}
            | {"sale_line_id": f"{on}-{article}-{branch}", "is_merchandise": article != FUEL}
            for article, branch in there
        ]
    return lines


def shelves(tenant: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one merchant that proposals are made of."""
    base = BASE[tenant]
    articles = [
        {"article_number": base + n, "label": f"{tenant} {n}", "supplier_number": base + n % 2, "supplier": f"S{n % 2}"}
        | {"is_merchandise": n != FUEL, "is_active": n != RETIRED, "season_number": 3 if n == SUMMER else 1}
        | {"purchase_price": None if n == PRICELESS else 2, "first_sold_on": LAST - timedelta(days=DAYS - 1)}
        for n in range(1, 10)
    ]
    performance = [
        {"article_number": base + n, "as_of_on": LAST, "last_sold_on": LAST - timedelta(days=101 * (n == OLD))}
        | {"abc": "A", "xyz": "X", "revenue_91d": 1_000 - n, "units_364d": 400.0, "net_revenue_364d": 1_600}
        for n in range(1, 10)
    ]
    stock = [
        {"article_number": base + n, "branch": branch, "stock_units": 45.0, "snapshot_on": LAST}
        for n in (STEADY, SELDOM, PRICELESS, OLD, RETIRED, SUMMER)
        for branch in (1, 2)
    ]
    stock += [{"article_number": base + SHORT, "branch": n, "stock_units": 30.0 * n - 50} for n in (1, 2)]
    orders = [
        {"order_id": f"o{n}", "position": 1, "supplier_number": base + 1, "article_number": base + STEADY, "branch": 1}
        | {"ordered_on": LAST - timedelta(days=2), "expected_on": LAST + timedelta(days=12 + n), "open_units": 4.0 * n}
        for n in (0, 1)
    ]
    return {
        "dim_tenants": [{"name": tenant, "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}],
        "dim_dates": [{"day": date(2025, 5, 1), "holiday": "Tag der Arbeit"}],
        "dim_seasons": [{"season_number": 1}, {"season_number": 3, "ends_on": LAST - timedelta(days=1)}],
        "dim_suppliers": [{"supplier_number": base + n, "name": f"S{n}"} for n in (0, 1, 5)],
        "dim_articles": articles,
        "mart_product_performance": performance,
        "mart_inventory_status": stock,
        "mart_open_to_buy": [{"department": "d", "category": "c", "month_start": date(2025, 6, 1), "open_to_buy": 60}],
        "fct_purchase_orders": orders,
        "fct_sale_lines": sold(tenant),
    }


def table(name: str, shops: Mapping[str, dict[str, list[dict[str, Any]]]]) -> pa.Table:
    """Rows of all merchants in the columns of a published table; what was not told is empty."""
    schema = TABLES[name].schema
    rows = [{"tenant_id": tenant, **row} for tenant, shop in shops.items() for row in shop[name]]
    made = [{field.name: row.get(field.name, None if field.nullable else "") for field in schema} for row in rows]
    return pa.Table.from_pylist(made, schema=schema)


def publish(folder: Path, shops: Mapping[str, dict[str, list[dict[str, Any]]]]) -> Lake:
    lake = Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")
    lake.publish({name: table(name, shops) for name in next(iter(shops.values()))}, as_of=AS_OF)
    return lake


def opened(lake: Lake, tenant: str = "north") -> Session:
    return open_session(lake.reader(tenant, lake.require_current()))


@dataclass(frozen=True)
class Night:
    """Two merchants whose proposals were published, one after the other."""

    lake: Lake
    reports: Mapping[str, ProposalReport]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    lake = publish(tmp_path_factory.mktemp("lake"), {tenant: shelves(tenant) for tenant in BASE})
    reports = {}
    for tenant in BASE:
        session = opened(lake, tenant)
        reports[tenant] = propose_orders(session, as_of=AS_OF, spec=SPEC)
        lake.publish(reports[tenant].tables, as_of=AS_OF, tenants=(tenant,), base=session.release)
    return Night(lake, reports)


def proposals(report: ProposalReport) -> dict[str, dict[str, Any]]:
    """By item, without the merchant's base."""
    rows = pl.DataFrame(report.tables["reorder_proposals"]).to_dicts()
    base = BASE[report.tenant_id]
    return {row["item"].replace(str(row["article_number"]), str(row["article_number"] - base)): row for row in rows}


@pytest.mark.parametrize("tenant", list(BASE))
def test_a_session_holds_ones_own_proposals_only(night: Night, tenant: str) -> None:
    session = opened(night.lake, tenant)
    for name in ("reorder_proposals", "unit_forecasts"):
        published = session.query(f"select * from marts.{name}")
        assert set(published["tenant_id"].to_pylist()) == {tenant}
        assert published.num_rows == night.reports[tenant].tables[name].num_rows > 0
        assert TABLES[name].schema.equals(night.reports[tenant].tables[name].schema)
    numbers = session.query("select article_number from marts.reorder_proposals")["article_number"].to_pylist()
    assert all(BASE[tenant] < number < BASE[tenant] + 1_000 for number in numbers)


def test_the_marts_stay_pinned(night: Night) -> None:
    first, last = night.lake.releases()[0], night.lake.require_current()
    assert last.table("fct_sale_lines") == first.table("fct_sale_lines")


def test_what_sells_in_every_branch_is_ordered_by_branch_and_the_rest_for_all_together(night: Night) -> None:
    rows = proposals(night.reports["north"])
    by_branch = {item: row["branch"] for item, row in rows.items()}
    assert by_branch == {
        f"{STEADY}/1": 1,
        f"{STEADY}/2": 2,
        f"{UNLISTED}/1": 1,
        **{str(n): None for n in (SELDOM, PRICELESS, SHORT)},
    }, "not what is old, retired, a service or of a season that is over"


def test_orders_follow_from_stock_forecast_and_promised_lead_times(night: Night) -> None:
    for tenant, weekly in (("north", 14.0), ("south", 42.0)):
        rows = proposals(night.reports[tenant])
        first, second = rows[f"{STEADY}/1"], rows[f"{STEADY}/2"]
        assert (first["lead_days_mean"], first["lead_time_basis"]) == (14.5, "stated")
        assert first["lead_days_sd"] == pytest.approx(0.5**0.5)
        assert (first["on_hand"], first["on_order"], first["on_order_days"]) == (45.0, 4.0, 13.0)
        assert (second["on_order"], second["on_order_days"]) == (0.0, None)
        assert first["expected_demand"] == pytest.approx(weekly * first["protection_weeks"], rel=0.01)
        assert 3 <= first["protection_weeks"] <= 4
        assert first["order_quantity"] == second["order_quantity"] - 4 > 0
        assert first["reason"] == Reason.BELOW_REORDER_POINT
        assert first["order_value"] == 2 * first["order_quantity"]
        assert 0 < first["lost_margin_avoided"] <= 2 * first["order_quantity"], "a margin of 4 - 2"
        assert 0.5 < first["service_level"] < 1
        seldom = rows[str(SELDOM)]
        assert (seldom["lead_days_mean"], seldom["lead_time_basis"]) == (None, "default")
        assert (seldom["on_hand"], seldom["protection_weeks"]) == (90.0, 2.0)


def test_what_is_not_known_is_told_and_nothing_is_proposed(night: Night) -> None:
    rows = proposals(night.reports["north"])
    for item, reason in ((f"{PRICELESS}", Reason.NO_PRICE), (f"{UNLISTED}/1", Reason.NO_STOCK)):
        row = rows[item]
        assert (row["reason"], row["order_quantity"], row["order_value"]) == (reason, 0.0, 0)
        assert row["reorder_point"] is None
    assert rows[str(SHORT)]["on_hand"] == 10.0, "a branch below zero has none, and takes none from the others"
    assert night.reports["north"].reasons == {
        **{"below_reorder_point": 3, "enough_stock": 1},
        **{"no_price": 1, "no_stock": 1},
    }


def test_rank_goes_by_the_margin_that_is_saved(night: Night) -> None:
    rows = sorted(proposals(night.reports["north"]).values(), key=lambda row: row["rank"])
    saved = [row["lost_margin_avoided"] for row in rows if row["lost_margin_avoided"] is not None]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert saved == sorted(saved, reverse=True)


def test_the_report_tells_it_in_a_sentence_and_a_table(night: Night) -> None:
    report = night.reports["north"]
    assert "north: 3 of 6 items to order" in report.told
    assert "(no limit)" in report.told, "less than a year of sales: no plan, no open-to-buy"
    assert "units a week by" in report.told
    assert [row["tenant"] for row in report.top(2)] == ["north", "north"]
    assert report.method is not None
    assert report.baseline is not None
    assert report.method.wape <= report.baseline.wape


def test_running_again_gives_the_same_rows(night: Night) -> None:
    again = propose_orders(opened(night.lake), as_of=AS_OF, spec=SPEC)
    assert again.tables == night.reports["north"].tables


def changed(tmp_path: Path, **tables: Any) -> Session:
    """North with other rows of some tables."""
    return opened(publish(tmp_path, {"north": shelves("north") | tables}))


def test_open_to_buy_limits_the_orders_of_who_has_a_year_to_plan_by(tmp_path: Path) -> None:
    grown = [{**row, "first_sold_on": LAST - timedelta(days=400)} for row in shelves("north")["dim_articles"]]
    report = propose_orders(changed(tmp_path, dim_articles=grown), as_of=AS_OF, spec=SPEC)
    rows = proposals(report)
    assert report.budget == 60.0
    assert sum(row["order_value"] for row in rows.values()) <= 60
    assert {row["budget"] for row in rows.values()} == {60}
    assert {"budget_cut", "budget_spent"} & {row["reason"] for row in rows.values()}


def test_old_sales_are_planned_from_their_last_day(tmp_path: Path) -> None:
    shop = shelves("north")
    grown = [{**row, "first_sold_on": LAST - timedelta(days=400)} for row in shop["dim_articles"]]
    later = [{**row, "month_start": date(2025, month, 1)} for row in shop["mart_open_to_buy"] for month in (6, 8, 9)]
    session = changed(tmp_path, dim_articles=grown, mart_open_to_buy=later)
    now, much_later = (propose_orders(session, as_of=at, spec=SPEC) for at in (AS_OF, AS_OF + timedelta(days=400)))
    assert much_later.budget == now.budget == 60.0
    assert much_later.tables == now.tables


def test_without_stock_nothing_is_ordered(tmp_path: Path) -> None:
    report = propose_orders(changed(tmp_path, mart_inventory_status=[]), as_of=AS_OF, spec=SPEC)
    assert report.reasons == {"no_stock": 6}
    assert (report.ordered, report.order_value) == (0, 0.0)


@pytest.mark.parametrize("days", [0, 30], ids=["nothing sold", "a month"])
def test_too_little_history_is_told_and_is_no_error(tmp_path: Path, days: int) -> None:
    young = [row for row in sold("north") if row["sold_on"] > LAST - timedelta(days=days)]
    report = propose_orders(changed(tmp_path, fct_sale_lines=young), as_of=AS_OF, spec=SPEC)
    assert "expected" in report.skipped
    assert report.ordered == 0
    assert set(report.reasons) <= {"no_forecast", "no_price", "no_stock"}
    assert report.tables["unit_forecasts"].num_rows == 0


def test_an_empty_shop_has_no_proposals(tmp_path: Path) -> None:
    report = propose_orders(changed(tmp_path, mart_product_performance=[]), as_of=AS_OF, spec=SPEC)
    assert report.tables["reorder_proposals"].num_rows == 0
    assert "0 of 0 items" in report.told


def test_the_articles_that_earn_most_are_chosen_and_the_rest_is_told(night: Night) -> None:
    few = SPEC.model_copy(update={"selection": SPEC.selection.model_copy(update={"articles": 1})})
    report = propose_orders(opened(night.lake), as_of=AS_OF, spec=few)
    assert {row["article_number"] for row in proposals(report).values()} == {BASE["north"] + STEADY}
    assert report.left_out == 4
    assert report.share == pytest.approx(999 / (999 + 998 + 997 + 996 + 994))


def test_as_of_needs_a_time_zone(night: Night) -> None:
    with pytest.raises(ModelError, match="with a time zone"):
        propose_orders(opened(night.lake), as_of=AS_OF.replace(tzinfo=None), spec=SPEC)


class TestDelay:
    def test_two_weeks_late_costs_more_than_one(self, night: Night) -> None:
        session = opened(night.lake)
        one, two = (delay(session, "S1", days=days, settings=SPEC.stock) for days in (7, 14))
        assert (two.supplier_number, two.supplier, two.cutoff) == (1_001, "S1", LAST)
        assert two.delay.items == 2, "the steady one in both branches, not what lacks a price"
        assert 0 < one.delay.lost_margin.mean < two.delay.lost_margin.mean
        for told in (one.delay, two.delay):
            assert told.late.order_quantity > told.on_time.order_quantity
            assert told.lost_margin.lo80 <= told.lost_margin.mean <= told.lost_margin.hi80
            assert told.lost_margin.mean == pytest.approx(told.late.lost_margin - told.on_time.lost_margin)
            assert told.stockout_risk.mean == pytest.approx(told.late.stockout_risk - told.on_time.stockout_risk)

    def test_orders_on_time_are_the_proposals(self, night: Night) -> None:
        told = delay(opened(night.lake), str(BASE["north"] + 1), days=14, settings=SPEC.stock).delay
        rows = [row for row in proposals(night.reports["north"]).values() if row["supplier_number"] == 1_001]
        assert told.on_time.order_quantity == sum(row["wanted_quantity"] for row in rows)
        assert told.on_time.order_value == pytest.approx(float(sum(row["order_value"] for row in rows)))

    @pytest.mark.parametrize(
        ("supplier", "days", "message"),
        [
            ("S1", 0, "a delay of 0 days: expected 1 to 90"),
            ("S1", 91, "expected 1 to 90"),
            ("S9", 14, "no supplier 'S9'; close to it: 1000 S0, 1001 S1, 1005 S5"),
            ("2001", 14, "no supplier '2001'"),
            ("S5", 14, "nothing of supplier 1005 S5 has sold lately"),
        ],
    )
    def test_what_cannot_be_asked(self, night: Night, supplier: str, days: int, message: str) -> None:
        with pytest.raises(BadRequest, match=message):
            delay(opened(night.lake), supplier, days=days)

    def test_a_release_without_proposals(self, tmp_path: Path) -> None:
        with pytest.raises(NoChampion, match="run `mercurios propose` first"):
            delay(changed(tmp_path), "S1", days=14)


def test_the_specification_that_is_delivered_is_sound() -> None:
    assert load_spec(ROOT / "models").forecast.grain is load_spec().stock.grain


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("selection: []", "selection"),
        (QUICK.replace("pack_size: 1", "pack_size: 0"), "pack_size"),
        (QUICK.replace("default_lead_days: 7", "default_lead_days: 7, grain: day"), "expected one grain"),
        ("a: [", "the specification of order proposals is wrong"),
    ],
)
def test_a_wrong_specification_names_the_field(wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReplenishmentSpec.parse(wrong)


def test_a_missing_specification_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is none"):
        load_spec(tmp_path)
