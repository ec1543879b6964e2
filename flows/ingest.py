"""Ingest: every merchant's source into the warehouse."""

from datetime import UTC, datetime

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts, events, limits
from mercurios import wiring
from mercurios.errors import MercuriosError, Transient
from mercurios.jobs.ingest import DUE, Extent, IngestReport, Run
from mercurios.jobs.ingest import ingest as ingest_job


def _is_worth_another_try(_task: object, _run: object, state: State[IngestReport]) -> bool:
    return isinstance(state.result(raise_on_failure=False), Transient)


@task(
    task_run_name="ingest-{tenant_id}",
    cache_policy=NO_CACHE,
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=_is_worth_another_try,
)
def ingest_tenant(tenant_id: str, run: Run) -> IngestReport:
    """Read one merchant, alone; a later try goes on where this one stopped."""
    tenant = wiring.tenants().get(tenant_id)
    try:
        with (
            limits.alone(tenant_id),
            wiring.open_warehouse() as warehouse,
            wiring.open_source(tenant, warehouse) as source,
        ):
            report = ingest_job(source, tenant, warehouse, run)
    except MercuriosError as error:
        events.failed(tenant_id, error)
        raise
    events.drift(tenant_id, report.drifts)
    return report


@flow(name="ingest")
def ingest(tenants: list[str] | None = None, as_of: datetime | None = None, extent: Extent = DUE) -> list[IngestReport]:
    """Read `tenants` (all when none are named) one after the other: DuckDB has one writer.

    `extent` is what is due unless it says otherwise: everything, some days again, some entities only. A merchant that
    fails keeps no other from being read; the flow fails in the end.
    """
    run = Run(as_of or datetime.now(UTC), wiring.spool_folder(), extent)
    states = [ingest_tenant(tenant_id, run, return_state=True) for tenant_id in tenants or wiring.tenant_ids()]
    results = [state.result(raise_on_failure=False) for state in states]
    reports = [result for result in results if isinstance(result, IngestReport)]
    artifacts.batches(reports)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return reports
