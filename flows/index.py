"""Index: one FAISS index per tenant, published with the release."""

from datetime import UTC, datetime

from mercurios.jobs.index import IndexReport
from mercurios.jobs.index import index as index_job
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from mercurios import wiring


@task(task_run_name="index-{tenant_id}", cache_policy=NO_CACHE)
def index_tenant(tenant_id: str, as_of: datetime) -> IndexReport:
    """Embed one tenant's vocabulary and publish the index beside the tables it was made from."""
    lake = wiring.open_lake()
    session = wiring.open_session(lake, tenant_id)
    semantics = wiring.load_semantics(lake, session.release)
    report, body = index_job(session, semantics, wiring.embedder())
    lake.publish({}, as_of=as_of, files={wiring.index_file(tenant_id): body})
    return report


@flow(name="index")
def index(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[IndexReport]:
    """Index `tenants` (all when none are named)."""
    moment = as_of or datetime.now(UTC)
    return [index_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
