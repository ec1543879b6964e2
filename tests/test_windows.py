"""Windows: nothing that changes within the lag, or on a day not yet closed, can fall between two reads."""

from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mercurios.sources import EVERYTHING, Window
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.windows import CLOSING_DAYS, COMPLETE_EVERY, LAG, Cursor, advanced, next_windows

SALE, ARTICLE, BRANCH = CONTRACTS["sale"], CONTRACTS["article"], CONTRACTS["branch"]
NOW = datetime(2026, 3, 10, 12)


def anything(_window: Window) -> bool:
    return True


def nothing(window: Window) -> bool:
    return window.is_everything


def test_the_first_read_is_of_everything() -> None:
    for contract in CONTRACTS.values():
        assert next_windows(contract, None, anything, NOW) == (EVERYTHING,)
        assert next_windows(contract, Cursor(changed_to=NOW), anything, NOW) == (EVERYTHING,)


def test_a_source_that_selects_nothing_is_read_completely() -> None:
    cursor = Cursor(NOW, NOW.date(), NOW)
    for contract in CONTRACTS.values():
        assert next_windows(contract, cursor, nothing, NOW) == (EVERYTHING,)


def test_each_strategy_reads_its_part() -> None:
    cursor = Cursor(changed_to=NOW - timedelta(hours=1), closed_until=date(2026, 2, 20), complete_at=NOW)
    changes = Window(changed_from=NOW - timedelta(hours=1) - LAG)
    assert next_windows(BRANCH, cursor, anything, NOW) == (EVERYTHING,)
    assert next_windows(ARTICLE, cursor, anything, NOW) == (changes,)
    assert next_windows(SALE, cursor, anything, NOW) == (Window(day_from=date(2026, 2, 20)), changes)
    assert next_windows(SALE, cursor, lambda window: window.changed_from is None, NOW) == (
        Window(day_from=date(2026, 2, 20)),
    )


def test_what_leaves_no_change_behind_is_found_by_a_complete_read_once_a_week() -> None:
    cursor = Cursor(changed_to=NOW, complete_at=NOW)
    late = NOW + COMPLETE_EVERY
    assert next_windows(ARTICLE, cursor, anything, late - timedelta(seconds=1)) == (Window(changed_from=NOW - LAG),)
    assert next_windows(ARTICLE, cursor, anything, late) == (EVERYTHING,)


def test_an_api_that_selects_changes_only_is_read_by_changes_and_once_a_week_completely() -> None:
    cursor = Cursor(NOW, None, NOW)
    assert next_windows(SALE, cursor, lambda window: window.day_from is None, NOW) == (Window(changed_from=NOW - LAG),)
    late = NOW + COMPLETE_EVERY
    assert next_windows(SALE, cursor, lambda window: window.day_from is None, late) == (EVERYTHING,)


def test_days_are_closed_by_the_second_complete_read() -> None:
    """The first may miss a record that shifts while pages are read, and no later one would meet it."""
    first = advanced(SALE, None, EVERYTHING, NOW, NOW)
    assert (first.closed_until, next_windows(SALE, first, anything, NOW)) == (None, (EVERYTHING,))
    second = advanced(SALE, first, EVERYTHING, NOW, NOW)
    assert next_windows(SALE, second, anything, NOW)[0] == Window(day_from=NOW.date() - timedelta(CLOSING_DAYS))


def test_a_cursor_from_the_future_hides_nothing() -> None:
    """A run whose clock was wrong, once."""
    wrong = datetime(2099, 1, 1)
    cursor = advanced(SALE, Cursor(complete_at=wrong), EVERYTHING, wrong, wrong)
    days, changes = next_windows(SALE, cursor, anything, NOW)
    assert days == Window(day_from=NOW.date() - timedelta(CLOSING_DAYS))
    assert changes == Window(changed_from=NOW - LAG)
    assert next_windows(ARTICLE, cursor, anything, NOW) == (EVERYTHING,)
    assert advanced(SALE, cursor, EVERYTHING, NOW, NOW) == Cursor(NOW, NOW.date() - timedelta(CLOSING_DAYS), NOW)


def test_a_complete_read_sets_all_bounds() -> None:
    newest = NOW - timedelta(hours=3)
    again = Cursor(complete_at=NOW)
    assert advanced(SALE, again, EVERYTHING, newest, NOW) == Cursor(newest, NOW.date() - timedelta(CLOSING_DAYS), NOW)
    assert advanced(ARTICLE, None, EVERYTHING, newest, NOW) == Cursor(newest, None, NOW)
    assert advanced(BRANCH, None, EVERYTHING, None, NOW) == Cursor(None, None, NOW)


def test_a_clock_that_runs_ahead_hides_nothing() -> None:
    cursor = advanced(ARTICLE, None, EVERYTHING, datetime(2099, 1, 1), NOW)
    assert cursor.changed_to == NOW


def test_days_say_nothing_of_changes_and_changes_nothing_of_days() -> None:
    before = Cursor(NOW - timedelta(days=3), date(2026, 2, 1), NOW - timedelta(days=3))
    days = advanced(SALE, before, Window(day_from=date(2026, 2, 1)), NOW, NOW)
    assert days == Cursor(before.changed_to, NOW.date() - timedelta(CLOSING_DAYS), before.complete_at)
    changes = advanced(SALE, before, Window(changed_from=NOW - timedelta(days=5)), NOW, NOW)
    assert changes == Cursor(NOW, before.closed_until, before.complete_at)


def test_a_backfill_leaves_the_cursor_where_it_was() -> None:
    before = Cursor(NOW, date(2026, 2, 1), NOW)
    for window in (
        Window(day_from=date(2025, 1, 1), day_until=date(2025, 2, 1)),
        Window(day_until=date(2026, 2, 20)),
        Window(day_from=date(2026, 3, 1)),  # the days since the first of February would be left out
    ):
        assert advanced(SALE, before, window, NOW + timedelta(days=1), NOW + timedelta(days=1)) == before
    assert advanced(SALE, None, Window(day_from=date(2026, 3, 1)), NOW, NOW) == Cursor()


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31))


@given(
    runs=st.lists(moments, min_size=2, max_size=12).map(sorted),
    changed=moments,
    committed_after=st.timedeltas(timedelta(0), LAG),
    others=st.lists(moments, max_size=12),
)
def test_a_change_committed_within_the_lag_is_always_read(
    runs: list[datetime], changed: datetime, committed_after: timedelta, others: list[datetime]
) -> None:
    """Whatever else changes and whenever runs happen: the first run after the commit has the change in its window."""
    cursor: Cursor | None = None
    visible = changed + committed_after
    for started in runs:
        (window,) = next_windows(ARTICLE, cursor, anything, started)
        if started >= visible:
            assert window.is_everything or (window.changed_from is not None and window.changed_from <= changed)
            return
        seen = [other for other in others if other <= started]
        cursor = advanced(ARTICLE, cursor, window, max(seen, default=None), started)


@given(runs=st.lists(moments, min_size=2, max_size=12).map(sorted), day=moments, late=st.integers(0, CLOSING_DAYS))
def test_a_day_is_read_again_until_it_is_closed(runs: list[datetime], day: datetime, late: int) -> None:
    cursor: Cursor | None = None
    visible = day + timedelta(days=late)
    for started in runs:
        window = next_windows(SALE, cursor, anything, started)[0]
        if started >= visible:
            assert window.is_everything or (window.day_from is not None and window.day_from <= day.date())
            return
        cursor = advanced(SALE, cursor, window, None, started)
