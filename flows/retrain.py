"""Retrain: forecasts and recommenders per tenant; the predictions join the release."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.retrain import RetrainReport
from mercurios.jobs.retrain import retrain as retrain_job
from mercurios.serving import open_session


@task(task_run_name="retrain-{tenant_id}", cache_policy=NO_CACHE)
def retrain_tenant(tenant_id: str, as_of: datetime) -> RetrainReport:
    """Train every candidate for one tenant, promote the best, publish what it predicts."""
    lake = wiring.open_lake()
    session = open_session(lake.reader(tenant_id, lake.require_current()))
    report = retrain_job(session, wiring.open_registry(), as_of=as_of)
    lake.publish(report.tables, as_of=as_of, tenants=(tenant_id,), base=session.release)
    return report


@flow(name="retrain")
def retrain(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[RetrainReport]:
    """Retrain `tenants` (all when none are named) on the current release."""
    moment = as_of or datetime.now(UTC)
    reports = [retrain_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.scores(reports)
    return reports
