"""Days, weeks, months, quarters, halves and years of the calendar.

    containing(date(2017, 11, 24), "MONTH")      # Period(2017-11-01, 2017-11-30)
    Moment("MONTH", 11).resolve(anchor=date(2017, 12, 31))

Weeks are ISO weeks and start on Monday.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Unit = Literal["DAY", "WEEK", "MONTH", "QUARTER", "HALF", "YEAR"]
_MONTHS = {"MONTH": 1, "QUARTER": 3, "HALF": 6, "YEAR": 12}


@dataclass(frozen=True)
class Period:
    """First and last day, both included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days + 1


@dataclass(frozen=True)
class Moment:
    """A named piece of the calendar: November, the fourth quarter, week 47, 24 December; the year may be left open.

    number counts within the year (for DAY the month, with `day` in it; for YEAR it is ignored).
    """

    unit: Unit
    number: int = 1
    year: int | None = None
    day: int = 1

    def in_year(self, year: int) -> Period:
        """The piece in that year; raises ValueError when the year has no such day or week."""
        if self.unit == "DAY":
            only = date(year, self.number, self.day)
            return Period(only, only)
        if self.unit == "WEEK":
            return containing(date.fromisocalendar(year, self.number, 1), "WEEK")
        months = _MONTHS[self.unit]
        number = 1 if self.unit == "YEAR" else self.number
        return containing(date(year, (number - 1) * months + 1, 1), self.unit)

    def resolve(self, anchor: date) -> Period | None:
        """Its own year, or else the latest one in which it has begun by the anchor; None when there is no such day."""
        years = [self.year] if self.year is not None else [anchor.year + 1 - back for back in range(6)]
        for year in years:
            try:
                found = self.in_year(year)
            except ValueError:
                continue
            if self.year is not None or found.start <= anchor:
                return found
        return None


def beginning(day: date, unit: Unit) -> date:
    """First day of the unit that holds `day`."""
    if unit == "DAY":
        return day
    if unit == "WEEK":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[unit]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def shift(day: date, unit: Unit, count: int) -> date:
    """The day `count` units later (earlier when negative); the day of the month is kept where the month has it."""
    if unit in ("DAY", "WEEK"):
        return day + timedelta(days=count * (7 if unit == "WEEK" else 1))
    months = day.year * 12 + day.month - 1 + count * _MONTHS[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def containing(day: date, unit: Unit) -> Period:
    """The whole unit that holds `day`."""
    first = beginning(day, unit)
    return Period(first, shift(first, unit, 1) - timedelta(days=1))


def latest(anchor: date, unit: Unit, count: int) -> Period:
    """`count` units that end on the anchor: 30 days, or three months back from it, day by day."""
    following = anchor + timedelta(days=1)
    return Period(shift(following, unit, -count), anchor)
