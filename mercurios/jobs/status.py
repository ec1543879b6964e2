"""Status: what is there, per tenant: raw and mart rows, quarantine, release, champions, freshness.

status = collect(tenant_ids, warehouse, lake, registry)
json.dumps(asdict(status))
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from mercurios.jobs.quarantine import count_open, is_replay
from mercurios.lake import Lake, Release
from mercurios.registry import Registry
from mercurios.warehouse import StoredBatch, Warehouse

_RAW = "raw.prohandel_"


@dataclass(frozen=True)
class RawStatus:
    """One raw table of one tenant: rows now, and what its newest batch did with what it extracted."""

    rows: int
    extracted: int
    loaded: int
    quarantined: int


@dataclass(frozen=True)
class Champion:
    """A registered version that carries the alias `champion`, with the metrics of its run."""

    version: int
    model: str
    reason: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Freshness:
    """Last local day with sales, end of the newest batch from a source, time of the release; ISO 8601, None without."""

    last_sale_on: str | None
    ingested_at: str | None
    released_at: str | None


@dataclass(frozen=True)
class TenantStatus:
    """Everything about one tenant.

    `raw` tells of the newest batch of each entity that its source sent, `quarantined` counts the records that are in
    quarantine, `marts` the rows of the current release.
    """

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
    batches = [batch for batch in warehouse.batches() if not is_replay(batch)]
    tenants = []
    for tenant_id in tenant_ids:
        raw, ingested_at = _raw(tenant_id, warehouse, batches)
        marts, last_sale_on = _marts(lake, release, tenant_id)
        fresh = Freshness(last_sale_on, ingested_at, release.at.isoformat() if release else None)
        held = count_open(warehouse, tenant_id)
        tenants.append(TenantStatus(tenant_id, raw, marts, held, _champions(registry, tenant_id), fresh))
    return Status(tenants, _release(release) if release else None)


def _raw(
    tenant_id: str, warehouse: Warehouse, batches: Sequence[StoredBatch]
) -> tuple[Mapping[str, RawStatus], str | None]:
    own = {batch.entity: batch for batch in batches if batch.tenant_id == tenant_id}  # the newest of each entity
    raw = {
        entity: RawStatus(
            warehouse.count(f"{_RAW}{entity}", tenant_id),
            batch.counts.extracted,
            batch.counts.loaded,
            batch.counts.quarantined,
        )
        for entity, batch in own.items()
    }
    ended = [batch.finished_at for batch in own.values()]
    return raw, max(ended).isoformat() if ended else None


def _champions(registry: Registry, tenant_id: str) -> Mapping[str, Champion]:
    return {
        one.name.removeprefix(f"{tenant_id}."): Champion(
            one.version, json.loads(one.tags["candidate"])["name"], one.reason, one.metrics
        )
        for one in registry.champions(tenant_id)
    }


def _marts(lake: Lake, release: Release | None, tenant_id: str) -> tuple[Mapping[str, int], str | None]:
    if release is None:
        return {}, None
    reader = lake.reader(tenant_id, release)
    days = reader.column("mart_sales_daily", "sold_on") if release.holds("mart_sales_daily") else None
    last = pc.max(days).as_py() if days is not None else None
    return {table.name: reader.count(table.name) for table in release.tables}, last.isoformat() if last else None


def _release(release: Release) -> ReleaseStatus:
    tables = {table.name: table.rows for table in release.tables}
    return ReleaseStatus(release.id, release.at.isoformat(), release.as_of.isoformat(), tables)
