"""Makes public_holidays.csv of the package `holidays`, for every calendar a tenant may have.

    python dbt/seeds/public_holidays.py

One row a country, day and name; subdivisions are separated by blanks and empty where the day is one in every calendar
of the country. The country's own code among them is the calendar of the country as a whole.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import holidays

from mercurios.tenancy.calendars import CALENDARS

FIRST_YEAR, LAST_YEAR = 2010, 2035
FILE = Path(__file__).with_name("public_holidays.csv")
_LANGUAGES = {"CH-GE": "fr", "CH-JU": "fr", "CH-NE": "fr", "CH-VD": "fr", "CH-TI": "it"}


def days_of(country: str, part: str) -> Mapping[date, str]:
    """Public holidays of one calendar with their names in its language; the whole country's when part is its code."""
    language = _LANGUAGES.get(f"{country}-{part}", getattr(holidays, country).default_language)
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    subdivision = None if part == country else part
    return holidays.country_holidays(country, subdiv=subdivision, years=years, language=language)


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Country, subdivisions, day and name."""
    for country, parts in CALENDARS.items():
        calendars: dict[tuple[date, str], list[str]] = {}
        for part in (country, *parts):
            for day, name in days_of(country, part).items():
                calendars.setdefault((day, name), []).append(part)
        for (day, name), found in sorted(calendars.items()):
            yield country, "" if len(found) == len(parts) + 1 else " ".join(found), day.isoformat(), name


def text() -> str:
    """The file's whole content."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("country", "subdivisions", "day", "name"))
    writer.writerows(rows())
    return out.getvalue()


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
