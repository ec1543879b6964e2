"""DuckDB: the embedded warehouse, one file, one writing process at a time.

    with DuckDBWarehouse.open("duckdb:///var/warehouse.duckdb") as warehouse: ...

Three slashes and a relative path, four and an absolute one, as SQLAlchemy has it; `duckdb:///:memory:` keeps nothing.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa

from mercurios.errors import ConfigError, WarehouseBusy, WarehouseError
from mercurios.warehouse.engine import Row
from mercurios.warehouse.sql import SqlWarehouse

SCHEME = "duckdb:///"
MEMORY_MB = 150
BYTES_A_ROW = 40
"""What DuckDB cannot spill of a row that waits in a temporary table, and joins of such rows need."""
ROWS_A_BATCH = 50_000
_CHUNK = "_arriving"


class DuckDBWarehouse(SqlWarehouse):
    """The warehouse in a DuckDB file."""

    types: ClassVar[Mapping[pa.DataType, str]] = {
        pa.string(): "varchar",
        pa.int64(): "bigint",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.timestamp("us"): "timestamp",
        pa.date32(): "date",
    }
    stored_types = types
    address = "rowid"

    def __init__(self, connection: duckdb.DuckDBPyConnection, place: str) -> None:
        self._connection = connection
        self._place = place
        self._memory_mb = MEMORY_MB

    def __repr__(self) -> str:
        return f"DuckDBWarehouse({self._place!r})"

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, memory_mb: int = MEMORY_MB) -> "DuckDBWarehouse":
        """Open or create the file of the URL; its folder is made for this user alone.

        memory_mb: what DuckDB may hold before it spills beside the file; of a batch beyond some four million rows more.
        Raises WarehouseBusy while another process writes, WarehouseError when the file cannot be opened.
        """
        place = path_of(url)
        if place != ":memory:":
            _prepare(Path(place), read_only)
        try:
            connection = duckdb.connect(place, read_only=read_only)
        except duckdb.Error as error:
            raise _opening_failed(place, error) from error
        warehouse = cls(connection, place)
        for setting in ("autoinstall_known_extensions = false", "TimeZone = 'UTC'"):
            warehouse.run(f"set {setting}")  # not at connect: dbt may hold the file open in this process, with others
        warehouse._memory_mb = memory_mb
        warehouse.expect(0)
        return warehouse

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._translated():
            return self._connection.execute(statement, list(parameters)).fetchall()

    def fetch(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        with self._translated():
            return self._connection.sql(statement, params=list(parameters)).to_arrow_table()

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        with self._translated():
            yield from self._connection.sql(statement, params=list(parameters)).to_arrow_reader(ROWS_A_BATCH)

    def append(self, table: str, chunks: Iterable[pa.Table]) -> None:
        arriving = _Arriving(chunks)
        if arriving.schema is None:
            return
        self._connection.register(_CHUNK, arriving.reader())
        try:
            with self._translated():
                self._connection.execute(f"insert into {table} by name from {_CHUNK}")
        except WarehouseError:
            if arriving.failure is not None:  # DuckDB repeats it as its own
                raise arriving.failure from None
            raise
        finally:
            self._connection.unregister(_CHUNK)

    def expect(self, rows: int) -> None:
        """Allow DuckDB, the whole file of it, the memory that it needs for so many rows that wait."""
        self.run(f"set memory_limit = '{max(self._memory_mb, rows * BYTES_A_ROW // 10**6)}MB'")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._translated():
            self._connection.begin()
        try:
            yield
            with self._translated():
                self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise WarehouseError(f"{self._place}: {error}") from error


class _Arriving:
    """Chunks as one stream of batches: a statement a chunk, each a transaction, takes five times as long."""

    def __init__(self, chunks: Iterable[pa.Table]) -> None:
        self._chunks = iter(chunks)
        self._first = next(self._chunks, None)
        self.failure: BaseException | None = None

    @property
    def schema(self) -> pa.Schema | None:
        """Of the first chunk, None when there is none; the others are like it."""
        return None if self._first is None else self._first.schema

    def reader(self) -> pa.RecordBatchReader:
        """The stream, to be read once; what the chunks raise is kept as `failure`."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for chunk in itertools.chain([self._first], self._chunks):
                yield from chunk.to_batches()
        except BaseException as error:
            self.failure = error
            raise


def path_of(url: str) -> str:
    """The file of a `duckdb:///` URL, or `:memory:`; raises ConfigError for anything else."""
    place = url.removeprefix(SCHEME)
    if not url.startswith(SCHEME) or not place:
        raise ConfigError(f"expected a warehouse URL like duckdb:///var/warehouse.duckdb, got {url[:80]!r}")
    return place


def _prepare(path: Path, read_only: bool) -> None:
    if read_only and not path.is_file():
        raise WarehouseError(f"no warehouse at {path}; run `mercurios ingest` or `mercurios demo` first")
    try:
        for folder in reversed([parent for parent in path.parents if not parent.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WarehouseError(f"cannot make the folder of {path}: {error.strerror}; choose another warehouse") from error


def _opening_failed(place: str, error: duckdb.Error) -> WarehouseError:
    if "lock on file" in str(error):
        return WarehouseBusy(
            f"another process holds {place}: {error}; DuckDB lets one process write at a time, so wait for that job to "
            "end (or close the shell that has the file open) and run again"
        )
    if "different configuration" in str(error):
        return WarehouseBusy(f"this process has {place} open in another way already; close that one first")
    return WarehouseError(f"{place} cannot be opened as a DuckDB database: {error}; move the file away or name another")
