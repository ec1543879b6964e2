"""Fivetran: look at connections, on request after a sync; events tell what was found.

    fivetran(["warm_sun"], Account(key="prefect-block:fivetran-key", secret="prefect-block:fivetran-secret"))

Each connection gives one event, `mercurios.fivetran.synced`, `.stale` or `.failed`. A failed one fails the run, after
all of them were looked at.
"""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from mercurios import wiring
from mercurios.fivetran.api import URL, FivetranApi
from mercurios.jobs.fivetran import Condition, ConnectionReport, SyncFailed, Waiting, counter, look
from mercurios.jobs.fivetran import sync as sync_job
from mercurios.secrets import SecretRef


@dataclass(frozen=True)
class Account:
    """Whose connections they are: references to API key and secret, never the secrets (see `mercurios.secrets`)."""

    key: str = "env:FIVETRAN_API_KEY"
    secret: str = "env:FIVETRAN_API_SECRET"
    url: str = URL

    def open(self) -> FivetranApi:
        """The account's API."""
        return FivetranApi(SecretRef.parse(self.key, Path()), SecretRef.parse(self.secret, Path()), url=self.url)


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
            _sync(api, connection_id, watch)
        stale_after = timedelta(hours=watch.stale_after_hours)
        rows = counter(store) if store else None
        report = look(api, connection_id, as_of or datetime.now(UTC), stale_after=stale_after, rows=rows)
    _tell(report)
    return report


def _sync(api: FivetranApi, connection_id: str, watch: Watch) -> None:
    with suppress(SyncFailed):  # the look that follows tells why
        sync_job(api, connection_id, Waiting(watch.timeout_seconds, watch.poll_seconds))


def _tell(report: ConnectionReport) -> None:
    emit_event(
        event=f"mercurios.fivetran.{report.condition.value}",
        resource={
            "prefect.resource.id": f"mercurios.fivetran.{report.connection_id}",
            "prefect.resource.name": report.schema or report.connection_id,
        },
        payload={
            "reasons": list(report.reasons),
            "setup_state": report.setup_state,
            "sync_state": report.sync_state,
            "age_hours": report.age_hours,
            "tasks": list(report.tasks),
            "rows": dict(report.rows),
        },
    )


@flow(name="fivetran")
def fivetran(
    connections: Sequence[str],
    account: Account = Account(),
    watch: Watch = Watch(),
    as_of: datetime | None = None,
) -> list[ConnectionReport]:
    """Look at every connection; raises SyncFailed naming those that failed."""
    states = [check(connection_id, account, watch, as_of, return_state=True) for connection_id in connections]
    reports = [state.result() for state in states]
    if failed := [report for report in reports if report.condition is Condition.FAILED]:
        told = "; ".join(f"{report.connection_id}: {', '.join(report.reasons)}" for report in failed)
        raise SyncFailed(f"Fivetran connections failed: {told}; see their logs in Fivetran")
    return reports
