"""Quality: a merchant's raw rows are held against what is expected of them and what the merchant was promised.

    report = quality(tenant, warehouse, as_of)
    report.score, [breach.sentence for breach in report.breaches]

Every entity is read whole, narrowed to the columns that expectations need. So is sale, a tenant's whole history, for
the rhythm of its days; of its lines those are examined that lie within WINDOW of the newest day or that the newest
batches wrote: what is older was examined when it came.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import BadRequest
from mercurios.jobs.ingest.tables import ENTITY_TABLES
from mercurios.jobs.quarantine import is_replay
from mercurios.quality import TENANT, Arrivals, Facts, Measured, QualityReport, TableQuality
from mercurios.quality.checking import columns, examine
from mercurios.quality.expectations import REFERENCED
from mercurios.quality.score import SALE, scored, trading
from mercurios.tenancy import Tenant
from mercurios.warehouse import DELETED_AT, EXTRACTED_AT, MOMENT, StoredBatch, TableSpec, Warehouse, table_spec, utc

WINDOW = timedelta(days=92)
RUN = timedelta(hours=1)
"""Batches of an entity that began within this time belong to one run."""

QUALITY = table_spec(
    "ops.quality",
    "measured_at subject",
    {
        "measured_at": MOMENT,
        "subject": pa.string(),
        "rows": pa.int64(),
        "quarantined": pa.int64(),
        "checked": pa.int64(),
        "failed": pa.int64(),
        "score": pa.float64(),
        "age_hours": pa.float64(),
        "breaches": pa.string(),
    },
)
"""One row per measurement and subject, an entity or `tenant`; breaches is a JSON array of
sentences, of all with the tenant."""
EXPECTATIONS = table_spec(
    "ops.expectations",
    "measured_at entity expectation",
    {
        "measured_at": MOMENT,
        "entity": pa.string(),
        "expectation": pa.string(),
        "severity": pa.string(),
        "checked": pa.int64(),
        "failed": pa.int64(),
        "examples": pa.string(),
    },
)
"""One row per measurement and expectation; examples is a JSON array of ids."""


def quality(tenant: Tenant, warehouse: Warehouse, as_of: datetime) -> QualityReport:
    """Measure a tenant's raw rows, hold them against the tenant's promises and keep the result.

    as_of: the run's moment, with a time zone; a second run as of the same moment replaces the first one's result.
    """
    if as_of.tzinfo is None:
        raise BadRequest(f"as_of must carry a time zone, got {as_of.isoformat()}; add one, e.g. +00:00")
    warehouse.ensure(*ENTITY_TABLES.values(), QUALITY, EXPECTATIONS)
    desk = _Desk(tenant, warehouse, as_of.astimezone(ZoneInfo(tenant.time_zone)).date())
    facts = Facts(tenant.currency, frozenset(tenant.vat_rates), desk.today, desk.numbers())
    runs = {entity: _newest_run(batches) for entity, batches in desk.batches().items()}
    sales = desk.rows(SALE, EXTRACTED_AT)
    measured = []
    for entity in ENTITY_TABLES:
        rows = _recent(sales, desk.today, runs.get(SALE, [])) if entity == SALE else desk.rows(entity)
        if rows.height or entity in runs:
            arrivals = _arrivals(runs[entity]) if entity in runs else None
            measured.append(Measured(entity, rows.height, examine(entity, rows, facts), arrivals))
    traded = trading(sales["date"].dt.date(), desk.today, ZoneInfo(tenant.time_zone))
    report = scored(tenant.id, as_of, tenant.sla, measured, traded)
    _keep(report, warehouse)
    return report


@dataclass(frozen=True)
class _Desk:
    """One tenant's rows, read a few columns at a time."""

    tenant: Tenant
    warehouse: Warehouse
    today: date

    def rows(self, entity: str, *more: str) -> pl.DataFrame:
        """The living rows of an entity, with the columns that its expectations read and some more."""
        rows = self._columns(entity, (*columns(entity), *more, DELETED_AT))
        return rows.filter(pl.col(DELETED_AT).is_null()).drop(DELETED_AT)

    def numbers(self) -> Mapping[str, pl.Series]:
        """The business numbers that others refer to, of deleted records, too: what was sold stays sold."""
        return {entity: self._columns(entity, ("number",))["number"].unique() for entity in REFERENCED}

    def batches(self) -> Mapping[str, list[StoredBatch]]:
        """The tenant's batches that its source sent, by entity, oldest first."""
        own: dict[str, list[StoredBatch]] = {}
        for batch in self.warehouse.batches():
            if batch.tenant_id == self.tenant.id and not is_replay(batch):
                own.setdefault(batch.entity, []).append(batch)
        return own

    def _columns(self, entity: str, names: Sequence[str]) -> pl.DataFrame:
        table = ENTITY_TABLES[entity]
        fields = [table.columns.field(name) for name in dict.fromkeys((*table.key, *names))]
        narrow = TableSpec(table.name, pa.schema(fields), table.key)
        return pl.DataFrame(self.warehouse.rows(narrow, self.tenant.id)).drop("tenant_id")


def _newest_run(batches: Sequence[StoredBatch]) -> list[StoredBatch]:
    newest = max(batch.started_at for batch in batches)
    return [batch for batch in batches if batch.started_at > newest - RUN]


def _arrivals(batches: Sequence[StoredBatch]) -> Arrivals:
    counts = [batch.counts for batch in batches]
    return Arrivals(
        extracted=sum(each.extracted for each in counts),
        loaded=sum(each.loaded for each in counts),
        quarantined=sum(each.quarantined for each in counts),
        finished_at=max(batch.finished_at for batch in batches),
    )


def _recent(sales: pl.DataFrame, today: date, batches: Sequence[StoredBatch]) -> pl.DataFrame:
    """Lines of the last days of business, and those that the newest batches wrote, whatever their day."""
    day = pl.col("date").dt.date()
    newest = sales.select(day.filter(day <= today).max()).item() or today
    written_from = min((utc(batch.started_at) for batch in batches), default=datetime.max)
    return sales.filter((day > newest - WINDOW) | (pl.col(EXTRACTED_AT) >= written_from))


def _keep(report: QualityReport, warehouse: Warehouse) -> None:
    tables = [_told(table, report) for table in (_whole(report), *report.tables)]
    warehouse.merge(QUALITY, report.tenant_id, _rows(QUALITY, report, tables))
    findings = [
        {
            "entity": finding.entity,
            "expectation": finding.name,
            "severity": finding.severity.value,
            "checked": finding.checked,
            "failed": finding.failed,
            "examples": json.dumps(finding.examples),
        }
        for finding in report.expectations
    ]
    warehouse.merge(EXPECTATIONS, report.tenant_id, _rows(EXPECTATIONS, report, findings))
    structlog.get_logger(__name__).info(
        "quality",
        tenant=report.tenant_id,
        score=round(report.score, 4),
        checked=tables[0]["checked"],
        failed=tables[0]["failed"],
        breaches=len(report.breaches),
    )


def _whole(report: QualityReport) -> TableQuality:
    """All tables as one."""
    rows, quarantined, checked, failed = (
        sum(getattr(table, name) for table in report.tables) for name in ("rows", "quarantined", "checked", "failed")
    )
    return TableQuality(TENANT, rows, quarantined, checked, failed, report.score, None)


def _told(table: TableQuality, report: QualityReport) -> dict[str, Any]:
    breaches = [each.sentence for each in report.breaches if table.entity in {TENANT, each.subject}]
    return {**asdict(table), "subject": table.entity, "breaches": json.dumps(breaches)}


def _rows(table: TableSpec, report: QualityReport, rows: list[dict[str, Any]]) -> pa.Table:
    measured_at = utc(report.as_of)
    return pa.Table.from_pylist([{"measured_at": measured_at, **row} for row in rows], schema=table.own_columns)
