"""Tables: what arrives at the destination, one table per entity and one for what broke its contract.

    schema(("sale",))     # [{'table': 'sale', 'primary_key': ['id'], 'columns': {'id': 'STRING', …}}, …]

Every column is declared, so that one that has only nulls is there too. Money is DOUBLE, as ProHandel sends it: a
DECIMAL would claim digits that the source does not promise, and models round to cents anyway. Times are NAIVE_DATETIME,
in the merchant's local time: the zone is not ProHandel's to tell. A quarantined record is text, as it may be no JSON
that a destination takes; a row of it stays when the record is sound again.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.conversion import VARIANT

QUARANTINE = "mercurios_quarantine"
QUARANTINE_KEY = ("entity", "record_hash")
_QUARANTINE: Mapping[str, str] = {
    "entity": "STRING",
    "record_hash": "STRING",
    "record_id": "STRING",
    "day": "NAIVE_DATE",
    "record": "STRING",
    "reasons": "JSON",
}
_TYPES: Mapping[pl.DataType, str] = {
    pl.String(): "STRING",
    pl.Int64(): "LONG",
    pl.Float64(): "DOUBLE",
    pl.Boolean(): "BOOLEAN",
    pl.Datetime("us"): "NAIVE_DATETIME",
}


def columns(contract: Contract) -> dict[str, str]:
    """Connector SDK type by column; what the contract does not name is in `_variant`."""
    types = {field.column: "JSON" if field.of else _TYPES[field.kind.dtype] for field in contract.kept}
    return {**types, VARIANT: "JSON"}


def json_columns(table: str) -> frozenset[str]:
    """Columns whose values are JSON, kept as text until they are handed over."""
    return frozenset(name for name, kind in _declared(table).items() if kind == "JSON")


def keys(entities: Iterable[str]) -> dict[str, list[str]]:
    """Primary key by table."""
    return {**{entity: list(CONTRACTS[entity].key) for entity in entities}, QUARANTINE: list(QUARANTINE_KEY)}


def schema(entities: Iterable[str]) -> list[dict[str, object]]:
    """Tables as the Connector SDK wants them declared."""
    return [{"table": table, "primary_key": key, "columns": _declared(table)} for table, key in keys(entities).items()]


def _declared(table: str) -> dict[str, str]:
    return dict(_QUARANTINE) if table == QUARANTINE else columns(CONTRACTS[table])
