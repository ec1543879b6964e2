"""Ingest: a merchant's records come into the warehouse, entity by entity, batch by batch.

    with ProHandel(tenant) as source, DuckDBWarehouse.open(url) as warehouse:
        report = ingest(source, tenant, warehouse, Run(as_of, spool=home / "spool"))
    report.rows, report.quarantined

What is due is read (see `mercurios.sources.windows`), page by page into a spool on disk, and merged in one transaction
with the cursor that says so. A batch is in the warehouse completely or not at all; a run that is cut short goes on
where it stopped; a second run over unchanged records changes nothing. Records that break their contract are
quarantined, never dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import structlog

from mercurios.errors import AuthenticationFailed, BadRequest, ConfigError, NotOffered, SourceError, Transient
from mercurios.jobs.ingest.batches import DUE, Desk, Extent, Run, parse_days, read_entity
from mercurios.jobs.ingest.reports import BatchReport, IngestReport
from mercurios.jobs.ingest.tables import ENTITY_TABLES, INGEST_TABLES, RAW_TABLES, TENANT_VAT_RATES, TENANTS
from mercurios.sources import Source
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.drift import Drift
from mercurios.tenancy import Tenant
from mercurios.warehouse import Warehouse

__all__ = [
    "DUE",
    "ENTITIES",
    "ENTITY_TABLES",
    "RAW_TABLES",
    "BatchReport",
    "Extent",
    "IngestReport",
    "Run",
    "ingest",
    "parse_days",
]
ENTITIES = tuple(CONTRACTS)


def ingest(source: Source, tenant: Tenant, warehouse: Warehouse, run: Run) -> IngestReport:
    """Read what is due of a tenant's entities and merge it into the raw tables.

    An entity that the source does not offer is reported and left out. One that fails does not keep the others from
    being read; its error is raised in the end. No answer at all, a refused login, a spent call budget and errors of
    the warehouse end the run at once. Batches that were committed stay; of a failed one the pages stay in the spool.
    Raises SourceError, WarehouseError or IngestRunning.
    """
    entities = run.extent.entities or tuple(source.contracts)
    _check(source, tenant, run.as_of, entities)
    warehouse.ensure(*INGEST_TABLES)
    _describe(tenant, warehouse)
    results = _Results(Desk(source, tenant, warehouse, run))
    for entity in entities:
        results.read(entity)
    results.log()
    if results.failures:
        raise results.failures[0]
    if len(results.not_offered) == len(entities):
        reason = next(iter(results.not_offered.values()))
        raise NotOffered(f"tenant {tenant.id}: the source offers nothing it was asked for; {reason}")
    return IngestReport(tenant.id, tuple(results.batches), tuple(results.drifts), results.not_offered)


def _check(source: Source, tenant: Tenant, as_of: datetime, entities: Sequence[str]) -> None:
    if source.tenant_id != tenant.id:
        raise ConfigError(f"the source belongs to tenant {source.tenant_id}, not {tenant.id}; open it with this tenant")
    if as_of.tzinfo is None:
        raise BadRequest(f"as_of must carry a time zone, got {as_of.isoformat()}; add one, e.g. +00:00")
    if unknown := sorted(set(entities) - set(source.contracts)):
        raise BadRequest(f"unknown entities {', '.join(unknown)}; expected some of {', '.join(source.contracts)}")


def _describe(tenant: Tenant, warehouse: Warehouse) -> None:
    """Store what the models must know of the merchant."""
    facts = {"name": tenant.name, "currency": tenant.currency, "time_zone": tenant.time_zone, "locale": tenant.locale}
    warehouse.replace(TENANTS, tenant.id, pa.table({name: [value] for name, value in facts.items()}))
    rates = {
        "tax_number": pa.array(list(tenant.vat_rates.keys()), pa.int64()),
        "rate": pa.array(list(tenant.vat_rates.values()), pa.float64()),
    }
    warehouse.replace(TENANT_VAT_RATES, tenant.id, pa.table(rates))


@dataclass
class _Results:
    """What came of the entities so far."""

    desk: Desk
    batches: list[BatchReport] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    not_offered: dict[str, str] = field(default_factory=dict)
    failures: list[SourceError] = field(default_factory=list)

    def read(self, entity: str) -> None:
        try:
            for report, drifts in read_entity(self.desk, entity):
                self.batches.append(report)
                self.drifts += drifts
        except NotOffered as error:
            self.not_offered[entity] = str(error)
        except SourceError as error:
            if isinstance(error, Transient | AuthenticationFailed):
                raise
            self.failures.append(error)

    def log(self) -> None:
        totals = {
            name: sum(getattr(batch, name) for batch in self.batches)
            for name in ("extracted", "loaded", "quarantined", "inserted", "updated", "unchanged", "deleted")
        }
        structlog.get_logger(__name__).info(
            "ingest",
            tenant=self.desk.tenant.id,
            **totals,
            drift=[f"{drift.entity}.{drift.field} {drift.change}" for drift in self.drifts],
            not_offered=sorted(self.not_offered),
            failures=[type(error).__name__ for error in self.failures],
            seconds=round(self.desk.elapsed, 1),
        )
