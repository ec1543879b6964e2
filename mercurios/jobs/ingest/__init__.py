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

import structlog

from mercurios.errors import (
    AuthenticationFailed,
    BadRequest,
    BudgetSpent,
    ConfigError,
    DriftStopped,
    IngestIncomplete,
    NotOffered,
    SourceError,
    SourceUnavailable,
)
from mercurios.jobs.ingest.batches import Desk, read_entity
from mercurios.jobs.ingest.extent import DUE, Extent, Run, parse_days
from mercurios.jobs.ingest.ledgers import rows_of
from mercurios.jobs.ingest.reports import BatchReport, IngestReport
from mercurios.jobs.ingest.tables import ENTITY_TABLES, INGEST_TABLES, RAW_TABLES, TENANT_VAT_RATES, TENANTS
from mercurios.jobs.ingest.telling import tell_end, tell_entity, tell_failure
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

    An entity that the source does not offer is reported and left out, an optional one without a word. One that fails
    does not keep the others from being read; IngestIncomplete is raised in the end. A spent call budget ends the run
    and is no error. No answer at all, a refused login and errors of the warehouse end it at once. Batches that were
    committed stay; of a failed one the pages stay in the spool. Raises SourceError, WarehouseError or IngestRunning.
    """
    entities = run.extent.entities or tuple(source.contracts)
    _check(source, tenant, run.as_of, entities)
    warehouse.ensure(*INGEST_TABLES)
    _describe(tenant, warehouse)
    results = _Results(Desk(source, tenant, warehouse, run))
    for entity in entities:
        if results.stopped is None:
            results.read(entity)
    results.log()
    report = results.report()
    tell_end(report, source.contracts)
    if results.failures:
        told = "; ".join(f"{entity}: {error}" for entity, error in results.failures.items())
        raise IngestIncomplete(f"tenant {tenant.id}: not all entities could be read: {told}", report)
    is_asked = not all(source.contracts[entity].is_optional for entity in entities)
    if is_asked and len(results.not_offered) == len(entities):
        reason = next(iter(results.not_offered.values()))
        raise NotOffered(f"tenant {tenant.id}: the source offers nothing it was asked for; {reason}")
    return report


def _check(source: Source, tenant: Tenant, as_of: datetime, entities: Sequence[str]) -> None:
    if source.tenant_id != tenant.id:
        raise ConfigError(f"the source belongs to tenant {source.tenant_id}, not {tenant.id}; open it with this tenant")
    if as_of.tzinfo is None:
        raise BadRequest(f"as_of must carry a time zone, got {as_of.isoformat()}; add one, e.g. +00:00")
    if unknown := sorted(set(entities) - set(source.contracts)):
        raise BadRequest(f"unknown entities {', '.join(unknown)}; expected some of {', '.join(source.contracts)}")


def _describe(tenant: Tenant, warehouse: Warehouse) -> None:
    """Store what the models must know of the merchant."""
    facts = {name: getattr(tenant, name) for name in TENANTS.own_columns.names}
    warehouse.replace(TENANTS, tenant.id, rows_of(TENANTS, [facts]))
    rates = [{"tax_number": number, "rate": rate} for number, rate in tenant.vat_rates.items()]
    warehouse.replace(TENANT_VAT_RATES, tenant.id, rows_of(TENANT_VAT_RATES, rates))


@dataclass
class _Results:
    """What came of the entities so far."""

    desk: Desk
    batches: list[BatchReport] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    not_offered: dict[str, str] = field(default_factory=dict)
    failures: dict[str, SourceError] = field(default_factory=dict)
    stopped: str | None = None

    def read(self, entity: str) -> None:
        done, began = len(self.batches), self.desk.elapsed
        try:
            for report, drifts in read_entity(self.desk, entity):
                self.batches.append(report)
                self.drifts += drifts
            tell_entity(self.desk.tenant.id, entity, self.batches[done:], self.desk.elapsed - began)
        except NotOffered as error:
            self.not_offered[entity] = str(error)
        except BudgetSpent as error:
            self.stopped = str(error)
        except (AuthenticationFailed, SourceUnavailable) as error:
            tell_failure(self.desk.tenant.id, entity, error)
            raise
        except SourceError as error:
            tell_failure(self.desk.tenant.id, entity, error)
            self.failures[entity] = error
            self.drifts += error.drifts if isinstance(error, DriftStopped) else ()

    def report(self) -> IngestReport:
        tenant_id = self.desk.tenant.id
        return IngestReport(tenant_id, tuple(self.batches), tuple(self.drifts), self.not_offered, self.stopped)

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
            failures={entity: type(error).__name__ for entity, error in self.failures.items()},
            stopped=self.stopped is not None,
            seconds=round(self.desk.elapsed, 1),
        )
