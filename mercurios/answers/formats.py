"""Numbers, days and periods as German and English readers write them.

    number_text(Decimal("1234567.891"), "currency", "de", "EUR")     # '1.234.567,89 EUR'
    period_text(Period(date(2017, 11, 1), date(2017, 11, 30)), "en")     # 'in November 2017'

The texts of `messages.yaml` are read here.
"""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mercurios.answers.calendar_units import Period, containing

_PLACES = {"currency": 2, "fraction": 1, "count": 0, "units": 3, "days": 1, "weeks": 1, "ratio": 2}
_NAMED = {"days": {"de": "Tage", "en": "days"}, "weeks": {"de": "Wochen", "en": "weeks"}}


@lru_cache(maxsize=1)
def messages() -> dict[str, Any]:
    """The texts of `messages.yaml`."""
    loaded: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("messages.yaml").read_text(encoding="utf-8"))
    return loaded


def number_text(value: object, unit: str, language: str, currency: str) -> str:
    """A figure with its unit, rounded half up; `–` for none.

    Money to cents, fractions as per cent to a tenth, days and weeks to a tenth, ratios to a hundredth.
    """
    if value is None or isinstance(value, bool):
        return "–"
    exact = Decimal(str(value)) * (100 if unit == "fraction" else 1)
    places = _PLACES.get(unit, 2)
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    text = f"{rounded:,.{places}f}"
    if unit == "units":
        text = text.rstrip("0").rstrip(".")
    if language == "de":
        text = text.translate(str.maketrans(",.", ".,"))
    if unit == "currency":
        return f"{text} {currency}" if language == "de" else f"{currency} {text}"
    if unit in _NAMED:
        return f"{text} {_NAMED[unit][language]}"
    return f"{text} %" if unit == "fraction" else text


def day_text(day: date, language: str) -> str:
    """24. Dezember 2017, or 24 December 2017."""
    dot = "." if language == "de" else ""
    return f"{day.day}{dot} {_month(day, language)} {day.year}"


def period_text(period: Period, language: str) -> str:
    """The period in words, always with its year: a month, a quarter, a year, a day, or first and last day."""
    german = language == "de"
    if period.days == 1:
        return f"{'am' if german else 'on'} {day_text(period.start, language)}"
    if period == containing(period.start, "MONTH"):
        return f"{'im' if german else 'in'} {_month(period.start, language)} {period.start.year}"
    if period == containing(period.start, "QUARTER"):
        number = (period.start.month + 2) // 3
        return f"im {number}. Quartal {period.start.year}" if german else f"in Q{number} {period.start.year}"
    if period == containing(period.start, "YEAR"):
        return f"im Jahr {period.start.year}" if german else f"in {period.start.year}"
    joined = (" bis ", "vom ") if german else (" to ", "from ")
    return f"{joined[1]}{day_text(period.start, language)}{joined[0]}{day_text(period.end, language)}"


def step_text(value: object, grain: str, language: str) -> str:
    """A step of a series: the value of `metric_time` as day, week, month, quarter or year."""
    day = _as_date(value)
    if grain == "DAY":
        return day_text(day, language)
    if grain == "WEEK":
        return f"Woche ab {day_text(day, language)}" if language == "de" else f"week of {day_text(day, language)}"
    if grain == "MONTH":
        return f"{_month(day, language)} {day.year}"
    return str(day.year) if grain == "YEAR" else f"Q{(day.month + 2) // 3} {day.year}"


def _month(day: date, language: str) -> str:
    return str(messages()["months"][language].split()[day.month - 1])


def _as_date(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
