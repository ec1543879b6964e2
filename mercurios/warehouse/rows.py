"""Rows on their way into a raw table: whose they are, which batch brought them, and a hash of what they say.

stamped(batch, rows, first=0)
"""

import json
from datetime import UTC
from hashlib import blake2b

import polars as pl
import pyarrow as pa

from mercurios.warehouse import BATCH_ID, EXTRACTED_AT, QUARANTINE, ROW_HASH, SEQUENCE, Batch, Rejected

_BETWEEN, _NULL = "\x1f", "\x00"


def stamped(batch: Batch, rows: pa.Table, first: int) -> pa.Table:
    """Add tenant, batch, extraction time, row hash and place in the batch (counting from `first`)."""
    frame = pl.DataFrame(rows)
    whole = frame.select(
        pl.lit(batch.tenant_id).alias("tenant_id"),
        pl.all(),
        pl.lit(batch.batch_id).alias(BATCH_ID),
        pl.lit(batch.started_at.astimezone(UTC).replace(tzinfo=None)).dt.cast_time_unit("us").alias(EXTRACTED_AT),
        row_hashes(frame),
        pl.int_range(first, first + frame.height, dtype=pl.Int64).alias(SEQUENCE),
    )
    return whole.to_arrow()


def row_hashes(frame: pl.DataFrame) -> pl.Series:
    """128-bit hash of every row, as 32 hex digits; equal on every machine and for every warehouse."""
    texts = [pl.col(name).to_physical().cast(pl.String).fill_null(_NULL) for name in frame.columns]
    lines = frame.select(pl.concat_str(texts, separator=_BETWEEN)).to_series()
    digests = [blake2b(line.encode(), digest_size=16).hexdigest() for line in lines.to_list()]
    return pl.Series(ROW_HASH, digests, dtype=pl.String)


def quarantine_rows(batch: Batch, records: list[Rejected]) -> pa.Table:
    """Rejected records as rows of ops.quarantine."""
    at = batch.started_at.astimezone(UTC).replace(tzinfo=None)
    return pa.Table.from_pylist(
        [
            {
                "tenant_id": batch.tenant_id,
                "batch_id": batch.batch_id,
                "entity": batch.entity,
                "record": rejected.record,
                "reasons": json.dumps(rejected.reasons, ensure_ascii=False),
                "quarantined_at": at,
            }
            for rejected in records
        ],
        schema=QUARANTINE.columns,
    )
