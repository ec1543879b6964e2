"""Rows on their way into a warehouse: whose they are, which batch brought them, and hashes of key and content.

stamped(batch, frame, first=0)
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa

from mercurios.errors import WarehouseError
from mercurios.warehouse import (
    BATCH_ID,
    DELETED_AT,
    EXTRACTED_AT,
    KEY_HASH,
    QUARANTINE,
    ROW_HASH,
    SEQUENCE,
    VARIANT,
    Batch,
    Rejected,
    TableSpec,
)

CHUNK_ROWS = 10_000
"""Rows that travel at a time: some 4 MB of sale lines."""
_META = {"tenant_id", VARIANT, BATCH_ID, EXTRACTED_AT, ROW_HASH, KEY_HASH, DELETED_AT}
_BETWEEN, _NULL = "\x1f", "\x00"
_ROW, _KEY = blake2b(digest_size=16), blake2b(digest_size=8)  # a copy costs a third of a new one


def utc(moment: datetime) -> datetime:
    """A moment as warehouses store it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def gathered(table: TableSpec, chunks: Iterable[pa.Table]) -> Iterator[pl.DataFrame]:
    """Chunks of any size as frames of some CHUNK_ROWS, with the columns that a batch brings, in the table's order."""
    names = [name for name in table.columns.names if name not in _META] + [VARIANT]
    schema = pl.Schema(pa.schema([table.columns.field(name) for name in names]))
    waiting, rows = [], 0
    for chunk in chunks:
        for piece in _as_declared(table, schema, chunk).iter_slices(CHUNK_ROWS):
            waiting.append(piece)
            rows += piece.height
            if rows >= CHUNK_ROWS:
                yield pl.concat(waiting)
                waiting, rows = [], 0
    if rows:
        yield pl.concat(waiting)


def stamped(batch: Batch, frame: pl.DataFrame, first: int) -> pa.Table:
    """Add tenant, batch, times, hashes and place in the batch (counting from `first`)."""
    extracted_at = pl.lit(utc(batch.started_at)).dt.cast_time_unit("us")
    deleted = pl.col(batch.deleted_column) if batch.deleted_column else pl.lit(False)
    whole = frame.select(
        pl.lit(batch.tenant_id).alias("tenant_id"),
        pl.all(),
        pl.lit(batch.batch_id).alias(BATCH_ID),
        extracted_at.alias(EXTRACTED_AT),
        pl.when(deleted).then(extracted_at).alias(DELETED_AT),
        pl.int_range(first, first + frame.height, dtype=pl.Int64).alias(SEQUENCE),
    )
    return whole.with_columns(row_hashes(frame), key_hashes(whole, batch.table.key)).to_arrow()


def row_hashes(frame: pl.DataFrame) -> pl.Series:
    """128-bit hash of every row, as 32 hex digits; equal on every machine and for every warehouse.

    A row without _variant has the hash of its other columns, which it had before there was one.
    """
    line = pl.concat_str(_texts(frame, [name for name in frame.columns if name != VARIANT]), separator=_BETWEEN)
    if VARIANT in frame.columns:
        line = pl.concat_str(line, pl.concat_str(pl.lit(_BETWEEN), VARIANT).fill_null(""))
    return pl.Series(ROW_HASH, [digest.hex() for digest in _digests(frame, line, _ROW)], dtype=pl.String)


def key_hashes(frame: pl.DataFrame, key: Sequence[str]) -> pl.Series:
    """Signed 64-bit hash of every key; equal on every machine and for every warehouse."""
    digests = _digests(frame, pl.concat_str(_texts(frame, key), separator=_BETWEEN), _KEY)
    return pl.Series(KEY_HASH, np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64))


def quarantine_rows(batch: Batch, records: Sequence[Rejected], first: int) -> pa.Table:
    """Rejected records as rows of ops.quarantine, and their place in the batch (counting from `first`)."""
    at = utc(batch.started_at)
    shared: dict[str, object] = {"tenant_id": batch.tenant_id, "entity": batch.entity}
    shared |= {"batch_id": batch.batch_id, "last_batch_id": batch.batch_id, "quarantined_at": at, "last_seen_at": at}
    rows = [
        shared
        | {
            "record_hash": _record_hash(rejected),
            "record_id": rejected.record_id,
            "day": rejected.day,
            "record": rejected.record,
            "reasons": json.dumps(rejected.reasons, ensure_ascii=False),
            SEQUENCE: place,
        }
        for place, rejected in enumerate(records, first)
    ]
    schema = QUARANTINE.columns.append(pa.field(SEQUENCE, pa.int64()))
    return pl.DataFrame(rows, pl.Schema(schema)).to_arrow()


def owned(table: TableSpec, tenant_id: str, rows: pa.Table) -> pl.DataFrame:
    """Rows of a tenant as the table declares them."""
    names = [name for name in table.columns.names if name != "tenant_id"]
    schema = pl.Schema(pa.schema([table.columns.field(name) for name in names]))
    return _as_declared(table, schema, rows).select(pl.lit(tenant_id).alias("tenant_id"), pl.all())


def _as_declared(table: TableSpec, schema: pl.Schema, chunk: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(chunk)
    if frame.schema == schema:
        return frame
    if set(frame.columns) != set(schema):
        raise _unfit(table, schema.names(), chunk)
    try:
        return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    except pl.exceptions.PolarsError:
        raise _unfit(table, schema.names(), chunk) from None


def _unfit(table: TableSpec, names: Sequence[str], rows: pa.Table) -> WarehouseError:
    """An error that tells columns, never values: they may be personal."""
    wanted = ", ".join(f"{name} {table.columns.field(name).type}" for name in names)
    given = ", ".join(f"{field.name} {field.type}" for field in rows.schema)
    return WarehouseError(f"{table.name}: expected rows of {wanted}; got {given}, or values that do not fit")


def _texts(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """Columns as texts in which neither what separates them nor what stands for null occurs by itself."""
    texts = [name for name in names if frame.schema[name] == pl.String]
    marks = frame.select(pl.col(texts).str.contains_any([_BETWEEN, _NULL]).any()).row(0) if texts else ()
    marked = {name for name, is_marked in zip(texts, marks, strict=True) if is_marked}
    return [
        (_escaped(name) if name in marked else pl.col(name).to_physical().cast(pl.String)).fill_null(_NULL)
        for name in names
    ]


def _escaped(name: str) -> pl.Expr:
    column = pl.col(name).str.replace_all(_NULL, _NULL + _NULL, literal=True)
    return column.str.replace_all(_BETWEEN, _NULL + "\x01", literal=True)


def _digests(frame: pl.DataFrame, line: pl.Expr, hasher: blake2b) -> list[bytes]:
    digests = []
    for text in frame.select(line.cast(pl.Binary)).to_series().to_list():
        each = hasher.copy()
        each.update(text)
        digests.append(each.digest())
    return digests


def _record_hash(rejected: Rejected) -> str:
    return blake2b(json.dumps([rejected.record, *rejected.reasons]).encode(), digest_size=16).hexdigest()
