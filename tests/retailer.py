"""Two tiny retailers as the marts would show them, for metrics to be reckoned by hand.

    sessions = {tenant: session_of(tenant) for tenant in RETAILERS}

The last day on record is Wednesday, 10 December 2025. Columns that a row does not name are null. Both have the same
branches, articles and days, so that a figure of the other one shows.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa

from mercurios.serving import Session
from mercurios.tables import MARTS, TABLES

Row = Mapping[str, Any]
AS_OF = date(2025, 12, 10)


def line(key: str, on: date, receipt: str, goods: tuple[str, float], money: tuple[float, ...], **more: object) -> Row:
    """A receipt line; money is gross, net, label value and cost."""
    category, quantity = goods
    gross, net, label, cost = money
    return {
        "sale_line_id": key,
        "receipt_id": receipt,
        "sold_on": on,
        "branch": 1,
        "category": category,
        "department": "MODE",
        "product_type": category.title(),
        "supplier": "Alpha",
        "season": "W25",
        "is_merchandise": True,
        "is_return": quantity < 0,
        "quantity": quantity,
        "gross_amount": gross,
        "net_amount": net,
        "label_amount": label,
        "labelled_gross_amount": gross if label else 0,
        "cost_amount": cost,
    } | more


def day(on: date, branch: int, revenue: float, comparable: tuple[float, float] = (0, 0)) -> Row:
    """A row of mart_branch_performance; comparable is the revenue that is, and that of last year."""
    row = {"sold_on": on, "branch": branch, "revenue": revenue}
    return row | dict(zip(("comparable_revenue", "comparable_revenue_last_year"), comparable, strict=True))


def stock(on: date, branch: int, category: str, amounts: tuple[float, float], season: str = "W25") -> Row:
    """A row of fct_stock_daily; amounts are pieces and value."""
    place = {"snapshot_on": on, "branch": branch, "article_number": 100, "category": category, "department": "MODE"}
    return place | {"season": season} | dict(zip(("quantity", "stock_value"), amounts, strict=True))


def position(branch: int, category: str, units: float, value: float, **more: object) -> Row:
    """A row of mart_inventory_status: listed, without any problem, unless it says so."""
    place = {"branch": branch, "article_number": 100, "category": category, "department": "MODE"}
    place |= {"as_of_on": AS_OF, "snapshot_on": AS_OF, "season": "W25", "supplier": "Alpha"}
    amounts = {"stock_units": units, "stock_value": value, "daily_units": 0.0, "cost_364d": 0}
    amounts |= {"average_stock_value": None, "gross_profit_364d": 0, "days_covered": 365}
    problems = {"is_out_of_stock": False, "has_size_gap": False, "stockout_risk": "none"}
    values = {"old_stock_value": 0, "excess_stock_value": 0, "is_listed": True}
    return place | amounts | problems | values | more


def article(number: int, category: str, classes: tuple[str | None, ...], amounts: tuple[float, ...]) -> Row:
    """A row of mart_product_performance; amounts are revenue and gross profit of 364 days, and pieces a day."""
    row = {"article_number": number, "category": category, "department": "MODE", "season": "W25", "as_of_on": AS_OF}
    row |= dict(zip(("abc", "xyz", "velocity"), classes, strict=True))
    return row | dict(zip(("revenue_364d", "gross_profit_364d", "daily_units"), amounts, strict=True))


def customer(number: int, segment: str, revenue: float) -> Row:
    """A row of mart_customer_segments."""
    return {"customer_number": number, "as_of_on": AS_OF, "segment": segment, "revenue": revenue}


def supplier(number: int, name: str, ordered: float, delivered: float, overdue: float) -> Row:
    """A row of mart_supplier_performance."""
    row = {"supplier_number": number, "supplier": name, "as_of_on": AS_OF, "ordered_units": ordered}
    return row | {"delivered_units": delivered, "overdue_units": overdue}


def month(start: date, category: str, amounts: tuple[float, ...]) -> Row:
    """A row of mart_open_to_buy; amounts are open-to-buy, planned sales and on order."""
    row = {"category": category, "department": "MODE", "month_start": start, "as_of_on": AS_OF}
    return row | dict(zip(("open_to_buy", "planned_sales", "on_order"), amounts, strict=True))


def week(start: date, category: str, amounts: tuple[float, ...]) -> Row:
    """A row of mart_wssi; amounts are opening stock, intake, sales and closing stock."""
    row = {"category": category, "department": "MODE", "week_start": start}
    return row | dict(zip(("opening_stock", "intake", "sales", "closing_stock"), amounts, strict=True))


NOVEMBER_11, NOVEMBER_28 = date(2025, 11, 11), date(2025, 11, 28)
_DAYS = [{"day": date(2024, 1, 1) + timedelta(days=number)} for number in range(731)]  # up to 31 December 2025
RETAILERS: Mapping[str, Mapping[str, list[Row]]] = {
    "north": {
        "dim_dates": _DAYS,
        "fct_sale_lines": [
            line("a", date(2024, 10, 15), "r1", ("JACKEN", 1), (119, 100, 119, 50), customer_number=7),
            line("b", date(2024, 11, 12), "r2", ("JACKEN", 2), (238, 200, 238, 100), customer_number=7),
            line("c", date(2024, 12, 11), "r3", ("HOSEN", 1), (59.5, 50, 59.5, 20), season="S24"),
            line("d", date(2025, 10, 14), "r4", ("JACKEN", 1), (119, 100, 149.5, 50), customer_number=7),
            line("e", NOVEMBER_11, "r5", ("JACKEN", 2), (238, 200, 299, 100), customer_number=7, staff_number=3),
            line("f", NOVEMBER_11, "r5", ("HOSEN", 1), (59.5, 50, 0, 20), customer_number=7, season="S24"),
            line("g", NOVEMBER_28, "r6", ("JACKEN", -1), (-119, -100, -149.5, -50), branch=2, customer_number=8),
            line("h", NOVEMBER_28, "r7", ("KRAFTSTOFF", 9000), (23.8, 20, 0, 18), branch=2, is_merchandise=False),
            line("i", AS_OF, "r8", ("HOSEN", 3), (178.5, 150, 178.5, 60), branch=2, season="S24"),
        ],
        "mart_branch_performance": [
            day(date(2024, 10, 15), 1, 119),
            day(date(2024, 11, 12), 1, 238),
            day(date(2024, 12, 11), 1, 59.5),
            day(date(2025, 10, 14), 1, 119),
            day(NOVEMBER_11, 1, 297.5, (297.5, 238)),
            day(NOVEMBER_28, 2, -95.2),
            day(AS_OF, 2, 178.5, (100, 200)),
        ],
        "fct_stock_daily": [
            stock(NOVEMBER_28, 1, "JACKEN", (5, 250)),
            stock(date(2025, 11, 30), 1, "JACKEN", (4, 200)),
            stock(date(2025, 11, 30), 2, "HOSEN", (2, 40), season="S24"),
            stock(date(2025, 11, 30), 2, "SCHALS", (-1, -10), season="S24"),
            stock(AS_OF, 1, "JACKEN", (1, 50)),
        ],
        "mart_inventory_status": [
            position(
                1, "JACKEN", 4, 200, daily_units=1.0, cost_364d=1000, average_stock_value=250, stockout_risk="critical"
            )
            | {"gross_profit_364d": 600, "has_size_gap": True},
            position(2, "HOSEN", 200, 4000, daily_units=1.0, cost_364d=500, average_stock_value=5000)
            | {"gross_profit_364d": 720, "excess_stock_value": 400, "has_size_gap": True},
            position(2, "JACKEN", 0, 0, daily_units=0.5, cost_364d=300, average_stock_value=50, stockout_risk="out")
            | {"gross_profit_364d": 300, "is_out_of_stock": True},
            position(1, "SCHALS", 10, 100, old_stock_value=100, season="S24", average_stock_value=120),
            position(1, "HOSEN", -2, -40, cost_364d=20, average_stock_value=-20, is_listed=False)
            | {"gross_profit_364d": 7},
        ],
        "mart_product_performance": [
            article(1, "JACKEN", ("A", "X", "medium"), (2000, 900, 1.5)),
            article(2, "HOSEN", ("B", "Y", "medium"), (800, 720, 1.0)),
            article(3, "SCHALS", ("C", None, "very slow"), (0, 0, 0.0)),
        ],
        "mart_customer_segments": [
            customer(7, "Champions", 500),
            customer(8, "Hibernating", 50.25),
            customer(9, "Champions", 100),
        ],
        "mart_supplier_performance": [supplier(1, "Alpha", 10, 8, 2), supplier(2, "Beta", 30, 24, 0)],
        "mart_open_to_buy": [
            month(date(2025, 12, 1), "JACKEN", (1000, 600, 50)),
            month(date(2026, 1, 1), "JACKEN", (-200, 300, 150)),
            month(date(2025, 12, 1), "HOSEN", (70.5, 40, 0)),
        ],
        "mart_wssi": [
            week(date(2025, 11, 17), "JACKEN", (300, 100, 150, 250)),
            week(date(2025, 11, 24), "JACKEN", (250, 50, 100, 200)),
            week(date(2025, 11, 17), "HOSEN", (60, 20, 20, 60)),
            week(date(2025, 11, 24), "HOSEN", (60, 0, 20, 40)),
            week(date(2025, 12, 1), "HOSEN", (40, 5, 15, 30)),
        ],
    },
    "south": {
        "dim_dates": _DAYS,
        "fct_sale_lines": [
            line("a", date(2024, 11, 12), "r1", ("HAMMER", 1), (10, 10, 10, 5)),
            line("b", date(2025, 10, 14), "r2", ("HAMMER", 2), (20, 20, 20, 10)),
            line("c", NOVEMBER_11, "r3", ("HAMMER", 3), (30, 30, 40, 12), customer_number=7),
        ],
        "mart_branch_performance": [
            day(date(2024, 11, 12), 1, 10),
            day(date(2025, 10, 14), 1, 20),
            day(NOVEMBER_11, 1, 30, (30, 10)),
        ],
        "fct_stock_daily": [stock(date(2025, 11, 30), 1, "HAMMER", (9, 36))],
        "mart_inventory_status": [
            position(1, "HAMMER", 9, 36, daily_units=0.5, cost_364d=100, average_stock_value=250, days_covered=73)
            | {"gross_profit_364d": 25}
        ],
        "mart_product_performance": [article(1, "HAMMER", ("A", "Z", "slow"), (50, 25, 0.5))],
        "mart_customer_segments": [customer(7, "Loyal", 30)],
        "mart_supplier_performance": [supplier(1, "Gamma", 4, 1, 3)],
        "mart_open_to_buy": [month(date(2025, 12, 1), "HAMMER", (5, 10, 15))],
        "mart_wssi": [week(date(2025, 11, 17), "HAMMER", (40, 8, 12, 36))],
    },
}


def session_of(tenant: str, retailers: Mapping[str, Mapping[str, list[Row]]] = RETAILERS) -> Session:
    """A session on every mart of one retailer; tables without rows are empty."""
    connection = duckdb.connect(":memory:")
    connection.execute("create schema marts")
    for name in MARTS:
        schema = TABLES[name].schema
        rows = [{"tenant_id": tenant} | row for row in retailers[tenant].get(name, [])]
        typed = [{field.name: _typed(row.get(field.name), field.type) for field in schema} for row in rows]
        connection.register("arriving", pa.Table.from_pylist(typed, schema=schema))
        connection.execute(f"create table marts.{name} as from arriving")
        connection.unregister("arriving")
    return Session(tenant, SimpleNamespace(id=f"release of {tenant}"), connection)  # type: ignore[arg-type]


def _typed(value: object, kind: pa.DataType) -> object:
    return Decimal(str(value)) if value is not None and pa.types.is_decimal(kind) else value
