"""Ingest: every merchant's source into the warehouse."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts, events, limits
from mercurios import wiring
from mercurios.errors import BudgetSpent, MercuriosError, Transient
from mercurios.jobs.ingest import DUE, Extent, IngestReport, Run
from mercurios.jobs.ingest import ingest as ingest_job


def _is_worth_another_try(_task: object, _run: object, state: object) -> bool:
    error = state.result(raise_on_failure=False)  # type: ignore[attr-defined]
    return isinstance(error, Transient) and not isinstance(error, BudgetSpent)


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

    `extent` is what is due unless it says otherwise: everything, some days again, some entities only.
    """
    run = Run(as_of or datetime.now(UTC), wiring.spool_folder(), extent)
    reports = [ingest_tenant(tenant_id, run) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.batches(reports)
    return reports
