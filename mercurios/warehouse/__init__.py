"""The warehouse: where raw records land and dbt builds the marts. Port, tables and batches; adapters beside it.

    with DuckDBWarehouse.open("duckdb:///var/warehouse.duckdb") as warehouse:
        warehouse.ensure(SALES)
        with warehouse.load(Batch("north", "b1", "sale", SALES, as_of)) as load:
            load.stage([rows])
            counts = load.commit(extracted=rows.num_rows, finished_at=as_of)
        warehouse.table("raw.prohandel_sale")

Only operators, jobs and flows hold a warehouse; who asks a question reads a release of the lake.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from mercurios.errors import WarehouseError

NAME = re.compile(r"[a-z_][a-z0-9_]*")
MOMENT = pa.timestamp("us")
BATCH_ID, EXTRACTED_AT, ROW_HASH, SEQUENCE = "_batch_id", "_extracted_at", "_row_hash", "_seq"
DELETED_AT, VARIANT, KEY_HASH = "_deleted_at", "_variant", "_key_xxh3"


def utc(moment: datetime) -> datetime:
    """A moment as warehouses store it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _check_names(table: str, *columns: str) -> None:
    schema, _, name = table.partition(".")
    for each in (schema, name, *columns):
        if not NAME.fullmatch(each):
            raise WarehouseError(f"table {table[:80]!r}: {each[:80]!r} is no plain lower case name")


@dataclass(frozen=True)
class TableSpec:
    """One table that ingest writes: `schema.table` in lower case. `key` is never null and, where merged, unique."""

    name: str
    columns: pa.Schema
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_names(self.name, *self.columns.names)
        if missing := set(self.key) - set(self.columns.names):
            raise WarehouseError(
                f"table {self.name}: the key names {', '.join(sorted(missing))}, which it does not have"
            )

    @property
    def schema(self) -> str:
        """The schema the table lives in."""
        return self.name.partition(".")[0]

    @property
    def own_columns(self) -> pa.Schema:
        """The columns without tenant_id, as rows of one tenant are handed in."""
        return pa.schema([field for field in self.columns if field.name != "tenant_id"])


def table_spec(name: str, key: str, columns: dict[str, pa.DataType]) -> TableSpec:
    """Declare a table; tenant_id leads columns and key, the names in `key` are separated by blanks."""
    keys = ("tenant_id", *key.split())
    fields = [pa.field(n, kind, nullable=n not in keys) for n, kind in {"tenant_id": pa.string(), **columns}.items()]
    return TableSpec(name, pa.schema(fields), keys)


def raw_table(name: str, key: str, columns: dict[str, pa.DataType]) -> TableSpec:
    """Declare a table that batches are merged into.

    After its own columns come: _variant (JSON object of fields no contract names), _batch_id and _extracted_at (who
    wrote the row as it is), _row_hash (BLAKE3), _key_xxh3 (64 bits of the key, so that a key is looked for without
    reading texts), and _deleted_at (UTC; null while the record is alive).
    """
    meta = {
        VARIANT: pa.string(),
        BATCH_ID: pa.string(),
        EXTRACTED_AT: MOMENT,
        ROW_HASH: pa.string(),
        KEY_HASH: pa.int64(),
        DELETED_AT: MOMENT,
    }
    return table_spec(name, key, columns | meta)


_COUNTS = ("extracted", "loaded", "quarantined", "inserted", "updated", "unchanged", "duplicates", "deleted")
BATCHES = table_spec(
    "ops.batches",
    "batch_id",
    {
        "batch_id": pa.string(),
        "entity": pa.string(),
        **dict.fromkeys(_COUNTS, pa.int64()),
        "started_at": MOMENT,
        "finished_at": MOMENT,
        "scope": pa.string(),
    },
)
QUARANTINE = table_spec(
    "ops.quarantine",
    "entity record_hash batch_id",
    {
        "entity": pa.string(),
        "record_hash": pa.string(),
        "batch_id": pa.string(),
        "record_id": pa.string(),
        "day": pa.date32(),
        "record": pa.string(),
        "reasons": pa.string(),
        "quarantined_at": MOMENT,
        "last_batch_id": pa.string(),
        "last_seen_at": MOMENT,
        "resolved_by": pa.string(),
        "resolved_at": MOMENT,
        "origin": pa.string(),
    },
)
"""One row per broken record: first and last batch that met it, and the batch after which it was no longer open.

origin: file and row that the first batch read it from, null where it did not come in a file.
"""


PARTITIONS = pa.schema(
    [("tenant_id", pa.string()), ("month", pa.date32()), ("rows", pa.int64()), ("fingerprint", pa.string())]
)
"""What a table holds, one row per partition; month is its first day, null without a day."""


@dataclass(frozen=True)
class Extract:
    """Columns of `schema.table` that leave the warehouse, tenant_id among them; `day` cuts them by month.

    columns: with the types that they are to have in the end.
    """

    table: str
    columns: pa.Schema
    day: str | None = None

    def __post_init__(self) -> None:
        _check_names(self.table, *self.columns.names, *([self.day] if self.day else []))


@dataclass(frozen=True)
class Snapshot:
    """A day's state of the living rows, kept beside them; a later one of the same day replaces it.

    table: has a column `snapshot_on`, the others come from the batch's table.
    """

    table: TableSpec
    on: date


@dataclass(frozen=True)
class Scope:
    """The part of a table that a batch has read completely: what is in it and did not come is gone at the source.

    column: the timestamp column by which it may be bounded, `first` to before `until`; None where a table has none.
    Without bounds it is the whole table.
    """

    column: str | None = None
    first: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        """`everything`, or the days as an ISO 8601 interval, an open end as `..`."""
        return f"{self.first or '..'}/{self.until or '..'}" if self.first or self.until else "everything"


@dataclass(frozen=True)
class Batch:
    """Records of one entity of one tenant, read in one go. `started_at` carries a time zone.

    scope: None when the batch brings records and says nothing of those it does not bring.
    changed_column: timestamp column that tells which of two versions in the batch is newer, where the entity has one.
    deleted_column: boolean column by which the source marks a record as deleted, where it has one.
    is_newest: whether the batch brings what is true now; else a row gives way only to one that was changed after it.
    """

    tenant_id: str
    batch_id: str
    entity: str
    table: TableSpec
    started_at: datetime
    scope: Scope | None = None
    snapshot: Snapshot | None = None
    changed_column: str | None = None
    deleted_column: str | None = None
    is_newest: bool = True


@dataclass(frozen=True)
class Counts:
    """Rows of a batch. extracted = loaded + quarantined, loaded = inserted + updated + unchanged + duplicates.

    duplicates: rows whose key came more than once in the batch; the newest counts. deleted: rows of the scope that did
    not come and were alive.
    """

    extracted: int
    loaded: int
    quarantined: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    deleted: int


@dataclass(frozen=True)
class StoredBatch:
    """One row of ops.batches; times are UTC."""

    tenant_id: str
    batch_id: str
    entity: str
    counts: Counts
    started_at: datetime
    finished_at: datetime
    scope: str | None


@dataclass(frozen=True)
class Rejected:
    """One record for ops.quarantine: JSON without personal fields, and all reasons.

    record_id, day: the record's key and day of business as far as they could be read. origin: file and row.
    """

    record: str
    reasons: tuple[str, ...]
    record_id: str | None = None
    day: date | None = None
    origin: str | None = None


class Load(Protocol):
    """A batch on its way in: staged beside the tables, in them all at once or not at all."""

    def stage(self, chunks: Iterable[pa.Table]) -> None:
        """Put rows aside; columns are the table's own and _variant, without tenant_id and the other meta columns."""

    def reject(self, records: Sequence[Rejected]) -> None:
        """Put records aside for the quarantine."""

    def missing(self) -> int:
        """Number of living rows, and of open quarantined records, of the scope that were neither staged nor rejected.

        0 without a scope.
        """

    def met(self) -> int:
        """Number of different records that were staged or rejected."""

    def commit(
        self,
        extracted: int,
        finished_at: datetime,
        *,
        deletes: bool = True,
        beside: Mapping[TableSpec, pa.Table] | None = None,
    ) -> Counts:
        """Merge, delete, quarantine, snapshot and account for the batch in one transaction.

        Rows that are there, alive, with the same hash stay as they are, to the byte. A row whose record the source
        marks as deleted, or (with `deletes`) that is missing from the scope, gets a _deleted_at and keeps its values;
        one that comes again is alive again. Quarantined records that are loaded, replaced or gone are resolved.
        beside: rows (columns without tenant_id) of other tables, which replace the tenant's rows of the same key.
        Raises BatchMismatch when `extracted` is not what was staged and rejected; nothing is changed then.
        """


class Warehouse(Protocol):
    """What jobs need of a warehouse. Not for several threads at once."""

    def ensure(self, *tables: TableSpec) -> None:
        """Create what is missing of these tables, their columns and schemas, ops.batches and ops.quarantine."""

    def load(self, batch: Batch) -> AbstractContextManager[Load]:
        """Open a batch; leaving the block without `commit` leaves the tables untouched."""

    def replace(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) all that the table has of the tenant, in one transaction."""

    def merge(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) replace the tenant's rows of the same key, in one transaction."""

    def add(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> int:
        """Append those of `rows` (columns without tenant_id) whose key the tenant has not; returns their number."""

    def rows(self, table: TableSpec, tenant_id: str) -> pa.Table:
        """All rows of one tenant, as declared; empty when the table is not there yet."""

    def forget(self, tenant_id: str) -> Mapping[str, int]:
        """Delete all rows of a tenant from every table of `raw` and `ops`; returns rows deleted by table."""

    def table(self, name: str) -> pa.Table:
        """All rows of `schema.table`, columns in lower case, whole numbers as int64, times in microseconds."""

    def fingerprints(self, extract: Extract) -> pa.Table:
        """What the table holds by partition, see PARTITIONS; one query, and no row leaves the warehouse."""

    def extract(self, extract: Extract, partitions: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some of the partitions that `fingerprints` told, a partition after the other.

        Nothing else may be asked of the warehouse until all have come.
        """

    def unload(self, extract: Extract, partitions: pa.Table, folder: str, name: str) -> bool:
        """Write the rows of some of the partitions as Parquet files into the lake, at FOLDER/tenant_id=TENANT/NAME.

        folder: its path below the lake's. False, and nothing is written, where a warehouse has no way to the lake, or
        not for these columns.
        """

    def count(self, name: str, tenant_id: str | None = None) -> int:
        """Number of rows of `schema.table`, of one tenant or of all."""

    def tables(self, schema: str) -> tuple[str, ...]:
        """Names (`schema.table`) of the tables in a schema, sorted; empty when there is no such schema."""

    def batches(self) -> tuple[StoredBatch, ...]:
        """All batches ever committed, oldest first."""

    def close(self) -> None:
        """Let go of the connection, and with DuckDB of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
