"""Reading: one tenant's records as steps, each with the state after it; a connection goes on from any of them.

    for step in Reading(source, CONTRACTS, clock, run="sync 7").steps(State.parse({})):
        write(step)
        keep(step.state.as_json())

Rows of a step are ready for JSON: times are ISO texts, nested things JSON texts. Within a step a key comes once.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import polars as pl

from mercurios.errors import AuthenticationFailed, DriftStopped, MalformedPage, NotOffered, SourceError, Transient
from mercurios.fivetran.state import Position, State
from mercurios.sources import Page, Source
from mercurios.sources.contracts import Contract, OnDrift
from mercurios.sources.conversion import Converted, Quarantined, convert
from mercurios.sources.drift import Observed
from mercurios.sources.windows import advanced, next_windows

RESUME_WITHIN = timedelta(hours=6)
"""A read that stands still for longer begins again: what was inserted or deleted since has moved the rest."""
RECORDS = 500
"""Records a step, unless told otherwise."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A part of one entity; `state` holds once the rest of the step is written.

    marks_deleted: all that the table holds is to be marked as deleted first; what still exists comes again.
    kept: keys of rows that still exist, but whose record is broken: what is held of them is not deleted. deletes: keys
    only. note: what an operator should know.
    """

    table: str
    state: State
    marks_deleted: bool = False
    kept: Sequence[Row] = field(default=(), repr=False)
    upserts: Sequence[Row] = field(default=(), repr=False)
    deletes: Sequence[Row] = field(default=(), repr=False)
    quarantined: Sequence[Row] = field(default=(), repr=False)
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """How a pass is read. `clock` tells the merchant's local time; `run` names the sync that the calls belong to.

    can_keep: the destination takes `Step.kept`.
    """

    source: Source
    entities: Collection[str]
    clock: Callable[[], datetime]
    run: str
    records: int = RECORDS
    can_keep: bool = False

    def steps(self, state: State) -> Iterator[Step]:
        """Go on with the pass that the state tells of, or begin one; ends when every entity was read.

        An entity that fails does not keep the others from being read; its error is raised in the end. No answer at
        all and a refused login are raised at once. Raises SourceError.
        """
        state = self._begun(state)
        while state.left:
            for step in self._entity(state):
                state = step.state
                yield step
        if state.failed:
            raise SourceError("; ".join(state.failed.values()))

    def _begun(self, state: State) -> State:
        """The state with a pass under way that knows only entities that are wanted; one that failed is over."""
        if not state.left and not (state.failed and state.run == self.run):
            return State(state.cursors, self.run, tuple(self.entities))
        left = tuple(entity for entity in state.left if entity in self.entities)
        position = state.position if left[:1] == state.left[:1] else None
        if position and not timedelta(0) <= self.clock() - position.began <= RESUME_WITHIN:
            position = None
        return replace(state, run=self.run, left=left, position=position)

    def _entity(self, state: State) -> Iterator[Step]:
        """All windows of the first entity that is left."""
        entity = state.left[0]
        try:
            for step in self._windows(entity, state):
                state = step.state
                yield step
        except NotOffered as error:
            yield Step(entity, _without(state, entity), note=str(error))
        except (AuthenticationFailed, Transient):
            raise
        except SourceError as error:
            message = f"{entity}: {error}"
            failed = {**state.failed, entity: message}
            yield Step(entity, replace(_without(state, entity), failed=failed), note=message)

    def _windows(self, entity: str, state: State) -> Iterator[Step]:
        contract = self.source.contracts[entity]
        while state.left[:1] == (entity,):
            for step in self._window(contract, state, state.position or self._position(contract, state)):
                state = step.state
                yield step

    def _position(self, contract: Contract, state: State) -> Position:
        entity, now = contract.entity, self.clock()
        return Position(
            next_windows(contract, state.cursors.get(entity), lambda one: self.source.can_read(entity, one), now), now
        )

    def _window(self, contract: Contract, state: State, position: Position) -> Iterator[Step]:
        """The first window of the position, from where it stands to its end."""
        is_over = False
        for page in self.source.read(contract.entity, position.windows[0], position.start):
            for records, end in _slices(page, self.records):
                part = _part(contract, records)
                is_complete = position.windows[0].is_everything
                kept = part.kept if is_complete and self.can_keep else ()
                marks = is_complete and not position.has_marked and bool(part.upserts or kept)
                newest = max((one for one in (position.newest, part.newest) if one), default=None)
                position = replace(position, start=end, newest=newest, has_marked=position.has_marked or marks)
                is_over = page.end is None and end == page.start + len(page.records)
                after = _passed(contract, state, position) if is_over else replace(state, position=position)
                yield Step(contract.entity, after, marks, kept, part.upserts, part.deletes, part.quarantined)
        if not is_over:
            raise MalformedPage(f"{contract.entity}: the pages ended without a last one")


@dataclass(frozen=True)
class _Part:
    """What a few records came to."""

    kept: Sequence[Row]
    upserts: Sequence[Row]
    deletes: Sequence[Row]
    quarantined: Sequence[Row]
    newest: datetime | None


def _slices(page: Page, size: int) -> Iterator[tuple[Sequence[object], int]]:
    """A page in parts of at most `size` records, at least one part, each with where the next begins."""
    count = len(page.records)
    for first in range(0, max(count, 1), size):
        last = min(first + size, count)
        is_whole = last == count and page.end is not None
        yield page.records[first:last], page.end if is_whole and page.end is not None else page.start + last


def _passed(contract: Contract, state: State, position: Position) -> State:
    """The state after a window was read to its end."""
    before = state.cursors.get(contract.entity)
    cursor = advanced(contract, before, position.windows[0], position.newest, position.began)
    state = replace(state, cursors={**state.cursors, contract.entity: cursor})
    if position.windows[1:]:
        return replace(state, position=Position(position.windows[1:], position.began))
    return _without(state, contract.entity)


def _without(state: State, entity: str) -> State:
    return replace(state, left=tuple(one for one in state.left if one != entity), position=None)


def _part(contract: Contract, records: Sequence[object]) -> _Part:
    converted = convert(contract, records)
    if contract.on_drift is OnDrift.STOP:
        _stop_at_drift(contract, converted)
    frame = converted.frame
    changed, deleted = contract.changed_column, contract.deleted_column
    rows = _newest(_plain(frame).to_dicts(), contract.key, changed)
    gone = [row for row in rows if deleted and row[deleted]]
    return _Part(
        [dict.fromkeys(contract.key, one.record_id) for one in converted.quarantined if _is_kept(one)],
        [row for row in rows if not (deleted and row[deleted])],
        [{name: row[name] for name in contract.key} for row in gone],
        list({row["record_hash"]: row for row in map(_quarantined_row(contract), converted.quarantined)}.values()),
        frame[changed].max() if changed else None,  # type: ignore[arg-type]
    )


def _stop_at_drift(contract: Contract, converted: Converted) -> None:
    """Raise DriftStopped where an ingest run of the same records would, as far as they alone can tell."""
    observed = Observed()
    observed.add(converted)
    if errors := [drift for drift in observed.drifts(contract, None) if drift.severity == "error"]:
        told = "; ".join(drift.detail for drift in errors)
        raise DriftStopped(f"it changed its shape: {told}; adapt its contract and sync again", errors)


def _is_kept(one: Quarantined) -> bool:
    """Whether it is known which row the broken record belongs to, and the source does not call it deleted."""
    return one.record_id is not None and json.loads(one.record).get("isDeleted") is not True


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Times as ISO texts of one length."""
    return frame.with_columns(pl.selectors.datetime().dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"))


def _newest(rows: list[Row], key: tuple[str, ...], changed: str | None) -> Sequence[Row]:
    """One row a key: the one changed last, of equals the one that came last."""
    newest: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        place = tuple(row[name] for name in key)
        before = newest.get(place)
        if before is None or not changed or (row[changed] or "") >= (before[changed] or ""):
            newest[place] = row
    return list(newest.values())


def _quarantined_row(contract: Contract) -> Callable[[Quarantined], Row]:
    def row(one: Quarantined) -> Row:
        return {
            "entity": contract.entity,
            "record_hash": hashlib.sha256(one.record.encode()).hexdigest(),
            "record_id": one.record_id,
            "day": one.day.isoformat() if one.day else None,
            "record": one.record,
            "reasons": orjson.dumps(one.reasons).decode(),
        }

    return row
