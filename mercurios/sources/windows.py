"""Windows: which part of an entity to read next, and what is known once it has been read.

    for window in next_windows(contract, cursor, can_read, now):
        ...
        cursor = advanced(contract, cursor, window, newest_change, started)

All times are the merchant's local time. A source that cannot select by itself is read completely, whatever the
strategy: ProHandel has no filter that anybody has verified.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from mercurios.sources import EVERYTHING, Window
from mercurios.sources.contracts import Contract, Strategy

LAG = timedelta(days=2)
"""Changes are read again from this long before the newest one seen: what was committed late is met then."""
CLOSING_DAYS = 14
"""A day of business is read again until it is this old."""
COMPLETE_EVERY = timedelta(days=7)
"""Entities read by their changes are read completely this often: a record that vanished leaves no change behind."""


@dataclass(frozen=True)
class Cursor:
    """How far one entity of one tenant has been read.

    changed_to: newest change seen. closed_until: days before it are not read again. complete_at: start of the newest
    complete read.
    """

    changed_to: datetime | None = None
    closed_until: date | None = None
    complete_at: datetime | None = None


def next_windows(
    contract: Contract, cursor: Cursor | None, can_read: Callable[[Window], bool], now: datetime
) -> tuple[Window, ...]:
    """The windows that are due, in this order; EVERYTHING on the first read and where the source selects nothing."""
    if cursor is None or cursor.complete_at is None:
        return (EVERYTHING,)
    windows = tuple(window for window in _wanted(contract, cursor, now) if can_read(window))
    return windows or (EVERYTHING,)


def _wanted(contract: Contract, cursor: Cursor, now: datetime) -> list[Window]:
    changes = Window(changed_from=(cursor.changed_to - LAG).replace(microsecond=0)) if cursor.changed_to else None
    if contract.strategy is Strategy.DAYS and cursor.closed_until:  # changes: closed days are corrected, too
        return [Window(day_from=cursor.closed_until), *([changes] if changes else [])]
    is_due = cursor.complete_at is None or now - cursor.complete_at >= COMPLETE_EVERY
    if contract.strategy is Strategy.CHANGES and changes and not is_due:
        return [changes]
    return []


def advanced(
    contract: Contract, cursor: Cursor | None, window: Window, newest_change: datetime | None, started: datetime
) -> Cursor:
    """The cursor after a window was read; the read began at `started`.

    A change is not believed beyond the beginning of its read: a record may have changed on a page already passed, and
    a clock that runs ahead would hide everything after it.
    """
    before = cursor or Cursor()
    after = before
    if newest_change and (window.is_everything or window.changed_from):
        after = replace(after, changed_to=max(before.changed_to or datetime.min, min(newest_change, started)))
    if contract.strategy is Strategy.DAYS and _reaches_today(window, before):
        closed = started.date() - timedelta(days=CLOSING_DAYS)
        after = replace(after, closed_until=max(before.closed_until or date.min, closed))
    return replace(after, complete_at=started) if window.is_everything else after


def _reaches_today(window: Window, before: Cursor) -> bool:
    """Whether no day is left out between what was closed before and today; a backfill may leave some out."""
    if window.is_everything:
        return True
    starts_in_time = window.day_from and before.closed_until and window.day_from <= before.closed_until
    return bool(starts_in_time) and window.day_until is None
