"""Quality: every merchant's raw rows against what is expected and what was promised; breaches are events."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts, events
from mercurios import wiring
from mercurios.jobs.quality import quality as quality_job
from mercurios.quality import QualityReport


@task(task_run_name="quality-{tenant_id}", cache_policy=NO_CACHE)
def measure_tenant(tenant_id: str, as_of: datetime) -> QualityReport:
    """Measure one merchant and tell of every promise that is not kept."""
    tenant = wiring.tenants().get(tenant_id)
    with wiring.open_warehouse() as warehouse:
        report = quality_job(tenant, warehouse, as_of)
    events.breach(report)
    return report


@flow(name="quality")
def quality(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[QualityReport]:
    """Measure `tenants` (all when none are named). A breach is no failure of the flow."""
    moment = as_of or datetime.now(UTC)
    reports = [measure_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.quality(reports)
    return reports
