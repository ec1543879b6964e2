"""Status: what is there, per tenant: raw and mart rows, quarantine, release, champions, freshness.

status = collect(tenant_ids, warehouse, lake, registry)
json.dumps(asdict(status))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mercurios.lake import Lake, Release
from mercurios.registry import Registry
from mercurios.warehouse import Warehouse


@dataclass(frozen=True)
class RawStatus:
    """One raw table of one tenant: rows now, and what its newest batch did with what it extracted."""

    rows: int
    extracted: int
    loaded: int
    quarantined: int
    batch: str


@dataclass(frozen=True)
class Champion:
    """A registered model that carries the alias `champion`."""

    version: str
    model: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Freshness:
    """Last day with sales, the newest batch's end (UTC), and when the release was published (UTC); ISO 8601 or None."""

    last_sale_on: str | None
    ingested_at: str | None
    released_at: str | None


@dataclass(frozen=True)
class TenantStatus:
    """Everything about one tenant."""

    id: str
    raw: Mapping[str, RawStatus]
    marts: Mapping[str, int]
    quarantined: int
    champions: Mapping[str, Champion]
    freshness: Freshness


@dataclass(frozen=True)
class ReleaseStatus:
    """The current release; rows by table over all tenants."""

    id: str
    at: str
    as_of: str
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Status:
    """What `mercurios status` shows."""

    tenants: Sequence[TenantStatus]
    release: ReleaseStatus | None


def collect(tenant_ids: Sequence[str], warehouse: Warehouse, lake: Lake, registry: Registry) -> Status:
    """Look at every store; nothing is changed. A store that is still empty shows as empty."""
    release = lake.current()
    batches = warehouse.batches()
    tenants = [_tenant(tenant_id, warehouse, batches, lake, release, registry) for tenant_id in tenant_ids]
    return Status(tenants, _release(release) if release else None)


def _release(release: Release) -> ReleaseStatus:
    tables = {table.name: table.rows for table in release.tables}
    return ReleaseStatus(release.id, release.at.isoformat(), release.as_of.isoformat(), tables)
