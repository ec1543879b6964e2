"""Propose: what every tenant should order; the proposals join the release."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.propose import ProposalReport
from mercurios.jobs.propose import propose_orders as propose_job
from mercurios.serving import open_session


@task(task_run_name="propose-{tenant_id}", cache_policy=NO_CACHE)
def propose_tenant(tenant_id: str, as_of: datetime) -> ProposalReport:
    """Propose orders of one tenant from the current release, and publish them."""
    lake = wiring.open_lake()
    session = open_session(lake.reader(tenant_id, lake.require_current()))
    report = propose_job(session, as_of=as_of)
    lake.publish(report.tables, as_of=as_of, tenants=(tenant_id,), base=session.release)
    return report


@flow(name="propose")
def propose(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[ProposalReport]:
    """Propose orders for `tenants` (all when none are named); one that fails is told after all were tried."""
    moment = as_of or datetime.now(UTC)
    states = [propose_tenant(tenant_id, moment, return_state=True) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.proposals([state.result() for state in states if state.is_completed()])
    return [state.result() for state in states]
