"""Index: one FAISS index per tenant, published with the release."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from mercurios import wiring
from mercurios.jobs.index import IndexReport
from mercurios.jobs.index import index as index_job
from mercurios.release_files import index_name
from mercurios.serving import open_session


@task(task_run_name="index-{tenant_id}", cache_policy=NO_CACHE)
def index_tenant(tenant_id: str, as_of: datetime) -> IndexReport:
    """Embed one tenant's vocabulary and publish the index beside the tables it was made from."""
    lake = wiring.open_lake()
    session = open_session(lake.reader(tenant_id, lake.require_current()))
    semantics = wiring.release_files(lake).semantics(session.release)
    report, body = index_job(session, semantics, wiring.embedder())
    lake.publish({}, as_of=as_of, files={index_name(tenant_id): body}, base=session.release)
    return report


@flow(name="index")
def index(tenants: list[str] | None = None, as_of: datetime | None = None) -> list[IndexReport]:
    """Index `tenants` (all when none are named); then answer ahead what is asked most."""
    moment = as_of or datetime.now(UTC)
    reports = [index_tenant(tenant_id, moment) for tenant_id in tenants or wiring.tenant_ids()]
    wiring.warm_answers()
    return reports
