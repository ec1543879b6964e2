"""What an adapter gives: a few primitives and a table of types. Everything else is written once, over any of them.

class DuckDBWarehouse(SqlWarehouse): ...
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import pyarrow as pa

from mercurios.errors import WarehouseError
from mercurios.warehouse import TableSpec, statements
from mercurios.warehouse.rows import owned

Row = tuple[Any, ...]


class Engine(ABC):
    """A connection to a warehouse. Temporary tables are its own and vanish with it."""

    types: ClassVar[Mapping[pa.DataType, str]]
    stored_types: ClassVar[Mapping[pa.DataType, str]]
    """The same types as the information schema calls them, in lower case."""
    tenant_policy: ClassVar[str] = ""
    """What follows the columns when a table of tenants' rows is made, in an engine that tells sessions apart."""
    address: ClassVar[str | None] = None
    """The column that tells where a row lies, as long as a transaction lasts, in an engine that has one."""
    partitions_a_query: ClassVar[int] = 1
    """How many partitions of an extract are read at once: more where a query costs more than a sort."""

    @abstractmethod
    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Execute one statement with `?` bound and return its rows; raises WarehouseError.

        What changes rows returns one row that begins with their number.
        """

    @abstractmethod
    def fetch(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Execute one query and return its rows as Arrow, as the engine types them."""

    @abstractmethod
    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        """Execute one query and yield its rows as they come; nothing else runs on the connection until then."""

    @abstractmethod
    def append(self, table: str, chunks: Iterable[pa.Table]) -> None:
        """Add rows in bulk, a chunk in memory at a time; columns are matched by name."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing for the statements of the block, none of which creates or drops a table."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def expect(self, rows: int) -> None:  # noqa: B027 - most have no need to
        """Be told how many rows wait in a temporary table of this connection, for an engine that has to make room."""

    def number(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """The one number that a statement returns, or how many rows it changed."""
        return int(self.run(statement, parameters)[0][0])

    def create_staged(self, name: str, columns: pa.Schema) -> None:
        """Create a table of this connection with these columns and the place of arrival."""
        self.run(statements.create_staged(name, {field.name: self.types[field.type] for field in columns}))

    @contextmanager
    def staged(self, table: TableSpec, rows: pa.Table) -> Iterator[str]:
        """Put rows aside in a table of this connection; yields its name."""
        name = f"aside_{table.name.replace('.', '_')}"
        self.create_staged(name, table.columns)
        try:
            self.append(name, [rows])
            yield name
        finally:
            self.run(statements.drop(name))

    def aside(self, table: TableSpec, tenant_id: str, rows: pa.Table) -> AbstractContextManager[str]:
        """Put aside what meets a tenant's rows of the same key; raises WarehouseError when a key comes twice."""
        whole = owned(table, tenant_id, rows)
        if whole.select(table.key).is_duplicated().any():
            raise WarehouseError(f"{table.name}: a key ({', '.join(table.key)}) comes twice; send each row once")
        return self.staged(table, whole.to_arrow())

    def replace_rows(self, table: TableSpec, name: str) -> None:
        """Make the rows of a staged table replace those of the same key."""
        for statement in statements.replace_rows(table, name):
            self.run(statement)
