"""Two merchants small enough to reckon by hand, as ingest leaves them in the warehouse.

    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse)

Both use the same branch, article, customer and receipt numbers, so that a join without the tenant shows. North is in
Berlin and pays 19 % and 7 % VAT, south is in New York and pays none. What it all adds up to is written in
the tests.
"""

from collections.abc import Mapping
from datetime import date, datetime

import pyarrow as pa

from mercurios.jobs.ingest import RAW_TABLES
from mercurios.warehouse import Warehouse

Row = Mapping[str, object]

COAT, BOOK, FUEL, GONE = 100, 200, 300, 999
NOVEMBER_3, NOVEMBER_30, DECEMBER_1 = date(2025, 11, 3), date(2025, 11, 30), date(2025, 12, 1)
_DEFAULTS = {"is_deleted": False, "last_change": datetime(2025, 10, 1), "_batch_id": "b1", "_row_hash": "h"}
_DEFAULTS |= {"_extracted_at": datetime(2026, 1, 2, 6), "type": 0, "is_service_category": False}


def sale(key: str, on: date, receipt: int, goods: tuple[int, float, float], **more: object) -> Row:
    """One line of branch 1 and register 1 at 12:00; goods are article, quantity and the line's price, gross."""
    article, quantity, price = goods
    line = {"id": key, "date": datetime(on.year, on.month, on.day), "time": 43_200, "branch_number": 1}
    line |= {"cash_register_number": 1, "receipt_number": receipt, "article_number": article, "quantity": quantity}
    line |= {"sale_price": price, "label_price": price / quantity, "discount": 0.0, "deduction": 0.0}
    return line | {"purchase_price": price / 2, "customer_number": 0} | more


def stock(on: date, size: int, branch: int, quantity: float, cost: float) -> Row:
    """One size of the coat on one day."""
    return {"snapshot_on": on, "number": size, "article_number": COAT, "branch_number": branch} | {
        "stock_quantity": quantity,
        "purchase_price": cost,
        "sale_price": 2 * cost,
    }


def category(number: int, name: str, main: int, tax: int, *, is_service: bool = False) -> Row:
    """One Warengruppe."""
    return {"id": f"c{number}", "number": number, "name": name, "main_category_number": main} | {
        "tax_number": tax,
        "is_service_category": is_service,
    }


def article(number: int, category_number: int, product_type: str) -> Row:
    """One master record."""
    return {"id": f"a{number}", "number": number, "category_number": category_number, "text1": product_type}


def promotion(key: str, first: date, last: date, **more: object) -> Row:
    """A mailer of the jackets or tools."""
    days = {
        "first_day": datetime(first.year, first.month, first.day),
        "last_day": datetime(last.year, last.month, last.day),
    }
    return {"id": key, "kind": "Mailer", "category_number": 11, **days} | more


def factor(key: str, name: str, on: date, value: float, **more: object) -> Row:
    """What the outside world is like on a day; always known unless said."""
    return {"id": key, "factor": name, "day": datetime(on.year, on.month, on.day), "value": value} | more


def forecast(level: str, key: str, ds: date, mean: float) -> Row:
    """What a champion said on the Sunday before, and that it is 80 % sure to be within 10."""
    row = {"level": level, "key": key, "ds": ds, "cutoff": date(2025, 11, 2), "role": "champion", "model": "AutoETS"}
    return row | {"model_version": "1", "release": "r000001", "mean": mean, "lo80": mean - 10, "hi80": mean + 10}


NORTH: Mapping[str, list[Row]] = {
    "tenants": [
        {"name": "North", "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de", "calendar": "DE-BE"},
    ],
    "tenant_vat_rates": [{"tax_number": 1, "rate": 0.19}, {"tax_number": 2, "rate": 0.07}],
    "prohandel_branch": [
        {"id": "b1", "number": 1, "name1": "Mitte", "is_active": True},
        {"id": "b2", "number": 2, "name1": "", "is_active": None},
    ],
    "prohandel_category": [
        category(10, "MODE", 10, 1),
        category(11, "JACKEN", 10, 1),
        category(20, "BUCH", 20, 2),
        category(30, "KRAFTSTOFF", 30, 1, is_service=True),
    ],
    "prohandel_article": [article(COAT, 11, "Parka"), article(BOOK, 20, ""), article(FUEL, 30, "Diesel")],
    "prohandel_customer": [{"id": "k7", "number": 7}, {"id": "k8", "number": 8}, {"id": "k9", "number": 9}],
    "prohandel_sale": [
        sale("n1", NOVEMBER_3, 1_000_001, (COAT, 2, 238.0), label_price=149.5, discount=61.0, purchase_price=80.0)
        | {"customer_number": 7},
        sale("n2", NOVEMBER_3, 1_000_001, (BOOK, 1, 10.7), purchase_price=6.0, customer_number=7),
        sale("n3", NOVEMBER_30, 1_000_002, (FUEL, 9000, 25.0), label_price=0.0, purchase_price=20.0, time=86_340),
        sale("n4", DECEMBER_1, 1_000_001, (GONE, 1, 5.0), purchase_price=2.0, customer_number=8, branch_number=2),
        sale("n5", DECEMBER_1, 1_000_002, (COAT, -1, -119.0), label_price=149.5, discount=-30.5, purchase_price=-40.0)
        | {"customer_number": 7, "branch_number": 2, "type": 1},
        sale("n6", DECEMBER_1, 1_000_003, (COAT, 1, 1000.0), is_deleted=True, _deleted_at=datetime(2026, 1, 2, 6)),
    ],
    "prohandel_stock_daily": [
        stock(DECEMBER_1, 1001, 1, 10, 40.0),
        stock(date(2025, 12, 2), 1001, 1, 8, 40.0),
        stock(date(2025, 12, 2), 1002, 1, 1, 41.5),
        stock(date(2025, 12, 2), 1001, 2, 2, 40.0),
    ],
    "prohandel_promotion": [
        promotion("m1", DECEMBER_1, date(2025, 12, 9), share=0.5, discount=0.2),
        promotion("m2", DECEMBER_1, date(2025, 12, 7), _deleted_at=datetime(2026, 1, 2, 6)),
        promotion("m3", date(2026, 2, 2), date(2026, 2, 8), kind="price", article_number=COAT, branch_number=2),
        promotion("m4", date(2026, 2, 2), date(2026, 2, 8), category_number=99),
    ],
    "prohandel_factor": [
        factor("w1", "Rain", DECEMBER_1, 4.0, known_on=datetime(2025, 11, 28)),
        factor("w2", "Rain", DECEMBER_1, 9.5, known_on=datetime(2025, 12, 2)),
        factor("b1", "school break", date(2025, 12, 24), 1.0),
        factor("b2", "school break", date(2025, 12, 25), 1.0, _deleted_at=datetime(2026, 1, 2, 6)),
    ],
    "ops.kept_forecasts": [
        forecast("branch", "1", NOVEMBER_3, 250.0),
        forecast("branch", "1", DECEMBER_1, 250.0),
        forecast("branch", "1", date(2025, 11, 4), 250.0),
        forecast("category", "JACKEN", NOVEMBER_3, 240.0),
    ],
}
SOUTH: Mapping[str, list[Row]] = {
    "tenants": [
        {"name": "South", "currency": "USD", "time_zone": "America/New_York", "locale": "en", "calendar": "US"},
    ],
    "tenant_vat_rates": [{"tax_number": 1, "rate": 0.0}],
    "prohandel_branch": [{"id": "b1", "number": 1, "name1": "Main Street", "is_active": True}],
    "prohandel_category": [category(11, "TOOLS", 11, 1)],
    "prohandel_article": [article(COAT, 11, "Hammer")],
    "prohandel_customer": [],
    "prohandel_sale": [sale("s1", NOVEMBER_3, 1_000_001, (COAT, 3, 30.0), purchase_price=12.0, customer_number=7)],
    "prohandel_stock_daily": [stock(DECEMBER_1, 1001, 1, 5, 4.0)],
    "prohandel_promotion": [promotion("m1", NOVEMBER_3, date(2025, 11, 9), category_number=0, discount=1.5)],
    "prohandel_factor": [factor("w1", "rain", DECEMBER_1, 0.0)],
    "ops.kept_forecasts": [forecast("branch", "1", NOVEMBER_3, 28.0)],
}
MERCHANTS = {"north": NORTH, "south": SOUTH}


def fill(warehouse: Warehouse, merchants: Mapping[str, Mapping[str, list[Row]]] = MERCHANTS) -> None:
    """Make all raw tables and put the merchants' rows into them; columns that a row does not name are null."""
    warehouse.ensure(*RAW_TABLES)
    for table in RAW_TABLES:
        columns = table.own_columns
        for tenant_id, tables in merchants.items():
            rows = [
                {name: row.get(name, _DEFAULTS.get(name)) for name in columns.names}
                for row in tables.get(table.name.removeprefix("raw."), [])
            ]
            warehouse.replace(table, tenant_id, pa.Table.from_pylist(rows, schema=columns))
