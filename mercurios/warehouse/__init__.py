"""The warehouse: where raw records land and dbt builds the marts. Port, tables and batches; adapters beside it.

    with DuckDBWarehouse.open("duckdb:///var/warehouse.duckdb") as warehouse:
        warehouse.ensure(SALES)
        with warehouse.load(Batch("north", "b1", "sale", SALES, as_of)) as load:
            load.stage(rows)
            counts = load.commit(extracted=rows.num_rows, finished_at=as_of)
        warehouse.table("raw.prohandel_sale")

Only operators, jobs and flows hold a warehouse; who asks a question reads a release of the lake.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from mercurios.errors import WarehouseError

NAME = re.compile(r"[a-z_][a-z0-9_]*")
MOMENT = pa.timestamp("us")
ROW_HASH, BATCH_ID, EXTRACTED_AT, SEQUENCE = "_row_hash", "_batch_id", "_extracted_at", "_seq"


@dataclass(frozen=True)
class TableSpec:
    """One table that ingest writes: `schema.table` in lower case. `key` is never null and, where merged, unique."""

    name: str
    columns: pa.Schema
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        schema, _, table = self.name.partition(".")
        for name in (schema, table, *self.columns.names):
            if not NAME.fullmatch(name):
                raise WarehouseError(f"table {self.name!r}: {name!r} is no plain lower case name")
        if missing := set(self.key) - set(self.columns.names):
            raise WarehouseError(
                f"table {self.name}: the key names {', '.join(sorted(missing))}, which it does not have"
            )

    @property
    def schema(self) -> str:
        """The schema the table lives in."""
        return self.name.partition(".")[0]


def table_spec(name: str, key: str, columns: dict[str, pa.DataType]) -> TableSpec:
    """Declare a table; tenant_id leads columns and key, the names in `key` are separated by blanks."""
    keys = ("tenant_id", *key.split())
    fields = [pa.field(n, kind, nullable=n not in keys) for n, kind in {"tenant_id": pa.string(), **columns}.items()]
    return TableSpec(name, pa.schema(fields), keys)


def raw_table(name: str, key: str, columns: dict[str, pa.DataType]) -> TableSpec:
    """Declare a table that batches are merged into: after its own columns come batch, extraction and row hash."""
    meta = {BATCH_ID: pa.string(), EXTRACTED_AT: MOMENT, ROW_HASH: pa.string()}
    return table_spec(name, key, columns | meta)


_COUNTS = ("extracted", "loaded", "quarantined", "inserted", "updated", "unchanged", "duplicates")
BATCHES = table_spec(
    "ops.batches",
    "batch_id",
    {
        "batch_id": pa.string(),
        "entity": pa.string(),
        **dict.fromkeys(_COUNTS, pa.int64()),
        "started_at": MOMENT,
        "finished_at": MOMENT,
    },
)
QUARANTINE = table_spec(
    "ops.quarantine",
    "batch_id",
    {
        "batch_id": pa.string(),
        "entity": pa.string(),
        "record": pa.string(),
        "reasons": pa.string(),
        "quarantined_at": MOMENT,
    },
)


@dataclass(frozen=True)
class Snapshot:
    """A day's state to keep beside the merged rows; a later one of the same day replaces it.

    table: has a column `snapshot_on`, the others come from the batch. unless: boolean column of rows to leave out.
    """

    table: TableSpec
    on: date
    unless: str


@dataclass(frozen=True)
class Batch:
    """All records of one entity of one tenant, read in one go. `started_at` carries a time zone."""

    tenant_id: str
    batch_id: str
    entity: str
    table: TableSpec
    started_at: datetime
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class Counts:
    """Rows of a batch. extracted = loaded + quarantined, loaded = inserted + updated + unchanged + duplicates.

    duplicates: rows whose key came again later in the batch; the last one counts.
    """

    extracted: int
    loaded: int
    quarantined: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int


@dataclass(frozen=True)
class StoredBatch:
    """One row of ops.batches; times are UTC."""

    tenant_id: str
    batch_id: str
    entity: str
    counts: Counts
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class Rejected:
    """One record for ops.quarantine: JSON without personal fields, and the reasons."""

    record: str
    reasons: tuple[str, ...]


class Load(Protocol):
    """A batch on its way in: staged beside the tables, in them all at once or not at all."""

    def stage(self, rows: pa.Table) -> None:
        """Put rows aside; columns are the table's own, without tenant_id, _batch_id, _extracted_at and _row_hash."""

    def reject(self, records: Sequence[Rejected]) -> None:
        """Put records aside for the quarantine."""

    def commit(self, extracted: int, finished_at: datetime) -> Counts:
        """Merge, quarantine, snapshot and account for the batch in one transaction.

        Rows that are there with the same hash stay as they are, to the byte.
        Raises BatchMismatch when `extracted` is not what was staged and rejected; nothing is changed then.
        """


class Warehouse(Protocol):
    """What jobs need of a warehouse. Not for several threads at once."""

    def ensure(self, *tables: TableSpec) -> None:
        """Create what is missing of these tables, their schemas, ops.batches and ops.quarantine."""

    def load(self, batch: Batch) -> AbstractContextManager[Load]:
        """Open a batch; leaving the block without `commit` leaves the tables untouched."""

    def replace(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) all that the table has of the tenant, in one transaction."""

    def table(self, name: str) -> pa.Table:
        """All rows of `schema.table`, columns in lower case, whole numbers as int64, times in microseconds."""

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
