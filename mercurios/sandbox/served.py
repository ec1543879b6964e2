"""A merchant as it is being served: the records as they are now, what goes wrong, what is still to happen.

    served = Served(merchant)
    served.listing("sale").insert(rows)
    served.meet("sale", page=2, size=1000)

Everything may be called from any thread.
"""

import random
import threading

import polars as pl

from mercurios.errors import BadRequest
from mercurios.progress import tell
from mercurios.sandbox.changes import Change, make
from mercurios.sandbox.desk import FaultDesk, Met
from mercurios.sandbox.listing import Listing
from mercurios.sandbox.merchant import Merchant
from mercurios.sandbox.pages import View
from mercurios.sandbox.receipts import wrapped
from mercurios.sandbox.selection import Selection
from mercurios.sandbox.shapes import SHAPES

Repetition = tuple[int, int]
"""So many rows come again, before this row."""


class Served:
    """One merchant's listings, by entity, with its faults and scripted changes."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant.name
        self.derived = merchant.profile.derived
        self.desk = FaultDesk(merchant.faults)
        self._listings = {
            entity: Listing(shape, _frame(merchant, entity), salt=merchant.name) for entity, shape in SHAPES.items()
        }
        self._texts = {
            entity: frozenset(self._drawn(entity, count)) for entity, count in merchant.faults.wrong_types.items()
        }
        self._repeated: dict[str, list[Repetition]] = {}
        self._script = list(merchant.faults.changes)
        self._playing = threading.Lock()

    def listing(self, entity: str) -> Listing:
        """The rows of one entity; raises BadRequest for one that the API does not have."""
        if entity not in self._listings:
            raise BadRequest(f"no entity {entity}; the API has {', '.join(sorted(self._listings))}")
        return self._listings[entity]

    def meet(self, entity: str, page: int, size: int) -> Met:
        """Count a request, make the changes that are due, and tell what goes wrong with the answer."""
        met = self.desk.meet(entity, page, size)
        for effect in (*([met.refusal] if met.refusal else []), *met.effects):
            tell(f"fault at {self.merchant} {entity} page {page}: {effect}")
        if self._script:
            with self._playing:
                due = [change for change in self._script if change.is_due(self.desk.requests)]
                self._play(due)
        return met

    def view(self, entity: str, selection: Selection, first: int, repeated: int) -> View:
        """What a request is answered from that wants rows from `first` on and is to meet so many once more."""
        if first == 0:
            self._repeated.pop(entity, None)
        elif repeated:
            self._repeated.setdefault(entity, []).append((repeated, first))
        view = self.listing(entity).select(selection)
        for rows, before in self._repeated.get(entity, ()):
            view = view.repeating(rows, before=before)
        return view

    def settle(self) -> int:
        """Make the scripted changes that have not been due yet; returns how many."""
        with self._playing:
            return self._play(list(self._script))

    def texts(self, entity: str, view: View, first: int, count: int) -> frozenset[str]:
        """Ids of those rows of a page that are to hold a text where a number belongs."""
        return self._texts[entity].intersection(view.ids(first, count)) if entity in self._texts else frozenset()

    def _play(self, changes: list[Change]) -> int:
        for change in changes:
            self._script.remove(change)
            tell(f"change at {self.merchant} {change.entity}: {change.kind} of {change.count}")
            make(change, self.listing(change.entity))
        return len(changes)

    def _drawn(self, entity: str, count: int) -> list[str]:
        """The same records whatever is selected, and whatever comes and goes while they are read."""
        view = self.listing(entity).view
        faults = self.desk.faults
        chance = random.Random(f"{faults.seed}/{entity}")
        return [str(view.frame.item(row, "id")) for row in chance.sample(range(view.rows), min(count, view.rows))]


def _frame(merchant: Merchant, entity: str) -> pl.DataFrame:
    frame = merchant.entities.get(entity, pl.DataFrame(schema={"id": pl.String}))
    receipts = merchant.faults.receipts_per_register
    return wrapped(frame, receipts) if entity == "sale" and receipts and not frame.is_empty() else frame
