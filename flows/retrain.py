"""Retrain: forecasts and recommenders per tenant; the predictions join the release, and are kept to be scored.

Order proposals follow when all of that is published: their failure loses no forecast.
"""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts
from flows.propose import propose
from mercurios import wiring
from mercurios.forecasting.engine import on
from mercurios.jobs.keep_forecasts import keep_forecasts
from mercurios.jobs.retrain import RetrainReport
from mercurios.jobs.retrain import retrain as retrain_job
from mercurios.serving import open_session


@task(task_run_name="retrain-{tenant_id}", cache_policy=NO_CACHE)
def retrain_tenant(tenant_id: str, as_of: datetime) -> RetrainReport:
    """Train every candidate for one tenant, promote the best, publish and keep what it predicts."""
    lake = wiring.open_lake()
    session = open_session(lake.reader(tenant_id, lake.require_current()))
    with on(wiring.forecast_workers()):
        report = retrain_job(session, wiring.open_registry(), as_of=as_of)
    lake.publish(report.tables, as_of=as_of, tenants=(tenant_id,), base=session.release)
    with wiring.open_warehouse() as warehouse:
        keep_forecasts(warehouse, report.kept)
    return report


@flow(name="retrain")
def retrain(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[RetrainReport]:
    """Retrain `tenants` (all when none are named) on the current release, then propose what they should order."""
    moment = as_of or datetime.now(UTC)
    reports = [retrain_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.scores(reports)
    propose(tenants, moment)
    return reports
