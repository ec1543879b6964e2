"""Serving sessions: one tenant's rows of one release, in memory.

    sessions = Sessions(lake, capacity=20)
    session = sessions.get("north")
    session.query("select sum(gross_amount) as revenue from marts.fct_sale_lines")

A session is an in-memory DuckDB with no way out: external access is off and its configuration locked. Rows of other
tenants are not in it, so no query can reach them.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from mercurios.errors import NoRelease
from mercurios.lake import Lake, Reader, Release

SCHEMA = "marts"


@dataclass(frozen=True)
class Session:
    """An open session; safe to use from many threads. It is closed when nobody holds it any more."""

    tenant_id: str
    release: Release
    _connection: duckdb.DuckDBPyConnection

    def query(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """Run one statement with bound parameters; tables are in schema `marts`."""
        with self._connection.cursor() as cursor:
            return cursor.sql(sql, params=parameters).to_arrow_table()

    def holds(self, table: str) -> bool:
        """Whether the session's release publishes that table."""
        return self.release.holds(table)


def open_session(reader: Reader) -> Session:
    """Load the tenant's rows of every table of the reader's release; raises NoRelease when the tenant has none."""
    connection = duckdb.connect(":memory:")
    try:
        _load(connection, reader)
    except BaseException:
        connection.close()
        raise
    return Session(reader.tenant_id, reader.release, connection)


def _load(connection: duckdb.DuckDBPyConnection, reader: Reader) -> None:
    connection.execute(f"create schema {SCHEMA}")
    for table in reader.release.tables:
        rows = reader.table(table.name)
        if table.name == "dim_tenants" and not rows.num_rows:
            raise NoRelease(
                f"release {reader.release.id} holds nothing of tenant {reader.tenant_id!r}; export it first"
            )
        connection.register("incoming", rows)
        connection.execute(f'create table {SCHEMA}."{table.name}" as from incoming')
        connection.unregister("incoming")
    pa.default_memory_pool().release_unused()
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


class Sessions:
    """Open sessions by tenant: opened on first use, swapped when a release appears, least recently used out."""

    def __init__(
        self,
        lake: Lake,
        *,
        capacity: int = 20,
        refresh_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake = lake
        self._capacity = capacity
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._release: Release | None = None
        self._looked_at = float("-inf")

    def get(self, tenant_id: str) -> Session:
        """The tenant's session on the current release; raises NoRelease when there is none."""
        release = self._current()
        with self._lock:
            held = self._open.get(tenant_id)
            if held is not None and held.release == release:
                self._open.move_to_end(tenant_id)
                return held
            opening = self._opening.setdefault(tenant_id, threading.Lock())
        with opening:
            return self._swap(tenant_id, release)

    def __len__(self) -> int:
        return len(self._open)

    def _swap(self, tenant_id: str, release: Release) -> Session:
        with self._lock:
            held = self._open.get(tenant_id)
        if held is not None and held.release.at >= release.at:
            return held
        session = open_session(self._lake.reader(tenant_id, release))
        with self._lock:
            self._open[tenant_id] = session
            self._open.move_to_end(tenant_id)
            while len(self._open) > self._capacity:
                self._open.popitem(last=False)
        return session

    def _current(self) -> Release:
        """The current release; one thread looks at the lake now and then, the others go on with what is known."""
        known, fresh = self._release, self._clock() - self._looked_at < self._refresh_seconds
        if known is not None and (fresh or self._looking.locked()):
            return known
        with self._looking:
            if self._release is None or self._clock() - self._looked_at >= self._refresh_seconds:
                self._release, self._looked_at = self._lake.require_current(), self._clock()
            return self._release
