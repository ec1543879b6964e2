"""Retrain: forecasts and recommenders per tenant; the predictions join the release, and are kept to be scored.

Order proposals follow when all of that is published: their failure loses no forecast.
"""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts, events
from flows.propose import propose
from mercurios import wiring
from mercurios.forecasting.engine import on
from mercurios.jobs.drift import drift
from mercurios.jobs.keep_forecasts import keep_forecasts
from mercurios.jobs.retrain import RetrainReport
from mercurios.jobs.retrain import retrain as retrain_job
from mercurios.serving import open_session


@task(task_run_name="retrain-{tenant_id}", cache_policy=NO_CACHE)
def retrain_tenant(tenant_id: str, as_of: datetime, *, only_due: bool) -> RetrainReport:
    """Train for one tenant what is due, promote the best, publish and keep what it predicts."""
    lake, registry = wiring.open_lake(), wiring.open_registry()
    session = open_session(lake.reader(tenant_id, lake.require_current()))
    due = None
    if only_due:
        watched = drift(session, registry, as_of=as_of)
        events.forecast_drift(watched)
        due = watched.due
    with on(wiring.forecast_workers()):
        report = retrain_job(session, registry, as_of=as_of, due=due)
    lake.publish(report.tables, as_of=as_of, tenants=(tenant_id,), base=session.release)
    with wiring.open_warehouse() as warehouse:
        keep_forecasts(warehouse, report.kept)
    return report


@flow(name="retrain")
def retrain(
    tenants: list[str] | None = None, as_of: datetime | None = None, only_due: bool = False
) -> list[RetrainReport]:
    """Retrain `tenants` (all when none are named) on the current release, then propose what they should order.

    only_due: compare methods only where something drifts, methods were compared four weeks ago, or the specification
    has changed; fit the other champions anew.
    """
    moment = as_of or datetime.now(UTC)
    reports = [retrain_tenant(tenant_id, moment, only_due=only_due) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.scores(reports)
    for report in reports:
        artifacts.forecast_card(report.tenant_id, wiring.write_forecast_card(report).read_text())
    propose(tenants, moment)
    return reports
