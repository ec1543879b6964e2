"""Fivetran: look at connections, on request after a sync; events tell what was found.

    fivetran(["warm_sun"], Account(key="prefect-block:fivetran-key", secret="prefect-block:fivetran-secret"))

Each connection gives one event, `mercurios.fivetran.synced`, `.stale` or `.failed`. A failed one fails the run, after
all of them were looked at.
"""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import events
from mercurios import wiring
from mercurios.errors import SyncFailed
from mercurios.jobs.fivetran import (
    IN_ENVIRONMENT,
    Account,
    ConnectionReport,
    Waiting,
    counter,
    look,
    require_sound,
    sync,
)


@dataclass(frozen=True)
class Watch:
    """What is done with each connection. counts_rows: in the warehouse, where it is the connections' destination."""

    stale_after_hours: float = 26.0
    syncs_first: bool = False
    timeout_seconds: float = 3600.0
    poll_seconds: float = 30.0
    counts_rows: bool = False


@task(task_run_name="fivetran-{connection_id}", cache_policy=NO_CACHE)
def check(connection_id: str, account: Account, watch: Watch, as_of: datetime | None = None) -> ConnectionReport:
    """Sync one connection if asked to, judge it, and tell so as an event."""
    with account.open() as api, wiring.open_warehouse(read_only=True) if watch.counts_rows else nullcontext() as store:
        if watch.syncs_first:
            with suppress(SyncFailed):  # the look that follows tells why
                sync(api, connection_id, Waiting(watch.timeout_seconds, watch.poll_seconds))
        stale_after, rows = timedelta(hours=watch.stale_after_hours), counter(store) if store else None
        report = look(api, connection_id, as_of or datetime.now(UTC), stale_after=stale_after, rows=rows)
    events.connection(report)
    return report


@flow(name="fivetran")
def fivetran(
    connections: Sequence[str],
    account: Account = IN_ENVIRONMENT,
    watch: Watch = Watch(),
    as_of: datetime | None = None,
) -> list[ConnectionReport]:
    """Look at every connection; raises SyncFailed naming those that failed."""
    states = [check(connection_id, account, watch, as_of, return_state=True) for connection_id in connections]
    reports = [state.result() for state in states]
    require_sound(reports)
    return reports
