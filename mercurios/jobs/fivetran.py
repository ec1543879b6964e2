"""Fivetran: how connections are doing, and a sync that is awaited.

    with Account().open() as api:
        report = look(api, "warm_sun", as_of, stale_after=timedelta(hours=26), rows=counter(warehouse))
    report.condition, report.reasons, report.rows

Fivetran's API does not tell rows: they are counted in the destination.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

import structlog
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from mercurios.errors import BadRequest, SyncFailed, SyncOverdue
from mercurios.fivetran.api import URL, Connection, FivetranApi
from mercurios.secrets import SecretRef
from mercurios.warehouse import NAME, Warehouse


@dataclass(frozen=True)
class Account:
    """Whose connections they are: references to API key and secret, never the secrets (see `mercurios.secrets`)."""

    key: str = "env:FIVETRAN_API_KEY"
    secret: str = "env:FIVETRAN_API_SECRET"
    url: str = URL

    def open(self) -> FivetranApi:
        """The account's API; raises ConfigError."""
        return FivetranApi(SecretRef.parse(self.key, Path()), SecretRef.parse(self.secret, Path()), url=self.url)


IN_ENVIRONMENT = Account()


class Condition(Enum):
    """How a connection is doing; the name of the event that tells so."""

    SYNCED = "synced"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class ConnectionReport:
    """One connection at a moment. age_hours: since the last sync that succeeded, None when there was none.

    reasons: why it is not synced. rows: by table, as counted in the destination.
    """

    connection_id: str
    schema: str
    condition: Condition
    reasons: tuple[str, ...]
    setup_state: str
    sync_state: str
    succeeded_at: datetime | None
    failed_at: datetime | None
    age_hours: float | None
    tasks: tuple[str, ...]
    warnings: tuple[str, ...]
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a sync, and how often to look."""

    timeout_seconds: float = 3600.0
    poll_seconds: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


def look(
    api: FivetranApi,
    connection_id: str,
    as_of: datetime,
    *,
    stale_after: timedelta,
    rows: Callable[[str], Mapping[str, int]] | None = None,
) -> ConnectionReport:
    """Judge a connection: failed, stale (no success within `stale_after` of `as_of`), or synced.

    rows: counts rows by table of the connection's schema in the destination, such as `counter(warehouse)`.
    Raises what `FivetranApi.connection` raises.
    """
    if as_of.tzinfo is None:
        raise BadRequest(f"as_of must carry a time zone, got {as_of.isoformat()}; add one, e.g. +00:00")
    report = _judged(api.connection(connection_id), as_of, stale_after, rows)
    structlog.get_logger().info(
        "fivetran", connection=report.connection_id, condition=report.condition.value, age_hours=report.age_hours
    )
    return report


def _judged(
    connection: Connection,
    as_of: datetime,
    stale_after: timedelta,
    rows: Callable[[str], Mapping[str, int]] | None,
) -> ConnectionReport:
    age = None if connection.succeeded_at is None else as_of - connection.succeeded_at
    failures, staleness = _failures(connection), _staleness(connection, age, stale_after)
    return ConnectionReport(
        connection_id=connection.id,
        schema=connection.schema,
        condition=Condition.FAILED if failures else Condition.STALE if staleness else Condition.SYNCED,
        reasons=(*failures, *staleness),
        setup_state=connection.setup_state,
        sync_state=connection.sync_state,
        succeeded_at=connection.succeeded_at,
        failed_at=connection.failed_at,
        age_hours=None if age is None else round(age / timedelta(hours=1), 2),
        tasks=connection.tasks,
        warnings=connection.warnings,
        rows=dict(rows(connection.schema)) if rows else {},
    )


def counter(warehouse: Warehouse) -> Callable[[str], Mapping[str, int]]:
    """Count rows by table of a schema of the destination; none where the schema is not there."""

    def counted(schema: str) -> Mapping[str, int]:
        tables = warehouse.tables(schema) if NAME.fullmatch(schema) else ()
        return {table: warehouse.count(table) for table in tables}

    return counted


def require_sound(reports: Iterable[ConnectionReport]) -> None:
    """Raise SyncFailed naming the connections that failed, and why."""
    if failed := [report for report in reports if report.condition is Condition.FAILED]:
        told = "; ".join(f"{report.connection_id}: {', '.join(report.reasons)}" for report in failed)
        raise SyncFailed(f"Fivetran connections failed: {told}; see their logs in Fivetran")


def _failures(connection: Connection) -> tuple[str, ...]:
    reasons = []
    if connection.setup_state != "connected":
        reasons.append(f"its setup is {connection.setup_state}")
    if connection.has_failed_last:
        reasons.append(f"its newest sync failed at {connection.failed_at:%Y-%m-%d %H:%M} UTC")
    return tuple(reasons)


def _staleness(connection: Connection, age: timedelta | None, stale_after: timedelta) -> tuple[str, ...]:
    paused = ("it is paused",) if connection.is_paused else ()
    if age is None:
        return ("no sync has ever succeeded", *paused)
    return (f"its last good sync is {age / timedelta(hours=1):.1f} h old", *paused) if age > stale_after else ()


def sync(api: FivetranApi, connection_id: str, waiting: Waiting | None = None) -> Connection:
    """Start a sync and wait until it has succeeded; one that runs already counts.

    Raises SyncFailed when it fails or the connection is paused or not set up, SyncOverdue when the time is up.
    """
    chosen = waiting or Waiting()
    before = api.connection(connection_id)
    if before.is_paused or before.setup_state != "connected":
        state = "paused" if before.is_paused else before.setup_state
        raise SyncFailed(f"Fivetran connection {connection_id} is {state}; set it right in Fivetran and run again")
    api.start_sync(connection_id)
    after = _awaited(api, before, chosen)
    if after.has_failed_last:
        told = f" ({', '.join(after.tasks)})" if after.tasks else ""
        raise SyncFailed(f"Fivetran connection {connection_id}: the sync failed{told}; see its logs in Fivetran")
    return after


def _awaited(api: FivetranApi, before: Connection, waiting: Waiting) -> Connection:
    """The connection once a sync that was not over before has come to its end."""

    def goes_on(now: Connection) -> bool:
        return (now.succeeded_at, now.failed_at) == (before.succeeded_at, before.failed_at)

    polling = Retrying(
        retry=retry_if_result(goes_on),
        wait=wait_fixed(waiting.poll_seconds),
        stop=stop_after_delay(waiting.timeout_seconds),
        sleep=waiting.sleep,
    )
    try:
        return polling(api.connection, before.id)
    except RetryError as error:
        last: Connection = error.last_attempt.result()
        raise SyncOverdue(
            f"Fivetran connection {before.id}: no end of the sync within {waiting.timeout_seconds:.0f} s, it is "
            f"{last.sync_state}; look again later"
        ) from None
