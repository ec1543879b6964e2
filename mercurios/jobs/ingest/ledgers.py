"""What ingest remembers beside the rows, committed with them: cursors, drift, files that were read.

warehouse.rows(CURSORS, "north")
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import polars as pl
import pyarrow as pa

from mercurios.sources.drift import Drift
from mercurios.sources.windows import Cursor
from mercurios.warehouse import MOMENT, TableSpec, Warehouse, table_spec, utc

CURSORS = table_spec(
    "ops.cursors",
    "entity",
    {
        "entity": pa.string(),
        "batch_id": pa.string(),
        "changed_to": MOMENT,
        "closed_until": pa.date32(),
        "complete_at": MOMENT,
        "fields": pa.string(),
    },
)
"""How far a tenant's entity has been read, in local time (see `mercurios.sources.windows`).

fields: JSON array of the field names that the newest batch carried.
"""
DRIFT = table_spec(
    "ops.drift",
    "batch_id entity field change",
    {
        "batch_id": pa.string(),
        "entity": pa.string(),
        "field": pa.string(),
        "change": pa.string(),
        "severity": pa.string(),
        "detail": pa.string(),
        "noticed_at": MOMENT,
    },
)
"""One row per field that a batch met differently from what its contract or the batch before says."""
FILES = table_spec(
    "ops.files",
    "entity origin",
    {"entity": pa.string(), "origin": pa.string(), "batch_id": pa.string(), "read_at": MOMENT},
)
"""One row per file that was read; origin is `name sha256:digest`."""
LEDGERS = (CURSORS, DRIFT, FILES)


def rows_of(table: TableSpec, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Rows of a declared table, without tenant_id."""
    return pl.DataFrame(rows, pl.Schema(table.own_columns)).to_arrow()


def stored_cursor(warehouse: Warehouse, tenant_id: str, entity: str) -> tuple[Cursor | None, frozenset[str] | None]:
    """How far a tenant's entity has been read, and the fields its newest batch carried; None before the first."""
    for row in warehouse.rows(CURSORS, tenant_id).to_pylist():
        if row["entity"] == entity:
            cursor = Cursor(row["changed_to"], row["closed_until"], row["complete_at"])
            return cursor, frozenset(json.loads(row["fields"]))
    return None, None


def cursor_row(entity: str, batch_id: str, cursor: Cursor, fields: Collection[str]) -> pa.Table:
    """One row of ops.cursors."""
    return rows_of(
        CURSORS, [{"entity": entity, "batch_id": batch_id, **asdict(cursor), "fields": json.dumps(sorted(fields))}]
    )


def drift_rows(batch_id: str, drifts: Sequence[Drift], noticed_at: datetime) -> pa.Table:
    """One row of ops.drift for each."""
    shared = {"batch_id": batch_id, "noticed_at": utc(noticed_at)}
    return rows_of(DRIFT, [{**asdict(drift), **shared} for drift in drifts])


def file_rows(entity: str, batch_id: str, origins: Collection[str], read_at: datetime) -> pa.Table:
    """One row of ops.files for each."""
    shared = {"entity": entity, "batch_id": batch_id, "read_at": utc(read_at)}
    return rows_of(FILES, [{**shared, "origin": origin} for origin in sorted(origins)])
