"""Listings: all rows of one entity, served while they change.

    listing = Listing(SHAPES["branch"], frame, salt="north")
    view = listing.view                       # the rows of this moment; a change makes another view
    listing.insert([{"number": 7, "name1": "Mitte"}])

A change splices slices of the old frame and the new rows: nothing large is copied, and who still reads the old view
is not disturbed. Changes may come from any thread.
"""

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mercurios.errors import BadRequest
from mercurios.sandbox.fitting import aligned, fitted, table
from mercurios.sandbox.identity import keys_of, uuids
from mercurios.sandbox.pages import View
from mercurios.sandbox.places import is_ordered, ordered, places
from mercurios.sandbox.selection import EVERYTHING, Selection, parsed, selected
from mercurios.sandbox.shapes import NEVER, Shape

Rows = pl.DataFrame | Sequence[Mapping[str, object]]
_KEPT_SELECTIONS = 8
_LOOSE_CHUNKS, _ROWS_A_CHUNK = 32, 5_000


class Listing:
    """All rows of one entity of one merchant, in the order the API lists them. `version` counts the changes."""

    def __init__(self, shape: Shape, frame: pl.DataFrame, *, salt: str) -> None:
        self.shape = shape
        self.version = 0
        self.lock = threading.RLock()
        self._salt = f"{salt}/{shape.entity}"
        self._inserted = 0
        self._is_ordered: bool | None = None
        self._newest: datetime | None = None
        self._show(frame if "id" in frame.columns else self._identified(frame))

    @property
    def view(self) -> View:
        """The rows of this moment."""
        return self._views[EVERYTHING]

    def select(self, selection: Selection) -> View:
        """The selected rows of this moment; found once a selection and version, whatever the number of pages."""
        views = self._views
        if selection not in views:
            while len(views) > _KEPT_SELECTIONS:
                views.pop(next(other for other in list(views) if other != EVERYTHING), None)
            views[selection] = View(self.shape, selected(self.shape, views[EVERYTHING].frame, selection))
        return views[selection]

    def insert(self, rows: Rows, *, last_change: datetime | None = None) -> list[str]:
        """List more rows, each where the API's order puts it; returns their ids.

        An id that is missing is made; lastChange is the row's own, else `last_change`, else a second after the newest.
        Raises BadRequest when an id is already listed or a value does not fit its column.
        """
        with self.lock:
            new = self._dated(self._named(table(rows)), last_change)
            frame, new = aligned(self.shape, self.view.frame, new)
            if self._is_ordered is None:
                self._is_ordered = is_ordered(self.shape, frame)
            ids = new["id"].cast(pl.String).to_list()
            new = ordered(self.shape, new)
            before = places(self.shape, frame, new, in_order=self._is_ordered)
            by_place = pl.Series(before, dtype=pl.Int64).to_frame("before").with_row_index()
            by_place = by_place.sort("before", maintain_order=True)
            self._show(_spliced(frame, _insertions(new[by_place["index"]], by_place["before"].to_list())))
            self._newest = max(self.newest_change(), _newest(new))
            return ids

    def update(self, ids: Collection[str], values: Mapping[str, object], *, bumps: bool = True) -> None:
        """Give the rows with these ids other values, in place.

        bumps: whether lastChange moves to a second after the newest, where `values` do not hold it themselves. Raises
        BadRequest when an id is not listed or to be changed, or a value does not fit its column.
        """
        if "id" in values:
            raise BadRequest(f"{self.shape.entity}: an id never changes; delete the row and insert another")
        with self.lock:
            given = dict(values)
            if bumps and "lastChange" in self.shape.fields and "lastChange" not in given:
                given["lastChange"] = self._next_change()
            frame, changes = aligned(self.shape, self.view.frame, table([given]), fills=False)
            columns = [pl.lit(changes[name]).first().alias(name) for name in changes.columns]
            runs = _runs(self._found(frame, ids))
            edits = [(first, count, frame.slice(first, count).with_columns(columns)) for first, count in runs]
            self._show(_spliced(frame, edits))
            self._newest = max(self.newest_change(), _newest(changes))
            if set(self.shape.key) & set(changes.columns):
                self._is_ordered = None

    def mark_deleted(self, ids: Collection[str], *, bumps: bool = True) -> None:
        """Set isDeleted on rows that stay listed; raises BadRequest for an entity without that field."""
        if "isDeleted" not in self.shape.fields:
            raise BadRequest(f"{self.shape.entity} lists no isDeleted; delete the rows instead")
        self.update(ids, {"isDeleted": True}, bumps=bumps)

    def delete(self, ids: Collection[str]) -> None:
        """Take the rows with these ids out of the listing, as if they had never been there.

        Raises BadRequest when an id is not listed.
        """
        with self.lock:
            frame = self.view.frame
            runs = _runs(self._found(frame, ids))
            self._show(_spliced(frame, [(first, count, frame.clear()) for first, count in runs]))

    def newest_change(self) -> datetime:
        """The newest lastChange so far; 1990 when nothing ever changed."""
        with self.lock:
            if self._newest is None:
                self._newest = _newest(self.view.frame)
            return self._newest

    def _show(self, frame: pl.DataFrame) -> None:
        self._views = {EVERYTHING: View(self.shape, frame)}
        self.version += 1

    def _next_change(self) -> datetime:
        self._newest = self.newest_change().replace(microsecond=0) + timedelta(seconds=1)
        return self._newest

    def _dated(self, rows: pl.DataFrame, last_change: datetime | None) -> pl.DataFrame:
        if "lastChange" not in self.shape.fields or "lastChange" in rows.columns or rows.is_empty():
            return rows
        return rows.with_columns(lastChange=pl.lit(last_change or self._next_change(), dtype=pl.Datetime("us")))

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        if "id" not in rows.columns:
            return rows.with_columns(self._new_ids(rows.height))
        ids = fitted(rows["id"], pl.String())
        listed = self.view.frame["id"].cast(pl.String)
        if ids.has_nulls() or ids.is_duplicated().any() or listed.is_in(ids.implode()).any():
            raise BadRequest(f"{self.shape.entity}: an id is missing, comes twice or is listed already")
        return rows.with_columns(ids)

    def _new_ids(self, count: int) -> pl.Series:
        """Ids that are not listed; a frame that was served before may hold some that were made then."""
        listed = self.view.frame["id"].cast(pl.String)
        while True:
            ids = uuids(f"{self._salt}/inserted", np.arange(self._inserted, self._inserted + count, dtype=np.uint64))
            self._inserted += max(count, 1)
            if not listed.is_in(ids.implode()).any():
                return ids

    def _found(self, frame: pl.DataFrame, ids: Collection[str]) -> list[int]:
        wanted = set(ids)
        column = frame["id"].cast(pl.String)
        found = column.is_in(pl.Series(sorted(wanted), dtype=pl.String).implode()).arg_true().to_list()
        if len(found) != len(wanted):
            raise BadRequest(f"{self.shape.entity}: {len(wanted) - len(found)} of {len(wanted)} ids are not listed")
        return found

    def _identified(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give every row an id made of its key; of its place when the key is incomplete or repeated."""
        keys = frame.select(name for name in self.shape.key if name in frame.columns)
        if keys.width < len(self.shape.key) or keys.is_duplicated().any():
            keys = frame.select(pl.int_range(pl.len()))
        texts = (json.dumps(key, default=str) for key in keys.iter_rows())
        return frame.with_columns(uuids(self._salt, keys_of(texts)))


Edit = tuple[int, int, pl.DataFrame]
"""At row n, instead of so many rows, these rows."""


def _insertions(rows: pl.DataFrame, befores: list[int]) -> Iterator[Edit]:
    start = 0
    for end in range(1, len(befores) + 1):
        if end == len(befores) or befores[end] != befores[start]:
            yield befores[start], 0, rows.slice(start, end - start)
            start = end


def _runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring positions as (first, count)."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((position, 1))
    return runs


def _spliced(frame: pl.DataFrame, edits: Collection[Edit] | Iterator[Edit]) -> pl.DataFrame:
    pieces, at = [], 0
    for place, count, rows in edits:
        pieces += [frame.slice(at, place - at), rows]
        at = place + count
    pieces.append(frame.slice(at))
    whole = pl.concat([piece for piece in pieces if piece.height] or [frame.clear()], rechunk=False)
    is_loose = whole.n_chunks() > _LOOSE_CHUNKS + whole.height // _ROWS_A_CHUNK
    return whole.rechunk() if is_loose else whole


def _newest(frame: pl.DataFrame) -> datetime:
    unset = datetime.fromisoformat(NEVER)
    if "lastChange" not in frame.columns:
        return unset
    column = pl.col("lastChange")
    moments = parsed(column) if frame.schema["lastChange"] == pl.String else column
    newest = frame.select(moments.cast(pl.Datetime("us")).max()).item()
    return newest if isinstance(newest, datetime) else unset
