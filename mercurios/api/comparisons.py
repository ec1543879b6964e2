"""The same metrics in an earlier period, row by row.

    before = compare(asker, measured, "YEAR_BEFORE")
    before["before"][0], before["change"][0]

Works for every metric that has a value in a period. Metrics that are comparisons themselves (like-for-like, growth)
know more: aligned holidays, branches that traded in both years.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.figures import Measured, measure
from mercurios.errors import BadRequest
from mercurios.metrics import MAX_LIMIT, Grain, MetricQuery

_DAY = timedelta(days=1)
_STEP_MONTHS: Mapping[Grain | None, int] = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


@dataclass(frozen=True)
class Shift:
    """How far back: whole months or days."""

    months: int = 0
    days: int = 0

    def back(self, day: date) -> date:
        """The day that stands beside this one; 29 February stands beside the 28th. Raises BadRequest before year 1."""
        try:
            year, month = divmod(day.year * 12 + day.month - 1 - self.months, 12)
            first = date(year, month + 1, 1)
            last = (first + timedelta(days=31)).replace(day=1) - _DAY
            return first.replace(day=min(day.day, last.day)) - timedelta(days=self.days)
        except (ValueError, OverflowError) as error:
            raise BadRequest(f"nothing lies that far before {day}; ask for a later period") from error


def shift_of(kind: str, query: MetricQuery) -> Shift:
    """How far the comparison looks back; raises BadRequest without a whole period, or for steps it would cut."""
    if query.start is None or query.end is None or query.end == date.max:
        raise BadRequest("a comparison needs the period it compares; pass `from` and `to`")
    if kind == "YEAR_BEFORE":
        shift = Shift(months=12)
    elif kind == "WEEKS_52_BEFORE":
        shift = Shift(days=364)
    else:
        shift = _period_before(query.start, query.end, query.grain)
    if not _keeps_steps(shift, query.grain):
        raise BadRequest(
            f"{kind} would cut steps of {query.grain}; by WEEK compare with WEEKS_52_BEFORE, "
            "by MONTH, QUARTER or YEAR with YEAR_BEFORE, or leave `grain` out"
        )
    return shift


def compare(asker: Asker, now: Measured, kind: str) -> Mapping[str, Any]:
    """The earlier period, each row's metrics in it, and their change as a fraction of them."""
    query, shift = now.query, shift_of(kind, now.query)
    assert query.start is not None
    assert query.end is not None
    start, end = shift.back(query.start), shift.back(query.end + _DAY) - _DAY
    earlier = measure(asker, replace(query, start=start, end=end, order_by=(), limit=MAX_LIMIT))
    if len(earlier.rows) == MAX_LIMIT:
        raise BadRequest(f"more than {MAX_LIMIT:,} rows would be compared; group by less, or filter")
    keys = len(now.columns) - len(query.names)
    there = {tuple(row[:keys]): row[keys:] for row in earlier.rows}
    none = (None,) * len(query.names)
    before = [there.get(_beside(row[:keys], shift, query.grain), none) for row in now.rows]
    change = [list(map(_change, row[keys:], then)) for row, then in zip(now.rows, before, strict=True)]
    return {"from": start, "to": end, "before": before, "change": change}


def _period_before(start: date, end: date, grain: Grain | None) -> Shift:
    """As many whole months where the period is some, unless days are compared, else as many days."""
    after = end + _DAY
    if start.day == after.day == 1 and grain not in ("DAY", "WEEK"):
        return Shift(months=(after.year - start.year) * 12 + after.month - start.month)
    return Shift(days=(end - start).days + 1)


def _keeps_steps(shift: Shift, grain: Grain | None) -> bool:
    if grain == "WEEK":
        return not shift.months and shift.days % 7 == 0
    return grain in (None, "DAY") or (not shift.days and shift.months % _STEP_MONTHS[grain] == 0)


def _beside(key: tuple[Any, ...], shift: Shift, grain: Grain | None) -> tuple[Any, ...]:
    if grain is None or key[0] is None:
        return tuple(key)
    return (shift.back(date.fromisoformat(str(key[0])[:10])).isoformat(), *key[1:])


def _change(now: Any, before: Any) -> float | None:
    if not isinstance(now, int | float) or not isinstance(before, int | float) or before <= 0:
        return None
    return now / before - 1


def _comparison(now: Measured, info: GraphQLResolveInfo, *, period: str) -> Mapping[str, Any]:
    return compare(info.context, now, period)


RESOLVERS: Resolvers = {"MetricResult.comparison": _comparison}
