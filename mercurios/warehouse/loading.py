"""One batch on its way into the warehouse: staged in tables of the connection, merged in one transaction.

with warehouse.load(Batch("north", "b1", "sale", SALES, as_of, Scope("date", day, next_day))) as load:
    load.stage(chunks)
    counts = load.commit(extracted, finished_at)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime

import pyarrow as pa

from mercurios.errors import BatchMismatch, WarehouseError
from mercurios.warehouse import (
    BATCHES,
    QUARANTINE,
    Batch,
    Counts,
    Rejected,
    TableSpec,
    merging,
    quarantine,
    statements,
    utc,
)
from mercurios.warehouse.engine import Engine
from mercurios.warehouse.merging import Part
from mercurios.warehouse.rows import brought, gathered, quarantine_rows, stamped

WAITING_REJECTS = 5_000
"""Rejected records held before they are put aside together."""


class SqlLoad:
    """One open batch. Its table has a key column `id`, which the `record_id` of a rejected record names."""

    def __init__(self, engine: Engine, batch: Batch) -> None:
        _check_columns(batch)
        self._engine = engine
        self._batch = batch
        self._day = batch.scope.column if batch.scope else None
        self._at = utc(batch.started_at).isoformat()
        _, _, table = batch.table.name.partition(".")
        self._rows, self._rejects, self._found = f"staged_{table}", f"rejected_{table}", f"found_{table}"
        self._staged = self._rejected = 0
        self._waiting: list[Rejected] = []
        self._is_nothing_gone = False  # known until something more is staged or rejected

    def open(self) -> None:
        """Create the staged tables, empty."""
        self._engine.create_staged(self._rows, brought(self._batch.table))
        self._engine.create_staged(self._rejects, QUARANTINE.columns)
        self._engine.create_staged(self._found, merging.FOUND)

    def drop(self) -> None:
        """Drop the staged tables."""
        for name in (self._rows, self._rejects, self._found):
            self._engine.run(statements.drop(name))
        self._engine.expect(0)

    def stage(self, chunks: Iterable[pa.Table]) -> None:
        """Put rows aside; columns are the table's own and _variant, without tenant_id and the other meta columns."""
        self._engine.append(self._rows, self._stamped(chunks))
        self._engine.expect(self._staged)

    def reject(self, records: Sequence[Rejected]) -> None:
        """Put records aside for the quarantine."""
        self._waiting += records
        if len(self._waiting) >= WAITING_REJECTS:
            self._put_rejects()

    def missing(self) -> int:
        """Number of living rows, and of open quarantined records, of the scope that were neither staged nor rejected.

        0 without a scope, and when a rejected record has no `record_id`: nobody can tell whose it is, so nothing is
        known to be gone.
        """
        self._put_rejects()
        if (part := self._deletable()) is None or self._batch.scope is None:
            return 0
        number, batch = self._engine.number, self._batch
        gone = 0
        for staged, some in self._slices(part) if self._has_rows() else ():
            gone += number(merging.count_gone(batch.table, staged, self._rejects, some), some.values)
        self._is_nothing_gone = gone == 0
        held = quarantine.count_gone(self._rows, self._rejects, self._batch.scope)
        return gone + number(held, (batch.tenant_id, batch.entity, *quarantine.bounds(batch.scope)))

    def met(self) -> int:
        """Number of different records that were staged or rejected."""
        self._put_rejects()
        return self._keys() + self._engine.number(quarantine.distinct_records(self._rejects))

    def commit(
        self,
        extracted: int,
        finished_at: datetime,
        *,
        deletes: bool = True,
        beside: Mapping[TableSpec, pa.Table] | None = None,
    ) -> Counts:
        """Merge, delete, quarantine, snapshot and account for the batch in one transaction.

        Without `deletes` nothing counts as gone at the source, quarantined records included. A record that was loaded
        and rejected in the same batch stays in quarantine. Rows of `beside` are written last.
        Raises BatchMismatch when the numbers do not add up; nothing is changed then.
        """
        self._put_rejects()
        with ExitStack() as stack:
            asides = [
                (table, stack.enter_context(self._engine.aside(table, self._batch.tenant_id, rows)))
                for table, rows in (beside or {}).items()
            ]
            stack.enter_context(self._engine.transaction())
            counts = self._merge(extracted, deletes)
            self._take_snapshot()
            self._account(counts, finished_at)
            for table, name in asides:
                self._engine.replace_rows(table, name)
        return counts

    def _stamped(self, chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
        self._is_nothing_gone = False
        for frame in gathered(self._batch.table, chunks):
            yield stamped(self._batch, frame, self._staged)
            self._staged += frame.height

    def _put_rejects(self) -> None:
        if self._waiting:
            self._engine.append(self._rejects, [quarantine_rows(self._batch, self._waiting, self._rejected)])
            self._rejected += len(self._waiting)
            self._waiting = []
            self._is_nothing_gone = False

    def _merge(self, extracted: int, deletes: bool) -> Counts:
        number = self._engine.number
        loaded, quarantined = number(statements.count(self._rows)), number(statements.count(self._rejects))
        if extracted != loaded + quarantined:
            raise self._mismatch(f"{extracted} records extracted, but {loaded} loaded and {quarantined} quarantined")
        duplicates = self._drop_duplicates(loaded)
        deleted = self._delete_gone() if deletes else 0
        self._quarantine(quarantined, deletes)
        updated, written = self._replace(loaded - duplicates)
        self._check(merging.count_written(self._batch.table), (self._batch.tenant_id, self._at), written + deleted)
        return Counts(
            extracted=extracted,
            loaded=loaded,
            quarantined=quarantined,
            inserted=written - updated,
            updated=updated,
            unchanged=loaded - duplicates - written,
            duplicates=duplicates,
            deleted=deleted,
        )

    def _replace(self, staged: int) -> tuple[int, int]:
        """Write the staged rows that are new or differ from those that are there; returns rows dropped and written."""
        batch, number, address = self._batch, self._engine.number, self._engine.address
        found = dropped = 0
        if self._has_rows():
            searched = self._searched()
            for rows, part in self._slices(searched):
                found += number(merging.find(batch, rows, part, self._found, address), part.values)
            if found != number(merging.count_met(self._found)):
                raise self._mismatch(f"{batch.table.name} has a key more than once")
            drop = merging.drop_found(batch, self._rows, searched, self._found, address)
            dropped = number(drop, () if address else searched.values)
            if number(merging.count_kept(self._found)) == staged:
                return dropped, 0
        insert = merging.insert(batch, self._rows, self._found if found else None)
        return dropped, number(insert, (batch.tenant_id, batch.batch_id, self._at, self._at))

    def _has_rows(self) -> bool:
        """Whether the tenant has any row in the table: of a first load nothing need be looked for."""
        return self._engine.number(statements.has_rows(self._batch.table), (self._batch.tenant_id,)) > 0

    def _drop_duplicates(self, loaded: int) -> int:
        if self._keys() == loaded:
            return 0
        number, batch = self._engine.number, self._batch
        return sum(number(merging.keep_newest(batch, self._rows, staged)) for staged, _ in self._slices())

    def _keys(self) -> int:
        return sum(self._engine.number(merging.distinct_keys(staged)) for staged, _ in self._slices())

    def _slices(self, part: Part | None = None) -> Iterator[tuple[str, Part]]:
        return merging.slices(self._rows, self._staged, part or merging.whole(self._batch.tenant_id))

    def _searched(self) -> Part:
        """Where the staged keys are in the table already: in a few days, as a rule, where rows have no address.

        The scope does not tell, as a record may have moved to another day. Of a large batch the keys may be anywhere.
        """
        everything = merging.whole(self._batch.tenant_id)
        if self._staged > merging.SLICE_ROWS:
            return everything
        if address := self._engine.address:
            return merging.addressed(self._batch.table, self._rows, address, self._batch.tenant_id)
        if not self._day:
            return everything
        extent = merging.extent(self._batch.table, self._rows, self._day, everything)
        found, dated, first, last = self._engine.run(extent, everything.values)[0]
        return merging.between(self._batch.tenant_id, self._day, first, last) if found == dated else everything

    def _deletable(self) -> Part | None:
        unnamed = self._engine.number(quarantine.unnamed(self._rejects))
        if self._batch.scope is None or unnamed:
            return None
        return merging.within(self._batch.tenant_id, self._batch.scope)

    def _delete_gone(self) -> int:
        if self._is_nothing_gone or (part := self._deletable()) is None:
            return 0
        number, batch = self._engine.number, self._batch
        stamps = (self._at, self._at, batch.batch_id)
        return sum(
            number(merging.delete_gone(batch.table, staged, self._rejects, some), (*stamps, *some.values))
            for staged, some in self._slices(part)
        )

    def _quarantine(self, rejected: int, deletes: bool) -> None:
        batch, number = self._batch, self._engine.number
        owner, now = (batch.tenant_id, batch.entity), (batch.batch_id, self._at)
        if rejected:
            if number(quarantine.distinct_records(self._rejects)) < rejected:
                number(quarantine.number_repeated(self._rejects))
            number(quarantine.touch(self._rejects), (*now, *owner))
            number(quarantine.insert(self._rejects), owner)
            number(quarantine.supersede(self._rejects), (*now, *owner, batch.batch_id))
        scope = batch.scope if deletes else None
        resolve = quarantine.resolve(self._rows, self._rejects, scope)
        number(resolve, (*now, *owner, batch.batch_id, *quarantine.bounds(scope)))
        self._check(quarantine.count_met(), owner, rejected)

    def _take_snapshot(self) -> None:
        if snapshot := self._batch.snapshot:
            day = snapshot.on.isoformat()
            self._engine.run(merging.clear_day(snapshot), (self._batch.tenant_id, day))
            self._engine.run(merging.take_day(snapshot, self._batch), (day, self._batch.tenant_id))

    def _account(self, counts: Counts, finished_at: datetime) -> None:
        batch = self._batch
        values = asdict(counts) | {
            "tenant_id": batch.tenant_id,
            "batch_id": batch.batch_id,
            "entity": batch.entity,
            "started_at": self._at,
            "finished_at": utc(finished_at).isoformat(),
            "scope": batch.scope and str(batch.scope),
        }
        self._engine.run(statements.account(), [values[name] for name in BATCHES.columns.names])

    def _check(self, statement: str, values: tuple[str, ...], expected: int) -> None:
        found = self._engine.number(statement, (*values, self._batch.batch_id))
        if found != expected:
            raise self._mismatch(f"{expected} rows to write, but {found} carry the batch's name; is it used twice?")

    def _mismatch(self, what: str) -> BatchMismatch:
        where = f"tenant {self._batch.tenant_id}, {self._batch.entity}"
        return BatchMismatch(f"{where}: {what}; nothing of the batch was kept, run it again")


def _check_columns(batch: Batch) -> None:
    named = {"id", batch.scope and batch.scope.column, batch.changed_column, batch.deleted_column} - {None}
    if missing := named - set(batch.table.columns.names):
        raise WarehouseError(f"table {batch.table.name} has no column {', '.join(sorted(map(str, missing)))}")
