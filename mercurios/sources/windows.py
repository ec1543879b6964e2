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
    windows = _wanted(contract, _believed(cursor, now), can_read, now)
    return tuple(window for window in windows if can_read(window)) or (EVERYTHING,)


def _believed(cursor: Cursor, now: datetime) -> Cursor:
    """The cursor without what lies in the future: a clock that once ran ahead must not hide anything for ever."""
    return Cursor(
        cursor.changed_to and min(cursor.changed_to, now),
        cursor.closed_until and min(cursor.closed_until, _closed(now)),
        cursor.complete_at,
    )


def _wanted(contract: Contract, cursor: Cursor, can_read: Callable[[Window], bool], now: datetime) -> list[Window]:
    if contract.strategy is Strategy.COMPLETE:
        return []
    changes = [Window(changed_from=(cursor.changed_to - LAG).replace(microsecond=0))] if cursor.changed_to else []
    if contract.strategy is Strategy.DAYS and can_read(Window(day_from=now.date())):
        return [Window(day_from=cursor.closed_until), *changes] if cursor.closed_until else []
    is_due = cursor.complete_at is None or not timedelta(0) <= now - cursor.complete_at < COMPLETE_EVERY
    return [] if is_due else changes


def advanced(
    contract: Contract, cursor: Cursor | None, window: Window, newest_change: datetime | None, started: datetime
) -> Cursor:
    """The cursor after a window was read; the read began at `started`.

    A change is not believed beyond the beginning of its read: a record may have changed on a page already passed, and
    a clock that runs ahead would hide everything after it. Days are closed by the second complete read and not by the
    first: records that shift while it goes on may be missed by one.
    """
    before = cursor or Cursor()
    newest = newest_change and min(newest_change, started)
    if window.is_everything:
        closed = _closed(started) if contract.strategy is Strategy.DAYS and before.complete_at else None
        return Cursor(newest or before.changed_to, closed, started)
    after = before
    if newest and window.changed_from:
        after = replace(after, changed_to=max(before.changed_to or datetime.min, newest))
    if contract.strategy is Strategy.DAYS and _reaches_today(window, before):
        after = replace(after, closed_until=max(before.closed_until or date.min, _closed(started)))
    return after


def _closed(now: datetime) -> date:
    return now.date() - timedelta(days=CLOSING_DAYS)


def _reaches_today(window: Window, before: Cursor) -> bool:
    """Whether no day is left out between what was closed before and today; a backfill may leave some out."""
    starts_in_time = window.day_from and before.closed_until and window.day_from <= before.closed_until
    return bool(starts_in_time) and window.day_until is None
