"""Feedback: what people told the API goes from the journal into the warehouse."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from mercurios import wiring
from mercurios.jobs.feedback import FeedbackReport, carry_feedback


@task(task_run_name="feedback-{tenant_id}", cache_policy=NO_CACHE)
def carry_tenant(tenant_id: str) -> FeedbackReport:
    """Carry one tenant's notes."""
    with wiring.open_warehouse() as warehouse:
        return carry_feedback(tenant_id, wiring.open_journals().of(tenant_id), warehouse)


@flow(name="feedback")
def feedback(tenants: list[str] | None = None) -> list[FeedbackReport]:
    """Carry what the people of `tenants` told (of all when none are named); on the machine that serves the API."""
    return [carry_tenant(tenant_id) for tenant_id in tenants or wiring.tenant_ids()]
