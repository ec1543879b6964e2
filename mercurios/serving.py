"""Serving sessions: one tenant's rows of one release, in memory.

    sessions = Sessions(lake, capacity_bytes=4_000_000_000)
    session = sessions.get("north")
    session.query("select sum(gross_amount) as revenue from marts.fct_sale_lines")

A session is an in-memory DuckDB with no way out: external access is off and its configuration locked. Rows of other
tenants are not in it, so no query can reach them. A table is read from the lake when a statement first names it, and
stays: a release that is expired meanwhile takes nothing away that was read.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import structlog

from mercurios.deadlines import within_deadline
from mercurios.errors import LakeError, NoRelease
from mercurios.lake import Lake, Reader, Release

SCHEMA = "marts"
_LOG = structlog.get_logger(__name__)
_NAMED = re.compile(rf'\b{SCHEMA}"?\."?(\w+)', re.IGNORECASE)


class Tables:
    """The tables of a session, read from the lake one by one as they are needed; safe to use from many threads.

    grown: hears of every table that was read.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, reader: Reader, grown: Callable[[], None] = lambda: None
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._grown = grown
        self._reading = {table.name: threading.Lock() for table in reader.release.tables}
        self._held: set[str] = set()
        self._counts: dict[str, int] = {}
        self.size_bytes = 0

    @property
    def held(self) -> frozenset[str]:
        """The tables that were read."""
        return frozenset(self._held)

    def need(self, names: Iterable[str]) -> None:
        """Read those that are part of the release and not here yet; raises NoRelease when it is expired."""
        for name in names:
            if name in self._reading and name not in self._held:
                with self._reading[name]:
                    if name not in self._held:
                        self._read(name)

    def count(self, name: str) -> int:
        """The tenant's rows in the lake, from metadata where it has them; looked up once."""
        if name not in self._counts:
            self._counts[name] = self._reader.count(name)
        return self._counts[name]

    def _read(self, name: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.register("incoming", self._reader.table(name))
            cursor.execute(f'create table {SCHEMA}."{name}" as from incoming')
            cursor.unregister("incoming")
            size = cursor.sql("select sum(memory_usage_bytes)::bigint from duckdb_memory()").fetchall()[0][0]
        pa.default_memory_pool().release_unused()
        self._held.add(name)
        self.size_bytes = int(size)
        self._grown()


@dataclass(frozen=True)
class Session:
    """An open session; safe to use from many threads. It is closed when nobody holds it any more.

    tables: where those that are not in memory yet come from; None when all are there.
    """

    tenant_id: str
    release: Release
    _connection: duckdb.DuckDBPyConnection
    tables: Tables | None = None

    def query(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """Run one statement with bound parameters; tables are in schema `marts`.

        Raises NoRelease when a table it names was not read before and the release is expired, Timeout when the deadline
        of the work it belongs to has passed. Reading a table from the lake is not cut short: others wait for it too.
        """
        if self.tables is not None:
            named = f"{sql} {parameters}" if "query_table" in sql else sql
            self.tables.need(name.lower() for name in _NAMED.findall(named))
        with self._connection.cursor() as cursor, within_deadline(cursor):
            return cursor.sql(sql, params=parameters).to_arrow_table()

    def holds(self, table: str) -> bool:
        """Whether the session's release publishes that table."""
        return self.release.holds(table)

    def count(self, table: str) -> int:
        """How many rows of the table are the tenant's; a table is not read to count them."""
        if self.tables is not None and table not in self.tables.held:
            return self.tables.count(table)
        return int(self.query("select count(*) as n from query_table(?)", [f"{SCHEMA}.{table}"])["n"][0].as_py())

    @property
    def size_bytes(self) -> int:
        """Memory of the tables that were read, as DuckDB accounts for it."""
        return self.tables.size_bytes if self.tables else 0


def open_session(reader: Reader, *, threads: int | None = None, grown: Callable[[], None] = lambda: None) -> Session:
    """Open the tenant's rows of the reader's release; raises NoRelease when the tenant has none.

    threads: of one statement, all cores unless given. grown: hears of every table that was read.
    """
    connection = duckdb.connect(":memory:", config={"threads": threads} if threads else {})
    try:
        connection.execute(f"create schema {SCHEMA}")
        connection.execute("set temp_directory = ''")  # rows stay in memory, or the statement fails
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        session = Session(reader.tenant_id, reader.release, connection, Tables(connection, reader, grown))
        _require_tenant(session)
    except BaseException:
        connection.close()
        raise
    return session


def _require_tenant(session: Session) -> None:
    if session.holds("dim_tenants") and not session.query("select 1 from marts.dim_tenants").num_rows:
        raise NoRelease(f"release {session.release.id} holds nothing of tenant {session.tenant_id!r}; export it first")


class Sessions:
    """Open sessions by tenant: opened on first use, swapped when a release appears, least recently used out.

    capacity_bytes: of all tables together; the session that is asked for stays even when it alone is larger. Each
    statement runs on the thread that asks, so that many tenants do not fight for a few cores.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        capacity_bytes: int = 4_000_000_000,
        refresh_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake = lake
        self._capacity_bytes = capacity_bytes
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._release: Release | None = None
        self._looked_at = float("-inf")

    def get(self, tenant_id: str) -> Session:
        """The tenant's session on the current release; raises NoRelease when there is none.

        Whoever meets a new release first opens it; until that is done the others go on with the one before.
        """
        release = self._current()
        with self._lock:
            held = self._open.get(tenant_id)
            if held is not None:
                self._open.move_to_end(tenant_id)
            opening = self._opening.setdefault(tenant_id, threading.Lock())
        if held is not None and (held.release == release or opening.locked()):
            return held
        with opening:
            return self._swap(tenant_id, release)

    def known(self, tenant_id: str) -> Release | None:
        """The release the tenant is served from, without waiting; None when somebody has to look at the lake first."""
        release = self._release
        return self._served(tenant_id, release) if release is not None and self._is_known() else None

    def release(self, tenant_id: str) -> Release:
        """The release the tenant is served from; raises NoRelease when there is none."""
        return self._served(tenant_id, self._current())

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size_bytes(self) -> int:
        """Memory of all open sessions."""
        with self._lock:
            return sum(session.size_bytes for session in self._open.values())

    def _served(self, tenant_id: str, current: Release) -> Release:
        """The one before while the current one is being opened for the tenant."""
        with self._lock:
            held, opening = self._open.get(tenant_id), self._opening.get(tenant_id)
        return held.release if held is not None and opening is not None and opening.locked() else current

    def _swap(self, tenant_id: str, release: Release) -> Session:
        with self._lock:
            held = self._open.get(tenant_id)
        if held is not None and held.release.at >= release.at:
            return held
        try:
            session = self._opened(tenant_id, release, held)
        except NoRelease:
            with self._lock:
                self._open.pop(tenant_id, None)
            raise
        except LakeError as error:
            if held is None:
                raise
            _LOG.warning("serving.not_swapped", kept=held.release.id, new=release.id, error=type(error).__name__)
            return held
        with self._lock:
            self._open[tenant_id] = session
            self._open.move_to_end(tenant_id)
        self._make_room(tenant_id)
        return session

    def _opened(self, tenant_id: str, release: Release, held: Session | None) -> Session:
        """A session with all tables that the one before has needed, so that nobody waits for them again."""
        reader = self._lake.reader(tenant_id, release)
        session = open_session(reader, threads=1, grown=lambda: self._make_room(tenant_id))
        if held is not None and held.tables is not None and session.tables is not None:
            session.tables.need(held.tables.held)
        return session

    def _make_room(self, asking: str) -> None:
        with self._lock:
            total = sum(session.size_bytes for session in self._open.values())
            for tenant_id in [name for name in self._open if name != asking]:
                if total <= self._capacity_bytes:
                    return
                total -= self._open.pop(tenant_id).size_bytes

    def _is_known(self) -> bool:
        fresh = self._clock() - self._looked_at < self._refresh_seconds
        return self._release is not None and (fresh or self._looking.locked())

    def _current(self) -> Release:
        """The current release; one thread looks at the lake now and then, the others go on with what is known."""
        known = self._release
        if known is not None and self._is_known():
            return known
        with self._looking:
            if self._release is None or self._clock() - self._looked_at >= self._refresh_seconds:
                self._release, self._looked_at = self._look(), self._clock()
            return self._release

    def _look(self) -> Release:
        """The newest release; a lake that cannot be reached costs freshness, and answers only when none is known."""
        try:
            return self._lake.require_current()
        except LakeError as error:
            if self._release is None:
                raise
            _LOG.warning("serving.lake_unreachable", release=self._release.id, error=type(error).__name__)
            return self._release
