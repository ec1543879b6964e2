"""Rows on their way into a warehouse: as declared, with hashes of key and content.

stamped(batch, frame, first=0)
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import polars as pl
import pyarrow as pa
from polars_hash import CryptographicHashingNameSpace, NonCryptographicHashingNameSpace

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
    utc,
)

ROW_HASH_DIGITS = 32
CHUNK_ROWS = 10_000
"""Rows that travel at a time: some 4 MB of sale lines."""
_OF_BATCH = {"tenant_id", BATCH_ID, EXTRACTED_AT, DELETED_AT}
_BETWEEN, _NULL = "\x1f", "\x00"


def brought(table: TableSpec) -> pa.Schema:
    """Columns in which the rows of a batch differ; the others are said once, when they are merged."""
    return pa.schema([field for field in table.columns if field.name not in _OF_BATCH])


def gathered(table: TableSpec, chunks: Iterable[pa.Table]) -> Iterator[pl.DataFrame]:
    """Chunks of any size as frames of some CHUNK_ROWS, with the columns that a batch brings, in the table's order."""
    schema = pl.Schema(pa.schema([field for field in brought(table) if field.name not in {ROW_HASH, KEY_HASH}]))
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
    """Add hashes and the place in the batch (counting from `first`)."""
    place = pl.int_range(first, first + frame.height, dtype=pl.Int64).alias(SEQUENCE)
    key = [pl.lit(batch.tenant_id).alias("tenant_id"), *(name for name in batch.table.key if name != "tenant_id")]
    keys = key_hashes(frame.select(key), batch.table.key)
    return frame.with_columns(row_hashes(frame), keys, place).to_arrow()


def row_hashes(frame: pl.DataFrame) -> pl.Series:
    """128 bits of the BLAKE3 hash of every row, as 32 hex digits; equal on every machine and for every warehouse.

    A row without _variant has the hash of its other columns, which it had before there was one.
    """
    line = pl.concat_str(_texts(frame, [name for name in frame.columns if name != VARIANT]), separator=_BETWEEN)
    if VARIANT in frame.columns:
        line = pl.concat_str(line, pl.concat_str(pl.lit(_BETWEEN), VARIANT).fill_null(""))
    return frame.select(_blake3(line).str.slice(0, ROW_HASH_DIGITS).alias(ROW_HASH)).to_series()


def key_hashes(frame: pl.DataFrame, key: Sequence[str]) -> pl.Series:
    """Signed 64-bit XXH3 hash of every key; equal on every machine and for every warehouse."""
    line = pl.concat_str(_texts(frame, key), separator=_BETWEEN)
    return frame.select(_xxh3(line).reinterpret(signed=True).alias(KEY_HASH)).to_series()


def _blake3(text: pl.Expr) -> pl.Expr:
    return CryptographicHashingNameSpace(text).blake3()


def _xxh3(text: pl.Expr) -> pl.Expr:
    return NonCryptographicHashingNameSpace(text).xxh3_64()


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
            "origin": rejected.origin,
            SEQUENCE: place,
        }
        for place, rejected in enumerate(records, first)
    ]
    schema = QUARANTINE.columns.append(pa.field(SEQUENCE, pa.int64()))
    return pl.DataFrame(rows, pl.Schema(schema)).to_arrow()


def owned(table: TableSpec, tenant_id: str, rows: pa.Table) -> pl.DataFrame:
    """Rows of a tenant as the table declares them."""
    return _as_declared(table, pl.Schema(table.own_columns), rows).select(
        pl.lit(tenant_id).alias("tenant_id"), pl.all()
    )


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


def _record_hash(rejected: Rejected) -> str:
    return blake2b(json.dumps([rejected.record, *rejected.reasons]).encode(), digest_size=16).hexdigest()
