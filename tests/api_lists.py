"""Rows behind the lists of the API, for `tests.api_world`: each merchant's own, told apart by a word and a mark."""

from datetime import date
from decimal import Decimal
from typing import Any

AS_OF_ON = date(2017, 12, 2)
RULES = (
    ("order_without_day", "note", "order", 9, 3),
    ("article_without_category", "warning", "article", 10, 1),
    ("sale_without_cost", "warning", "sale", 100, 5),
    ("day_in_future", "error", "sale", 100, 1),
    ("stock_negative", "note", "stock", 0, 0),
)


def rows_of_lists(word: str, mark: int) -> dict[str, list[dict[str, Any]]]:
    """The merchant's rows of the tables that lists, segments and data quality are read from, short of `tenant_id`."""
    article, customer, supplier = mark * 100_000 + 1, mark * 1_000 + 1, mark * 10_000 + 1
    place = {"category": f"{word} bakery", "department": f"{word} grocery", "supplier": f"{word} mill"}
    return {
        "dim_categories": [
            {"category_number": mark * 10, "name": f"{word} grocery", "department": f"{word} grocery", "depth": 1},
            {"category_number": mark * 10 + 1, "name": f"{word} bakery", "department": f"{word} grocery", "depth": 2}
            | {"parent_number": mark * 10, "path": f"{word} grocery > {word} bakery", "vat_rate": 0.07},
        ],
        "mart_product_performance": [
            {"article_number": article, "as_of_on": AS_OF_ON, "abc": "A", "xyz": "Z", "units_28d": mark * 1.0}
            | {"revenue_364d": Decimal(mark * 1_000), "gross_margin_364d": 0.25, "stock_value": Decimal(mark * 1_000)}
        ],
        "mart_inventory_status": [
            place
            | {"branch": mark * 100 + 1, "article_number": article + n, "snapshot_on": AS_OF_ON, "stockout_risk": risk}
            | {"stock_units": mark * n * 1.0, "days_of_supply": n * 7.0, "is_listed": True}
            | {"stock_value": Decimal(mark * 1_000)}
            for n, risk in enumerate(("out", "critical", "none"))
        ],
        "mart_customer_segments": [
            {"customer_number": customer + n, "segment": segment, "as_of_on": AS_OF_ON, "receipts": n + 1}
            | {"recency_days": n * 10, "revenue": Decimal(mark * 1_000 * (n + 1)), "recency_quintile": 5 - n}
            for n, segment in enumerate(("Champions", "At Risk"))
        ],
        "mart_supplier_performance": [
            {"supplier_number": supplier, "supplier": f"{word} mill", "as_of_on": AS_OF_ON, "orders": mark * 100}
            | {"fill_rate": 0.5, "open_value": Decimal(mark * 1_000), "revenue_364d": Decimal(mark * 1_000)}
        ],
        "mart_data_quality": [
            {"rule": rule, "severity": severity, "entity": entity, "checked": checked, "breaches": breaches}
            | {"statement": f"{word} rule", "fallback": f"{word} fallback", "remedy": f"{word} remedy"}
            | {"share": breaches / checked if checked else None}
            | {"example": f"{word} record: wrong" if breaches else None}
            for rule, severity, entity, checked, breaches in RULES
        ],
    }
