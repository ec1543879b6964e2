"""Query: ask the questions that prove a release answers."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.query import QueryReport, ask_all


@task(task_run_name="query-{tenant_id}", cache_policy=NO_CACHE)
def query_tenant(tenant_id: str) -> QueryReport:
    """Ask one tenant's release the standard questions."""
    workspace = wiring.open_workspace(tenant_id)
    return ask_all(tenant_id, workspace.ask)


@flow(name="query")
def query(tenants: list[str] | None = None) -> list[QueryReport]:
    """Ask for `tenants` (all when none are named) and keep the answers as an artifact."""
    reports = [query_tenant(tenant_id) for tenant_id in tenants or wiring.tenant_ids()]
    artifacts.answers(reports)
    return reports
