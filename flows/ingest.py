"""Ingest: every merchant's ProHandel into the warehouse."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts
from mercurios import wiring
from mercurios.errors import Transient
from mercurios.jobs.ingest import IngestReport
from mercurios.jobs.ingest import ingest as ingest_job


@task(
    task_run_name="ingest-{tenant_id}",
    cache_policy=NO_CACHE,
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=lambda _task, _run, state: isinstance(state.result(raise_on_failure=False), Transient),
)
def ingest_tenant(tenant_id: str, as_of: datetime) -> IngestReport:
    """Read one merchant; a later try starts the read again and changes nothing twice."""
    tenant = wiring.tenants().get(tenant_id)
    with wiring.open_warehouse() as warehouse, wiring.open_source(tenant) as source:
        return ingest_job(source, tenant, warehouse, as_of)


@flow(name="ingest")
def ingest(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[IngestReport]:
    """Read `tenants` (all when none are named) one after the other: DuckDB has one writer."""
    moment = as_of or datetime.now(UTC)
    reports = [ingest_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.batches(reports)
    return reports
