"""What ingest remembers beside the rows, committed with them: cursors, drift, files that were read.

warehouse.rows(CURSORS, "north")
"""

import pyarrow as pa

from mercurios.warehouse import MOMENT, table_spec

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
