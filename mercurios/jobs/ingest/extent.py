"""What one run is to do, and how much it is to read.

Run(as_of, home / "spool", Extent(entities=("sale",), first=date(2026, 1, 1), until=date(2026, 2, 1)))
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mercurios.errors import BadRequest


@dataclass(frozen=True)
class Extent:
    """How much to read: what is due unless something else is said.

    entities: all the source has when none are named. is_full: everything. first, until: the days between them (ISO
    dates, the last excluded) of entities that have days, and all of the others.
    accepts_deletions: believe a listing that lacks more than it has.
    """

    entities: tuple[str, ...] = ()
    is_full: bool = False
    first: date | None = None
    until: date | None = None
    accepts_deletions: bool = False


DUE = Extent()


def parse_days(text: str) -> tuple[date | None, date | None]:
    """Read `2026-01-01/2026-02-01`, an open end as `..`; raises BadRequest unless the first day is before the last."""
    first, _, until = text.partition("/")
    try:
        days = tuple(None if day == ".." else date.fromisoformat(day) for day in (first, until))
    except ValueError as error:
        raise BadRequest(f"days: expected FROM/UNTIL such as 2026-01-01/2026-02-01, got {text[:40]!r}") from error
    if days == (None, None):
        raise BadRequest("days: ../.. has no end; say a day at one of them, --full reads everything")
    if days[0] and days[1] and days[0] >= days[1]:
        raise BadRequest(f"days: {text[:40]!r} holds no day; the last one is excluded")
    return days[0], days[1]


@dataclass(frozen=True)
class Run:
    """What one run is to do.

    as_of: its moment, with a time zone; the local date is the day of the stock snapshot.
    spool: folder of pages that are not in the warehouse yet.
    """

    as_of: datetime
    spool: Path
    extent: Extent = DUE
