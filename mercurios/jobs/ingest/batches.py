"""Batches: one entity's pages go through the spool into the warehouse.

for report, drifts in read_entity(desk, "sale"): ...
"""

import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from mercurios.errors import DriftStopped
from mercurios.jobs.ingest.extent import Run
from mercurios.jobs.ingest.ledgers import CURSORS, DRIFT, FILES, cursor_row, drift_rows, file_rows, stored_cursor
from mercurios.jobs.ingest.reports import BatchReport
from mercurios.jobs.ingest.spool import Head, Mark, Spool, layout
from mercurios.jobs.ingest.tables import ENTITY_TABLES, STOCK_DAILY
from mercurios.progress import track
from mercurios.sources import EVERYTHING, Page, Source, Window
from mercurios.sources.contracts import Contract, OnDrift
from mercurios.sources.conversion import convert
from mercurios.sources.drift import Drift
from mercurios.sources.windows import Cursor, advanced, next_windows
from mercurios.tenancy import Tenant
from mercurios.warehouse import Batch, Load, Scope, Snapshot, TableSpec, Warehouse

RESUME_WITHIN = timedelta(days=2)
"""What was read is read again when the newest page is older than this; a nightly run with a call budget goes on."""
SNAPSHOT_OF = "articlesize"
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Desk:
    """What the batches of one run share. Time starts at the run's moment and goes on: a job has no clock."""

    source: Source
    tenant: Tenant
    warehouse: Warehouse
    run: Run
    began: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began

    @property
    def now(self) -> datetime:
        """The run's moment now, UTC."""
        return self.run.as_of.astimezone(UTC) + timedelta(seconds=self.elapsed)

    def local(self, moment: datetime) -> datetime:
        """A moment as the merchant's naive local time."""
        return moment.astimezone(ZoneInfo(self.tenant.time_zone)).replace(tzinfo=None)


Outcome = tuple[BatchReport, tuple[Drift, ...]]


def read_entity(desk: Desk, entity: str) -> Iterator[Outcome]:
    """Finish the batch that an earlier run left in the spool, then read what else is due."""
    contract = desk.source.contracts[entity]
    with Spool.opened(desk.run.spool / desk.tenant.id / entity, layout(contract, repr(desk.tenant.source))) as spool:
        reader = _Reader(desk, contract, spool)
        done = [reader.left_over()]
        if done[0] is not None:
            yield reader.batch(is_resumed=True)
        for window in reader.wanted():
            if not any(_covers(one, window) for one in done if one is not None):
                reader.begin(window)
                if reader.has_news():
                    yield reader.batch()
                done.append(reader.read_last)


class _FilterIgnored(Exception):
    """The source sent records outside of the window that was asked for."""


class _Reader:
    """One entity's batches, one after the other. `read_last` is the window of the newest one, as it was read."""

    def __init__(self, desk: Desk, contract: Contract, spool: Spool) -> None:
        self._desk = desk
        self._contract = contract
        self._spool = spool
        self._cursor, self._fields = stored_cursor(desk.warehouse, desk.tenant.id, contract.entity)
        self.read_last: Window | None = None

    def left_over(self) -> Window | None:
        """The window of the batch in the spool; None, and the spool empty, when it cannot or need not be finished."""
        head = self._spool.head
        if head is None:
            return None
        is_young = self._desk.now - (self._spool.progress.read_at or head.started_at) < RESUME_WITHIN
        is_of_today = self._desk.local(head.started_at).date() == self._desk.local(self._desk.now).date()
        if self._contract.entity == SNAPSHOT_OF and not is_of_today:  # one day's stock is not read on two days
            is_young = False
        is_committed = any(batch.batch_id == head.batch_id for batch in self._desk.warehouse.batches())
        if is_committed or not is_young or not self._desk.source.is_listing:
            self._spool.clear()
            return None
        return head.window

    def wanted(self) -> tuple[Window, ...]:
        """What this run is to read."""
        extent = self._desk.run.extent
        if extent.is_full:
            return (EVERYTHING,)
        if extent.first or extent.until:
            days = _wider(Window(day_from=extent.first, day_until=extent.until))
            return (days if self._contract.day_column and self._can_read(days) else EVERYTHING,)
        due = next_windows(self._contract, self._cursor, self._can_read, self._desk.local(self._desk.now))
        return tuple(map(_wider, due))

    def begin(self, window: Window) -> None:
        """Start a batch."""
        started = self._desk.now
        batch_id = f"{started:%Y%m%dT%H%M%SZ}-{self._contract.entity}-{uuid.uuid4().hex[:12]}"
        self._spool.begin(Head(batch_id, started, window, self._spool.layout))

    def has_news(self) -> bool:
        """Whether there is a batch to be made: that no file was dropped says nothing, that a listing is empty does."""
        if self._desk.source.is_listing:
            return True
        self._read()
        return self._spool.progress.pages > 0

    def batch(self, *, is_resumed: bool = False) -> Outcome:
        """Read the batch in the spool to its end and commit it."""
        began = self._desk.elapsed
        notes: list[Drift] = []
        try:
            self._read()
            report = self._commit(notes)
        except _FilterIgnored:
            notes.append(_note(self._contract, "filter_ignored", "warning", _FILTER_IGNORED))
            report = self._anew(EVERYTHING, notes)
        except pa.ArrowInvalid:  # a machine that lost power may leave a file of the right size and nothing in it
            report = self._anew(self._spool.batch.window, notes)
        return replace(report, is_resumed=is_resumed, seconds=self._desk.elapsed - began), tuple(notes)

    def _anew(self, window: Window, notes: list[Drift]) -> BatchReport:
        self.begin(window)
        self._read()
        return self._commit(notes)

    def _can_read(self, window: Window) -> bool:
        return self._desk.source.can_read(self._contract.entity, window)

    def _read(self) -> None:
        """Read on from where the spool stands to the end of the listing."""
        window, position = self._spool.batch.window, self._spool.progress.position
        if position is None:
            return
        with (
            track(f"ingest {self._desk.tenant.id} {self._contract.entity}", unit="rows", leaves_line=False) as advance,
            closing(_ahead(self._desk.source.read(self._contract.entity, window, position))) as pages,
        ):
            for page in pages:
                self._take(page, window)
                advance(len(page.records))

    def _take(self, page: Page, window: Window) -> None:
        converted = convert(self._contract, page.records)
        if not _is_inside(self._contract, converted.frame, window):
            raise _FilterIgnored
        self._spool.add(
            page, converted, newest_change=_newest_change(self._contract, converted.frame), read_at=self._desk.now
        )

    def _commit(self, notes: list[Drift]) -> BatchReport:
        """Bring the spool's pages into the warehouse; what was noticed is added to `notes`."""
        desk, spool, head = self._desk, self._spool, self._spool.batch
        with desk.warehouse.load(self._warehouse_batch(head)) as load:
            _stage(load, spool, Mark())
            missing = load.missing()
            if missing and not spool.progress.is_second_pass:  # pages shift while records come and go: look twice
                since = spool.progress.mark
                spool.begin_second_pass()
                self._read()
                _stage(load, spool, since)
                missing = load.missing()
            is_believed = missing <= load.met() or desk.run.extent.accepts_deletions
            notes += self._observed(0 if is_believed else missing)
            cursor = advanced(
                self._contract, self._cursor, head.window, spool.progress.newest_change, desk.local(head.started_at)
            )
            counts = load.commit(
                spool.progress.extracted - spool.repeated,
                desk.now,
                deletes=is_believed,
                beside=self._ledgers(cursor, notes),
            )
        self._cursor, self.read_last = cursor, head.window
        entity, window, pages = self._contract.entity, str(head.window), spool.progress.pages
        spool.clear()
        return BatchReport(entity=entity, window=window, pages=pages, is_resumed=False, seconds=0.0, **asdict(counts))

    def _observed(self, withheld: int) -> list[Drift]:
        """How the batch differs from what was expected. Raises DriftStopped where the contract wants that.

        withheld: missing records that do not count as deleted, because a listing that lacks more than it has is rather
        broken.
        """
        contract, observed = self._contract, self._spool.observed
        drifts = list(observed.drifts(contract, self._fields))
        if contract.on_drift is OnDrift.STOP and any(drift.severity == "error" for drift in drifts):
            self._stop(drifts)
        if withheld:
            drifts.append(_note(contract, "deletions_withheld", "error", _NOT_BELIEVED.format(missing=withheld)))
        if observed.fields:
            self._fields = observed.fields
        return drifts

    def _ledgers(self, cursor: Cursor, notes: list[Drift]) -> Mapping[TableSpec, pa.Table]:
        """Rows that are committed with the batch: how far it got, what was noticed, which files it read."""
        entity, batch_id, now = self._contract.entity, self._spool.batch.batch_id, self._desk.now
        tables = {
            CURSORS: cursor_row(entity, batch_id, cursor, self._fields or frozenset()),
            DRIFT: drift_rows(batch_id, notes, now),
            FILES: file_rows(entity, batch_id, self._spool.origins, now),
        }
        return {table: rows for table, rows in tables.items() if rows.num_rows}

    def _stop(self, drifts: list[Drift]) -> None:
        desk, head, entity = self._desk, self._spool.batch, self._contract.entity
        desk.warehouse.merge(DRIFT, desk.tenant.id, drift_rows(head.batch_id, drifts, desk.now))
        self._spool.clear()
        raise DriftStopped(
            f"tenant {desk.tenant.id}: {entity} changed its shape: {'; '.join(drift.detail for drift in drifts)}; "
            "nothing of it was loaded; adapt its contract and run again",
            drifts,
        )

    def _warehouse_batch(self, head: Head) -> Batch:
        contract, desk = self._contract, self._desk
        today = desk.local(head.started_at).date()
        read_before = self._cursor.complete_at if self._cursor else None
        is_newest = read_before is None or read_before.date() <= today  # what is on stock now was not then
        return Batch(
            desk.tenant.id,
            head.batch_id,
            contract.entity,
            ENTITY_TABLES[contract.entity],
            head.started_at,
            scope=_scope(contract, head.window) if desk.source.is_listing else None,
            snapshot=Snapshot(STOCK_DAILY, today) if contract.entity == SNAPSHOT_OF and is_newest else None,
            changed_column=contract.changed_column,
            deleted_column=contract.deleted_column,
            is_newest=desk.source.is_listing,
        )


_FILTER_IGNORED = (
    "the source sent records outside of the days or changes it was asked for; everything was read instead; "
    "correct or remove `filters` in the tenant file"
)
_NOT_BELIEVED = (
    "{missing} records are gone, more than were sent; none was marked as deleted; look at the source, and run with "
    "--accept-deletions if that is right"
)


def _note(contract: Contract, change: str, severity: str, detail: str) -> Drift:
    return Drift(contract.entity, "*", change, severity, detail)


def _covers(done: Window, wanted: Window) -> bool:
    """Whether all that a window asks for was just read with another one."""
    if done.is_everything or wanted.is_everything:
        return done.is_everything
    if done.changed_from or wanted.changed_from:
        return bool(done.changed_from and wanted.changed_from and done.changed_from <= wanted.changed_from)
    starts = (done.day_from or date.min) <= (wanted.day_from or date.min)
    return starts and (done.day_until or date.max) >= (wanted.day_until or date.max)


def _wider(window: Window) -> Window:
    """A window with a day more at either end: whether an API takes its bounds in, and by whose clock, nobody knows."""
    first, until = window.day_from, window.day_until
    return replace(window, day_from=first and first - ONE_DAY, day_until=until and until + ONE_DAY)


def _is_inside(contract: Contract, frame: pl.DataFrame, window: Window) -> bool:
    """Whether all rows lie in the window."""
    checks = []
    if window.changed_from and contract.changed_column:
        checks.append(pl.col(contract.changed_column) >= window.changed_from)
    if contract.day_column:
        day = pl.col(contract.day_column).dt.date()
        checks += [day >= window.day_from] if window.day_from else []
        checks += [day < window.day_until] if window.day_until else []
    return not checks or bool(frame.select(pl.all_horizontal(checks).all()).item())


def _newest_change(contract: Contract, frame: pl.DataFrame) -> datetime | None:
    newest = frame[contract.changed_column].max() if contract.changed_column else None
    return newest if isinstance(newest, datetime) else None


def _scope(contract: Contract, window: Window) -> Scope | None:
    """What the window says to be complete: days within its bounds, not those at them."""
    if window.changed_from:
        return None
    first, until = window.day_from, window.day_until
    return Scope(contract.day_column, first and first + ONE_DAY, until and until - ONE_DAY)


def _stage(load: Load, spool: Spool, since: Mark) -> None:
    load.stage(spool.rows(since))
    for records in spool.rejected(since):
        load.reject(records)


def _ahead(pages: Iterator[Page]) -> Generator[Page]:
    """Fetch the next page in a thread while this one is worked on. Ends with the pages, an error or `close`."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-fetch") as fetcher:
        coming = fetcher.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = fetcher.submit(next, pages, None)
            yield page
