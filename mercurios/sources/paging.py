"""Paging: how many records to ask for at a time, and which part of the listing an answer holds.

    sizes = PageSize(1000, slow_seconds=20)
    number = sizes.number(offset)                      # ask for page `number` at `sizes.current` records
    span = sizes.span(sheet, offset)                   # range(2000, 3000), or None: ask again, the size was another

Page n at s records holds the records (n - 1) * s to n * s of a listing. A page that begins before the wanted record is
cut, so a read may go on at any record and at any size.
"""

import math
from dataclasses import dataclass, field

LEAST = 50
"""Pages are not made smaller than this."""
GOOD_RUN = 5
"""After so many pages without trouble twice as many records are asked for."""
HELPED = 0.75
"""A slow page that takes more than this share of the slow one before it is not slow because of its size."""


@dataclass(frozen=True)
class Sheet:
    """One page as it was asked for (page `number` at `asked` records) and as it came.

    said: the page size that the server speaks of, if any. seconds: what it took. mark: equal for equal bodies.
    """

    number: int
    asked: int
    said: int | None
    is_more: bool
    seconds: float
    mark: int
    records: list[object] = field(repr=False)


class PageSize:
    """The page size of one read: halved when a page is too much for the server, doubled after a good run."""

    def __init__(self, largest: int, *, slow_seconds: float) -> None:
        self.current = largest
        self._largest = largest
        self._least = min(LEAST, largest)
        self._slow_seconds = slow_seconds
        self._slowest = math.inf
        self._run, self._needed = 0, GOOD_RUN
        self._has_grown = self._has_guessed = False

    @property
    def can_shrink(self) -> bool:
        """Whether smaller pages may be asked for."""
        return self.current > self._least

    def number(self, offset: int) -> int:
        """The page that holds the record at `offset`."""
        return offset // self.current + 1

    def shrink(self) -> None:
        """Ask for half from now on; who grew too early waits longer before the next time."""
        self.current = max(self._least, self.current // 2)
        self._needed *= 2 if self._has_grown else 1
        self._has_grown, self._run = False, 0

    def served(self, seconds: float, end: int) -> None:
        """Take note of a page that came, and took `seconds`; the next one begins at `end`."""
        if seconds > self._slow_seconds and self.can_shrink and seconds < HELPED * self._slowest:
            self._slowest = seconds
            self.shrink()
            return
        self._run += 1
        larger = min(self.current * 2, self._largest)
        if self._run >= self._needed and self.current < larger and end % larger == 0:
            self.current, self._run, self._has_grown, self._slowest = larger, 0, True, math.inf

    def span(self, sheet: Sheet, offset: int) -> range | None:
        """The part of the listing that a sheet covers; None when the record at `offset` is not surely in it.

        A server may cap the size or have one of its own; that size is asked for from now on, and what came is only
        taken where its place does not depend on the size: at the beginning.
        """
        size = _true_size(sheet, believes_larger=not self._has_guessed)
        if sheet.is_more and 0 < len(sheet.records) < size and not self._has_guessed:
            # A cap that no header tells of, or a page with gaps: in pages as small as this both are read rightly.
            self._has_guessed, size = True, len(sheet.records)
        self._learn(size, sheet.asked)
        return range((sheet.number - 1) * size, sheet.number * size) if size == sheet.asked or offset == 0 else None

    def _learn(self, size: int, asked: int) -> None:
        if size < asked:
            self.current = self._largest = size
        elif size > asked:
            self.current = self._least = size
            self._largest = max(self._largest, size)


def records_from(sheet: Sheet, span: range, offset: int) -> list[object]:
    """The records of a sheet from `offset` on; all of one with gaps, as nobody knows where in it they are."""
    has_gaps = sheet.is_more and len(sheet.records) < len(span)
    return sheet.records if has_gaps or offset == span.start else sheet.records[offset - span.start :]


def _true_size(sheet: Sheet, *, believes_larger: bool) -> int:
    """What the server says, unless it sends more; a larger size than asked for only where it has not been wrong yet."""
    received = len(sheet.records)
    if sheet.said and sheet.said >= received and (sheet.said <= sheet.asked or believes_larger):
        return sheet.said
    return max(sheet.asked, received)
