"""The warehouse port over any SQL engine: an adapter adds five primitives and a table of types.

    class DuckDBWarehouse(SqlWarehouse): ...

A batch is staged in tables of the connection, which vanish with it, and merged in one transaction.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from mercurios.errors import BatchMismatch, WarehouseError
from mercurios.warehouse import (
    BATCH_ID,
    BATCHES,
    NAME,
    QUARANTINE,
    SEQUENCE,
    Batch,
    Counts,
    Rejected,
    StoredBatch,
    TableSpec,
    statements,
)
from mercurios.warehouse.rows import quarantine_rows, stamped

Row = tuple[Any, ...]


class SqlWarehouse(ABC):
    """All of the port but the connection."""

    types: Mapping[pa.DataType, str]

    @abstractmethod
    def _run(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Execute one statement with `?` bound and return its rows; raises WarehouseError."""

    @abstractmethod
    def _fetch(self, statement: str) -> pa.Table:
        """Execute one query and return its rows as Arrow, as the engine types them."""

    @abstractmethod
    def _append(self, table: str, rows: pa.Table) -> None:
        """Add rows in bulk; columns are matched by name."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """All or nothing for the statements of the block, none of which creates or drops a table."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ensure(self, *tables: TableSpec) -> None:
        """Create what is missing of these tables, their schemas, ops.batches and ops.quarantine."""
        wanted = (BATCHES, QUARANTINE, *tables)
        for schema in sorted({table.schema for table in wanted}):
            self._run(f"create schema if not exists {schema}")
        for table in wanted:
            self._run(statements.create_table(table, self._types_of(table)))

    @contextmanager
    def load(self, batch: Batch) -> "Iterator[SqlLoad]":
        """Open a batch; leaving the block without `commit` leaves the tables untouched."""
        load = SqlLoad(self, batch)
        load.open()
        try:
            yield load
        finally:
            load.drop()

    def replace(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) all that the table has of the tenant, in one transaction."""
        owner = pa.array([tenant_id] * rows.num_rows, pa.string())
        whole = rows.append_column("tenant_id", owner).select(table.columns.names).cast(table.columns)
        with self._transaction():
            self._run(statements.clear_tenant(table), (tenant_id,))
            self._append(table.name, whole)

    def table(self, name: str) -> pa.Table:
        """All rows of `schema.table`, columns in lower case, whole numbers as int64, times in microseconds."""
        rows = self._fetch(statements.everything(_checked(name)))
        rows = rows.rename_columns([column.lower() for column in rows.column_names])
        return rows.cast(pa.schema([pa.field(field.name, plain_type(field.type)) for field in rows.schema]))

    def count(self, name: str, tenant_id: str | None = None) -> int:
        """Number of rows of `schema.table`, of one tenant or of all."""
        if tenant_id is None:
            return int(self._run(statements.count(_checked(name)))[0][0])
        return int(self._run(statements.count(_checked(name), "tenant_id"), (tenant_id,))[0][0])

    def tables(self, schema: str) -> tuple[str, ...]:
        """Names (`schema.table`) of the tables in a schema, sorted; empty when there is no such schema."""
        found = self._run(
            "select lower(table_name) from information_schema.tables "
            "where table_catalog = current_database() and lower(table_schema) = ? and table_type = 'BASE TABLE'",
            (schema,),
        )
        return tuple(sorted(f"{schema}.{name}" for (name,) in found))

    def batches(self) -> tuple[StoredBatch, ...]:
        """All batches ever committed, oldest first."""
        if BATCHES.name not in self.tables(BATCHES.schema):
            return ()
        rows = self.table(BATCHES.name).sort_by([("started_at", "ascending"), ("batch_id", "ascending")])
        return tuple(_stored(row) for row in rows.to_pylist())

    def _types_of(self, table: TableSpec) -> dict[str, str]:
        return {field.name: self.types[field.type] for field in table.columns}


class SqlLoad:
    """One open batch."""

    def __init__(self, warehouse: SqlWarehouse, batch: Batch) -> None:
        self._warehouse = warehouse
        self._batch = batch
        self._rows = f"staged_{batch.table.name.partition('.')[2]}"
        self._rejects = f"rejected_{batch.table.name.partition('.')[2]}"
        self._staged = 0

    def open(self) -> None:
        """Create the staged tables, empty."""
        for name, table in ((self._rows, self._batch.table), (self._rejects, QUARANTINE)):
            self._warehouse._run(statements.create_staged(name, table, self._warehouse._types_of(table)))

    def drop(self) -> None:
        """Drop the staged tables."""
        for name in (self._rows, self._rejects):
            self._warehouse._run(f"drop table if exists {name}")

    def stage(self, rows: pa.Table) -> None:
        """Put rows aside; columns are the table's own, without tenant_id, _batch_id, _extracted_at and _row_hash."""
        if rows.num_rows:
            self._warehouse._append(self._rows, stamped(self._batch, rows, self._staged))
            self._staged += rows.num_rows

    def reject(self, records: Sequence[Rejected]) -> None:
        """Put records aside for the quarantine."""
        if records:
            rows = quarantine_rows(self._batch, list(records))
            self._warehouse._append(self._rejects, rows.append_column(SEQUENCE, pa.nulls(len(records), pa.int64())))

    def commit(self, extracted: int, finished_at: datetime) -> Counts:
        """Merge, quarantine, snapshot and account for the batch in one transaction.

        Raises BatchMismatch when the numbers do not add up; nothing is changed then.
        """
        with self._warehouse._transaction():
            counts = self._merge(extracted)
            self._warehouse._run(statements.copy_rows(QUARANTINE, self._rejects))
            self._take_snapshot()
            self._warehouse._run(statements.account(), self._account(counts, finished_at))
            self._check(counts)
        return counts

    def _merge(self, extracted: int) -> Counts:
        run, table = self._warehouse._run, self._batch.table
        loaded, keys = self._number(statements.count(self._rows)), self._number(self._distinct())
        if keys < loaded:
            run(statements.keep_last(table, self._rows))
        inserted, updated = (int(number) for number in run(statements.changes(table, self._rows))[0])
        if inserted or updated:
            for statement in statements.merge(table, self._rows):
                run(statement)
        return Counts(
            extracted=extracted,
            loaded=loaded,
            quarantined=self._number(statements.count(self._rejects)),
            inserted=inserted,
            updated=updated,
            unchanged=keys - inserted - updated,
            duplicates=loaded - keys,
        )

    def _distinct(self) -> str:
        return statements.distinct_keys(self._batch.table, self._rows)

    def _number(self, statement: str, *parameters: object) -> int:
        return int(self._warehouse._run(statement, parameters)[0][0])

    def _take_snapshot(self) -> None:
        if snapshot := self._batch.snapshot:
            day = snapshot.on.isoformat()
            self._warehouse._run(statements.clear_day(snapshot), (self._batch.tenant_id, day))
            self._warehouse._run(statements.take_day(snapshot, self._rows), (day,))

    def _account(self, counts: Counts, finished_at: datetime) -> tuple[object, ...]:
        batch = self._batch
        numbers = (getattr(counts, name) for name in BATCHES.columns.names if hasattr(counts, name))
        moments = (_utc(batch.started_at).isoformat(), _utc(finished_at).isoformat())
        return (batch.tenant_id, batch.batch_id, batch.entity, *numbers, *moments)

    def _check(self, counts: Counts) -> None:
        batch = self._batch
        where = f"tenant {batch.tenant_id}, {batch.entity}"
        if counts.extracted != counts.loaded + counts.quarantined:
            raise BatchMismatch(
                f"{where}: {counts.extracted} records extracted, but {counts.loaded} loaded and {counts.quarantined} "
                "quarantined; nothing of the batch was kept, run it again"
            )
        found = statements.count(batch.table.name, "tenant_id", BATCH_ID)
        written = self._number(found, batch.tenant_id, batch.batch_id)
        if written != counts.inserted + counts.updated:
            raise BatchMismatch(
                f"{where}: {counts.inserted + counts.updated} rows to write, but {written} were written; "
                "nothing of the batch was kept, run it again and look for another writer"
            )


def _checked(name: str) -> str:
    schema, _, table = name.partition(".")
    if not (NAME.fullmatch(schema) and NAME.fullmatch(table)):
        raise WarehouseError(f"expected schema.table in lower case, got {name[:80]!r}")
    return name


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The one of several Arrow types for the same values that this project uses."""
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _stored(row: dict[str, Any]) -> StoredBatch:
    counts = Counts(**{name: row[name] for name in Counts.__dataclass_fields__})
    started, finished = (row[name].replace(tzinfo=UTC) for name in ("started_at", "finished_at"))
    return StoredBatch(row["tenant_id"], row["batch_id"], row["entity"], counts, started, finished)
