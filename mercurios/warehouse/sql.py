"""The warehouse port over any SQL engine.

    class DuckDBWarehouse(SqlWarehouse): ...

Batches are in `loading`, what an adapter has to give in `engine`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from types import TracebackType
from typing import Any, Self, TypeVar

import polars as pl
import pyarrow as pa

from mercurios.errors import WarehouseError
from mercurios.warehouse import (
    BATCHES,
    KEY_HASH,
    NAME,
    PARTITIONS,
    QUARANTINE,
    Batch,
    Counts,
    Extract,
    StoredBatch,
    TableSpec,
    extracts,
    statements,
)
from mercurios.warehouse.engine import Engine
from mercurios.warehouse.loading import SqlLoad
from mercurios.warehouse.rows import key_hashes, owned

_Rows = TypeVar("_Rows", pa.Table, pa.RecordBatch)
HASHED_AT_A_TIME = 200_000
"""Keys of rows from before keys were hashed: some 30 MB."""


class SqlWarehouse(Engine):
    """All of the port but the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ensure(self, *tables: TableSpec) -> None:
        """Create what is missing of these tables, their columns and schemas, ops.batches and ops.quarantine.

        Raises WarehouseError, before anything is changed in a table, when a column is there with another type.
        """
        wanted = (BATCHES, QUARANTINE, *tables)
        schemas = sorted({table.schema for table in wanted})
        there = {name for (name,) in self.run(statements.schemas())}
        for schema in (name for name in schemas if name not in there):
            self.run(f"create schema if not exists {schema}")  # a right that not even IF NOT EXISTS does without
        stored = self._stored_columns(*schemas)
        _check_types(wanted, stored, self.stored_types)
        for table in wanted:
            self._ensure(table, stored.get(table.name, {}))

    @contextmanager
    def load(self, batch: Batch) -> Iterator[SqlLoad]:
        """Open a batch; leaving the block without `commit` leaves the tables untouched."""
        load = SqlLoad(self, batch)
        load.open()
        try:
            yield load
        finally:
            load.drop()

    def replace(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) all that the table has of the tenant, in one transaction."""
        whole = owned(table, tenant_id, rows).to_arrow()
        with self.transaction():
            self.run(statements.clear_tenant(table.name), (tenant_id,))
            self.append(table.name, [whole])

    def merge(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> None:
        """Make `rows` (columns without tenant_id) replace the tenant's rows of the same key, in one transaction.

        Raises WarehouseError when a key comes twice.
        """
        with self.aside(table, tenant_id, rows) as name, self.transaction():
            self.replace_rows(table, name)

    def add(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> int:
        """Append those of `rows` (columns without tenant_id) whose key the tenant has not; returns their number.

        What is there stays as it is, whatever comes under its key. Raises WarehouseError when a key comes twice.
        """
        with self.aside(table, tenant_id, rows) as name, self.transaction():
            return self.number(statements.add_rows(table, name))

    def rows(self, table: TableSpec, tenant_id: str) -> pa.Table:
        """All rows of one tenant, as declared; empty when the table is not there yet."""
        if table.name not in self.tables(table.schema):
            return table.columns.empty_table()
        return _plain(self.fetch(statements.of_tenant(table), (tenant_id,))).cast(table.columns)

    def forget(self, tenant_id: str) -> Mapping[str, int]:
        """Delete all rows of a tenant from every table of `raw` and `ops`; returns rows deleted by table."""
        there = {*self.tables("raw"), *self.tables("ops")}
        owners = [name for name, columns in self._stored_columns("raw", "ops").items() if "tenant_id" in columns]
        with self.transaction():
            return {
                name: self.number(statements.clear_tenant(_checked(name)), (tenant_id,))
                for name in sorted(there.intersection(owners))
            }

    def table(self, name: str) -> pa.Table:
        """All rows of `schema.table`, columns in lower case, whole numbers as int64, times in microseconds."""
        return _plain(self.fetch(statements.everything(_checked(name))))

    def fingerprints(self, extract: Extract) -> pa.Table:
        """What the table holds by partition, as of now; one query, and no row leaves the warehouse."""
        rows = _plain(self.fetch(extracts.fingerprints(extract)))
        return rows.rename_columns(PARTITIONS.names).cast(PARTITIONS)

    def extract(self, extract: Extract, partitions: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some of the partitions that `fingerprints` told, a partition after the other."""
        for first in range(0, partitions.num_rows, self.partitions_a_query):
            for batch in self.stream(*extracts.rows(extract, partitions.slice(first, self.partitions_a_query))):
                yield _plain(batch)

    def unload(self, extract: Extract, partitions: pa.Table, folder: str, name: str) -> bool:
        """Write no file: this warehouse has no way to the lake but through `extract`."""
        return False

    def count(self, name: str, tenant_id: str | None = None) -> int:
        """Number of rows of `schema.table`, of one tenant or of all."""
        if tenant_id is None:
            return self.number(statements.count(_checked(name)))
        return self.number(statements.count_of_tenant(_checked(name)), (tenant_id,))

    def tables(self, schema: str) -> tuple[str, ...]:
        """Names (`schema.table`) of the tables in a schema, sorted; empty when there is no such schema."""
        return tuple(sorted(f"{schema}.{name}" for (name,) in self.run(statements.tables(), (schema,))))

    def batches(self) -> tuple[StoredBatch, ...]:
        """All batches ever committed, oldest first."""
        if BATCHES.name not in self.tables(BATCHES.schema):
            return ()
        rows = self.table(BATCHES.name).sort_by([("started_at", "ascending"), ("batch_id", "ascending")])
        return tuple(_stored(row) for row in rows.to_pylist())

    def _stored_columns(self, *schemas: str) -> dict[str, dict[str, str]]:
        """Type by column by table, as the information schema has them, in lower case."""
        stored: dict[str, dict[str, str]] = {}
        for table, column, kind in self.run(statements.columns(len(schemas)), schemas):
            stored.setdefault(table, {})[column] = kind
        return stored

    def _ensure(self, table: TableSpec, stored: Mapping[str, str]) -> None:
        types = {field.name: self.types[field.type] for field in table.columns}
        if not stored:
            self.run(statements.create_table(table, types, self.tenant_policy))
            return
        for name in types.keys() - stored.keys():
            self.run(statements.add_column(table, name, types[name]))
        if KEY_HASH in types:
            self._hash_keys(table)

    def _hash_keys(self, table: TableSpec) -> None:
        """Hash the keys of rows from before keys were hashed; taken up again where it was interrupted."""
        hashed = TableSpec(f"ops.hashed_{table.name.partition('.')[2]}", _key_columns(table), table.key)
        while self.number(statements.unhashed(table)):
            keys = pl.DataFrame(_plain(self.fetch(statements.keys(table, HASHED_AT_A_TIME))))
            with self.staged(hashed, keys.with_columns(key_hashes(keys, table.key)).to_arrow()) as name:
                self.run(statements.hash_keys(table, name))


def _key_columns(table: TableSpec) -> pa.Schema:
    return pa.schema([table.columns.field(name) for name in (*table.key, KEY_HASH)])


def _check_types(
    wanted: tuple[TableSpec, ...], stored: Mapping[str, Mapping[str, str]], names: Mapping[pa.DataType, str]
) -> None:
    for table in wanted:
        for field in table.columns:
            found = stored.get(table.name, {}).get(field.name, names[field.type])
            if found != names[field.type]:
                raise WarehouseError(
                    f"{table.name}: expected column {field.name} as {names[field.type]}, found {found}; rename the "
                    "column, or the table if its rows can be read again, and run again"
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
    if pa.types.is_date(kind):
        return pa.date32()
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _plain(rows: _Rows) -> _Rows:
    rows = rows.rename_columns([column.lower() for column in rows.column_names])
    return rows.cast(pa.schema([pa.field(field.name, plain_type(field.type)) for field in rows.schema]))


def _stored(row: dict[str, Any]) -> StoredBatch:
    counts = Counts(**{name: row.get(name) or 0 for name in Counts.__dataclass_fields__})  # none were deleted once
    started, finished = (row[name].replace(tzinfo=UTC) for name in ("started_at", "finished_at"))
    return StoredBatch(row["tenant_id"], row["batch_id"], row["entity"], counts, started, finished, row.get("scope"))
