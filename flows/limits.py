"""Limits: what must not run twice at once, kept by the Prefect server for all workers."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.settings import PREFECT_API_URL


def ingest_limit(tenant_id: str) -> str:
    """Name of the limit that keeps two ingests of one merchant apart."""
    return f"mercurios-ingest-{tenant_id}"


def ensure_ingest_limit(tenant_id: str) -> None:
    """Make the limit of one ingest at a time for a merchant."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(ingest_limit(tenant_id), 1)


@contextmanager
def alone(tenant_id: str) -> Iterator[None]:
    """Wait until nobody else reads this merchant, and keep others waiting while the block runs.

    A server that lives as long as the run keeps no limit: it would forget who holds the slot and never give it back
    after a run that was killed. Two runs of one machine are kept apart by the spool's lock.
    """
    if not PREFECT_API_URL.value():
        yield
        return
    ensure_ingest_limit(tenant_id)
    with concurrency(ingest_limit(tenant_id)):
        yield
