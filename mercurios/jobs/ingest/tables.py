"""The tables that ingest fills: one per entity, the daily stock, and what is set up about each tenant.

ENTITY_TABLES["sale"].name     # 'raw.prohandel_sale'
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl
import pyarrow as pa

from mercurios.jobs.ingest.ledgers import LEDGERS
from mercurios.jobs.keep_forecasts import KEPT_FORECASTS
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.warehouse import TableSpec, raw_table, table_spec

TENANTS = table_spec(
    "raw.tenants", "", {name: pa.string() for name in ("name", "currency", "time_zone", "locale", "calendar")}
)
TENANT_VAT_RATES = table_spec("raw.tenant_vat_rates", "tax_number", {"tax_number": pa.int64(), "rate": pa.float64()})
STOCK_DAILY = table_spec(
    "raw.prohandel_stock_daily",
    "snapshot_on number branch_number",
    {
        "snapshot_on": pa.date32(),
        "number": pa.int64(),
        "article_number": pa.int64(),
        "branch_number": pa.int64(),
        "stock_quantity": pa.float64(),
        "purchase_price": pa.float64(),
        "sale_price": pa.float64(),
    },
)
_ARROW: Mapping[pl.DataType, pa.DataType] = {
    pl.String(): pa.string(),
    pl.Int64(): pa.int64(),
    pl.Float64(): pa.float64(),
    pl.Boolean(): pa.bool_(),
    pl.Datetime("us"): pa.timestamp("us"),
}


def entity_table(contract: Contract) -> TableSpec:
    """The raw table of an entity, `raw.prohandel_<entity>`: one row per tenant and id."""
    columns = {field.column: _ARROW[field.kind.dtype] for field in contract.kept}
    return raw_table(f"raw.prohandel_{contract.entity}", " ".join(contract.key), columns)


ENTITY_TABLES: Mapping[str, TableSpec] = MappingProxyType(
    {entity: entity_table(contract) for entity, contract in CONTRACTS.items()}
)
RAW_TABLES = (*ENTITY_TABLES.values(), STOCK_DAILY, TENANTS, TENANT_VAT_RATES, KEPT_FORECASTS)
"""All that dbt reads, beside ops.batches; ingest makes the last one and leaves its rows to retraining."""
INGEST_TABLES = (*RAW_TABLES, *LEDGERS)
"""All tables that ingest writes, beside ops.batches and ops.quarantine."""
