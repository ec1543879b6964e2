"""Sources: where a merchant's records come from.

    with ProHandel(tenant) as source:
        for page in source.read("sale", Window(day_from=date(2025, 3, 1))):
            converted = convert(source.contracts["sale"], page.records)

A source is opened for one tenant and hands out pages of records as the merchant's system sent them. What a record must
look like is declared in `contracts`; `conversion` holds records against it; `windows` says which part to read next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from mercurios.sources.contracts import Contract


@dataclass(frozen=True)
class Window:
    """A part of an entity, in the merchant's local time; without bounds it is all of it.

    changed_from: records whose lastChange is at or after it. day_from, day_until: records of these days of business,
    the last one excluded.
    """

    changed_from: datetime | None = None
    day_from: date | None = None
    day_until: date | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING

    def __str__(self) -> str:
        """`everything`, `changes since …` or `days …/…`, an open end as `..`."""
        if self.changed_from:
            return f"changes since {self.changed_from.isoformat()}"
        return "everything" if self.is_everything else f"days {self.day_from or '..'}/{self.day_until or '..'}"


EVERYTHING = Window()


@dataclass(frozen=True)
class Page:
    """One page of an entity. Records are whatever the JSON array held, not yet checked.

    start: number of records of the listing before this page. end: where the next page starts, None after the last one.
    origin: the file the records come from, as `name sha256:digest`, where there is one; rows: then the row of each
    record in it, the first one below the header being 1.
    """

    entity: str
    start: int
    end: int | None
    records: Sequence[object] = field(repr=False)
    origin: str | None = None
    rows: Sequence[int] | None = field(default=None, repr=False)


class Source(Protocol):
    """One tenant's system. The tenant is bound when the source is opened."""

    @property
    def tenant_id(self) -> str:
        """The tenant whose records come from here."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The entities this source can deliver, by name."""

    @property
    def is_listing(self) -> bool:
        """Whether reading without bounds lists all there is, so that what does not come is gone.

        A listing can also be taken up again where it stopped. A drop of files is none.
        """

    def can_read(self, entity: str, window: Window) -> bool:
        """Whether the system says it selects these records by itself. It may not keep its word: look at the records."""

    def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
        """Stream an entity's records in the system's order, one page in memory at a time, from `start` on.

        Raises SourceError; pages already handed out are then an unknown part of the whole.
        """
