"""The published tables: what a release holds, column by column.

    TABLES["fct_sale_lines"].schema.names

The marts in `dbt/` and the retrain job produce exactly these columns; the lake, the serving session and the readers
rely on them. Money is decimal in the tenant's currency, gross of VAT unless the name says net. Dates are the
tenant's local calendar; `_at` is UTC.
"""

from dataclasses import dataclass

import pyarrow as pa

MONEY = pa.decimal128(18, 2)
MONEY_FINE = pa.decimal128(18, 4)
UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Table:
    """One published table; `origin` is the verb that writes it, `key` is unique over all tenants."""

    name: str
    grain: str
    origin: str
    key: tuple[str, ...]
    schema: pa.Schema


def _table(name: str, grain: str, origin: str, key: str, columns: dict[str, pa.DataType]) -> Table:
    required = {"tenant_id", *key.split()}
    fields = [
        pa.field(column, kind, nullable=column not in required)
        for column, kind in {"tenant_id": pa.string(), **columns}.items()
    ]
    return Table(name, grain, origin, ("tenant_id", *key.split()), pa.schema(fields))


_ALL = (
    _table(
        "dim_tenants",
        "tenant",
        "transform",
        "",
        {"name": pa.string(), "currency": pa.string(), "time_zone": pa.string(), "locale": pa.string()},
    ),
    _table(
        "dim_branches",
        "tenant × branch",
        "transform",
        "branch",
        {"branch": pa.int64(), "name": pa.string(), "is_active": pa.bool_()},
    ),
    _table(
        "dim_articles",
        "tenant × article; also articles that were sold without a master record (category '(unknown)')",
        "transform",
        "article_number",
        {
            "article_number": pa.int64(),
            "label": pa.string(),
            "category_number": pa.int64(),
            "category": pa.string(),
            "department": pa.string(),
            "product_type": pa.string(),
            "is_merchandise": pa.bool_(),
        },
    ),
    _table(
        "dim_customers",
        "tenant × known customer (number other than 0); no personal data",
        "transform",
        "customer_number",
        {"customer_number": pa.int64(), "first_sold_on": pa.date32(), "last_sold_on": pa.date32()},
    ),
    _table(
        "fct_sale_lines",
        "tenant × receipt line; amounts are line amounts, signed",
        "transform",
        "sale_line_id",
        {
            "sale_line_id": pa.string(),
            "receipt_id": pa.string(),
            "sold_on": pa.date32(),
            "sold_at": UTC,
            "branch": pa.int64(),
            "article_number": pa.int64(),
            "customer_number": pa.int64(),
            "category": pa.string(),
            "department": pa.string(),
            "product_type": pa.string(),
            "is_merchandise": pa.bool_(),
            "is_return": pa.bool_(),
            "quantity": pa.float64(),
            "gross_amount": MONEY,
            "net_amount": MONEY_FINE,
            "label_amount": MONEY,
            "labelled_gross_amount": MONEY,
            "cost_amount": MONEY_FINE,
        },
    ),
    _table(
        "fct_stock_daily",
        "tenant × snapshot day × branch × article",
        "transform",
        "snapshot_on branch article_number",
        {
            "snapshot_on": pa.date32(),
            "branch": pa.int64(),
            "article_number": pa.int64(),
            "category": pa.string(),
            "department": pa.string(),
            "product_type": pa.string(),
            "quantity": pa.float64(),
            "stock_value": MONEY_FINE,
        },
    ),
    _table(
        "mart_sales_daily",
        "tenant × local day × branch × department × category",
        "transform",
        "sold_on branch department category",
        {
            "sold_on": pa.date32(),
            "branch": pa.int64(),
            "department": pa.string(),
            "category": pa.string(),
            "lines": pa.int64(),
            "units": pa.float64(),
            "revenue": MONEY,
            "net_revenue": MONEY_FINE,
            "cost": MONEY_FINE,
        },
    ),
    _table(
        "forecasts",
        "tenant × level × key × date; money in the tenant's currency, gross",
        "retrain",
        "level key ds",
        {
            "level": pa.string(),
            "key": pa.string(),
            "ds": pa.date32(),
            "mean": pa.float64(),
            "lo80": pa.float64(),
            "hi80": pa.float64(),
            "lo95": pa.float64(),
            "hi95": pa.float64(),
            "model": pa.string(),
            "model_version": pa.string(),
            "cutoff": pa.date32(),
        },
    ),
    _table(
        "recommendations",
        "tenant × known customer × rank",
        "retrain",
        "customer_number rank",
        {
            "customer_number": pa.int64(),
            "rank": pa.int64(),
            "article_number": pa.int64(),
            "score": pa.float64(),
            "reason": pa.string(),
            "model": pa.string(),
            "model_version": pa.string(),
        },
    ),
)

TABLES = {table.name: table for table in _ALL}
MARTS = tuple(table.name for table in _ALL if table.origin == "transform")
PREDICTIONS = tuple(table.name for table in _ALL if table.origin == "retrain")
