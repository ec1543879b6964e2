"""Changes: what happens to a merchant's records while somebody reads them.

    Change("sale", "insert", at_request=3, count=20)                  # between the reader's pages 2 and 3
    Change("sale", "insert", at_request=3, late=timedelta(hours=6))   # committed late: older than what is listed

The trigger is the server's count of requests, so a change comes at the same place of a read on every run and whichever
process reads. What it does depends on the listing and its own seed alone, not on when it comes.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

from mercurios.errors import ConfigError
from mercurios.sandbox.listing import Listing
from mercurios.sandbox.making import drawn, made_up, other_value
from mercurios.sandbox.shapes import SHAPES

Kind = Literal["insert", "update", "delete", "mark_deleted"]
_AT_ONCE = timedelta()


@dataclass(frozen=True)
class Change:
    """One change, made before the merchant's request `at_request` (from 1) is answered.

    of: only requests for pages of this entity are counted; None: all of the merchant's pages.
    rows: the records to insert; ids: the rows to change. Without them `count` of each are made up, or drawn, by `seed`.
    values: what an update sets; without them one field gets a new value.
    bumps: whether an update or a mark moves lastChange, to a second after the newest.
    late: rows that are made up say that they happened, and were changed, so long before the newest change.
    """

    entity: str
    kind: Kind
    at_request: int = 1
    of: str | None = None
    rows: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    ids: Collection[str] = ()
    count: int = 1
    values: Mapping[str, object] = field(default_factory=dict, repr=False)
    bumps: bool = True
    late: timedelta = _AT_ONCE
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := {self.entity, self.of or self.entity} - set(SHAPES):
            raise ConfigError(f"a change of {', '.join(unknown)}: the API has {', '.join(sorted(SHAPES))}")
        if self.kind not in get_args(Kind):
            raise ConfigError(f"a change is one of {', '.join(get_args(Kind))}, not {self.kind!r}")

    def is_due(self, requests: Mapping[str | None, int]) -> bool:
        """Whether it comes now; requests: how many were counted, by entity and (None) in all."""
        return requests.get(self.of, 0) >= self.at_request


def make(change: Change, listing: Listing) -> None:
    """Carry a change out on the listing of its entity; raises BadRequest when it names what is not listed."""
    chance = random.Random(f"{change.seed}/{change.entity}/{change.kind}")
    with listing.lock:
        if change.kind == "insert":
            listing.insert(change.rows or made_up(listing, change.count, chance, late=change.late))
            return
        ids = change.ids or drawn(listing.view, change.count, chance)
        if change.kind == "delete":
            listing.delete(ids)
        elif change.kind == "mark_deleted":
            listing.mark_deleted(ids, bumps=change.bumps)
        else:
            listing.update(ids, change.values or other_value(listing.shape, chance), bumps=change.bumps)
