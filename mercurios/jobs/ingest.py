"""Ingest: a merchant's records come into the warehouse, entity by entity, each as one batch.

    with ProHandel(tenant) as source, DuckDBWarehouse.open(url) as warehouse:
        report = ingest(source, tenant, warehouse, as_of)
    report.rows, report.quarantined

Every entity is read in full. Records that break their contract are quarantined, never dropped. A batch is in the
warehouse completely or not at all, and a second run over unchanged records changes nothing.
"""

import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import BadRequest, ConfigError
from mercurios.progress import track
from mercurios.sources import Page, Source
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.conversion import Converted, convert
from mercurios.tenancy import Tenant
from mercurios.warehouse import Batch, Load, Rejected, Snapshot, TableSpec, Warehouse, raw_table, table_spec

ENTITIES = tuple(CONTRACTS)
CHUNK_ROWS = 50_000
"""Rows staged at a time: some 20 MB of sale lines."""

TENANTS = table_spec("raw.tenants", "", {name: pa.string() for name in ("name", "currency", "time_zone", "locale")})
TENANT_VAT_RATES = table_spec("raw.tenant_vat_rates", "tax_number", {"tax_number": pa.int64(), "rate": pa.float64()})
STOCK_DAILY = table_spec(
    "raw.prohandel_stock_daily",
    "snapshot_on number branch_number",
    {
        "snapshot_on": pa.date32(),
        "number": pa.int64(),
        "article_number": pa.int64(),
        "branch_number": pa.int64(),
        "stock_quantity": pa.float64(),
        "purchase_price": pa.float64(),
        "sale_price": pa.float64(),
    },
)
_ARROW: Mapping[pl.DataType, pa.DataType] = {
    pl.String(): pa.string(),
    pl.Int64(): pa.int64(),
    pl.Float64(): pa.float64(),
    pl.Boolean(): pa.bool_(),
    pl.Datetime("us"): pa.timestamp("us"),
}


def entity_table(contract: Contract) -> TableSpec:
    """The raw table of an entity, `raw.prohandel_<entity>`: one row per tenant and id."""
    columns = {field.column: _ARROW[field.kind.dtype] for field in contract.kept}
    return raw_table(f"raw.prohandel_{contract.entity}", " ".join(contract.key), columns)


ENTITY_TABLES: Mapping[str, TableSpec] = MappingProxyType(
    {entity: entity_table(contract) for entity, contract in CONTRACTS.items()}
)
RAW_TABLES = (*ENTITY_TABLES.values(), STOCK_DAILY, TENANTS, TENANT_VAT_RATES)
"""All tables that ingest writes, beside ops.batches and ops.quarantine."""


@dataclass(frozen=True)
class BatchReport:
    """One entity's batch; counts add up as in `mercurios.warehouse.Counts`."""

    entity: str
    extracted: int
    loaded: int
    quarantined: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    seconds: float


@dataclass(frozen=True)
class IngestReport:
    """One tenant's run."""

    tenant_id: str
    batches: tuple[BatchReport, ...]

    @property
    def rows(self) -> int:
        """Rows loaded over all entities."""
        return sum(batch.loaded for batch in self.batches)

    @property
    def quarantined(self) -> int:
        """Records quarantined over all entities."""
        return sum(batch.quarantined for batch in self.batches)


def ingest(
    source: Source, tenant: Tenant, warehouse: Warehouse, as_of: datetime, entities: Sequence[str] = ENTITIES
) -> IngestReport:
    """Read a tenant's entities in full and merge them into the raw tables.

    as_of: the run's moment, with a time zone; its local date is the day of the stock snapshot.
    Raises SourceError, WarehouseError or BatchMismatch; batches of earlier entities then stay, the failed one leaves
    no trace.
    """
    _check(source, tenant, as_of, entities)
    run = _Run(source, tenant, warehouse, as_of)
    warehouse.ensure(*RAW_TABLES)
    _describe(tenant, warehouse)
    report = IngestReport(tenant.id, tuple(run.batch(entity) for entity in entities))
    _log(report, run)
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
    facts = {"name": tenant.name, "currency": tenant.currency, "time_zone": tenant.time_zone, "locale": tenant.locale}
    warehouse.replace(TENANTS, tenant.id, pa.table({name: [value] for name, value in facts.items()}))
    rates = {
        "tax_number": pa.array(list(tenant.vat_rates.keys()), pa.int64()),
        "rate": pa.array(list(tenant.vat_rates.values()), pa.float64()),
    }
    warehouse.replace(TENANT_VAT_RATES, tenant.id, pa.table(rates))


def _log(report: IngestReport, run: "_Run") -> None:
    totals = {
        name: sum(getattr(batch, name) for batch in report.batches)
        for name in ("extracted", "loaded", "quarantined", "inserted", "updated", "unchanged", "duplicates")
    }
    structlog.get_logger(__name__).info(
        "ingest", tenant=report.tenant_id, **totals, unknown_fields=run.unknown, seconds=round(run.elapsed, 1)
    )


@dataclass(frozen=True)
class _Run:
    """What the batches of one run share. Time starts at `as_of` and runs on: jobs have no clock of their own."""

    source: Source
    tenant: Tenant
    warehouse: Warehouse
    as_of: datetime
    started: float = field(default_factory=time.perf_counter)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    @property
    def now(self) -> datetime:
        return self.as_of.astimezone(UTC) + timedelta(seconds=self.elapsed)

    def batch(self, entity: str) -> BatchReport:
        began = self.elapsed
        with (
            self.warehouse.load(self._new_batch(entity)) as load,
            track(f"ingest {self.tenant.id} {entity}", unit="rows") as advance,
        ):
            arrivals = _Arrivals(self.source.contracts[entity], load)
            with closing(_ahead(self.source.read(entity))) as pages:
                for page in pages:
                    arrivals.take(page)
                    advance(len(page.records))
            arrivals.stage()
            counts = load.commit(arrivals.extracted, self.now)
        if arrivals.unknown:
            self.unknown[entity] = sorted(arrivals.unknown)
        return BatchReport(entity, **asdict(counts), seconds=self.elapsed - began)

    def _new_batch(self, entity: str) -> Batch:
        started = self.now
        batch_id = f"{started:%Y%m%dT%H%M%SZ}-{entity}-{uuid.uuid4().hex[:12]}"
        snapshot = None
        if entity == "articlesize":
            today = self.as_of.astimezone(ZoneInfo(self.tenant.time_zone)).date()
            snapshot = Snapshot(STOCK_DAILY, today, unless="is_deleted")
        return Batch(self.tenant.id, batch_id, entity, ENTITY_TABLES[entity], started, snapshot)


class _Arrivals:
    """Records of one batch between page and warehouse: checked page by page, staged in chunks."""

    def __init__(self, contract: Contract, load: Load) -> None:
        self.extracted = 0
        self.unknown: set[str] = set()
        self._contract = contract
        self._load = load
        self._waiting: list[Converted] = []
        self._rows = 0

    def take(self, page: Page) -> None:
        """Check a page's records; stage what waits once it is a chunk."""
        converted = convert(self._contract, page.records)
        self.extracted += len(page.records)
        self.unknown |= converted.unknown
        self._waiting.append(converted)
        self._rows += len(page.records)
        if self._rows >= CHUNK_ROWS:
            self.stage()

    def stage(self) -> None:
        """Stage what waits."""
        if self._waiting:
            self._load.stage(pl.concat([converted.frame for converted in self._waiting]).to_arrow())
            self._load.reject(
                [Rejected(each.record, each.reasons) for page in self._waiting for each in page.quarantined]
            )
        self._waiting, self._rows = [], 0


def _ahead(pages: Iterator[Page]) -> Generator[Page]:
    """Fetch the next page in a thread while this one is worked on. Ends with the pages, an error or `close`."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-fetch") as fetcher:
        coming = fetcher.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = fetcher.submit(next, pages, None)
            yield page
