"""Calendars of public holidays: which there are, and which one a merchant's time zone suggests.

    check_calendar("DE-BY")
    calendar_of("Europe/Vienna")    # 'AT'

A calendar is a country of ISO 3166-1, or one of its parts of ISO 3166-2. Their days are in
`dbt/seeds/public_holidays.csv`, which `dbt/seeds/public_holidays.py` makes of this list.
"""

from collections.abc import Mapping
from types import MappingProxyType

CALENDARS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        country: tuple(parts.split())
        for country, parts in {
            "AT": "1 2 3 4 5 6 7 8 9",
            "BE": "",
            "CH": "AG AI AR BE BL BS FR GE GL GR JU LU NE NW OW SG SH SO SZ TG TI UR VD VS ZG ZH",
            "CZ": "",
            "DE": "BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH",
            "DK": "",
            "FR": "57 6AE",
            "IT": "",
            "LI": "",
            "LU": "",
            "NL": "",
            "PL": "",
            "US": "",
        }.items()
    }
)
"""Countries, and those of their parts whose days are known."""

_ZONES = {
    "AT": "Europe/Vienna",
    "BE": "Europe/Brussels",
    "CH": "Europe/Zurich",
    "CZ": "Europe/Prague",
    "DE": "Europe/Berlin Europe/Busingen",
    "DK": "Europe/Copenhagen",
    "FR": "Europe/Paris",
    "IT": "Europe/Rome",
    "LI": "Europe/Vaduz",
    "LU": "Europe/Luxembourg",
    "NL": "Europe/Amsterdam",
    "PL": "Europe/Warsaw",
    "US": "America/New_York America/Detroit America/Chicago America/Denver America/Boise America/Phoenix "
    "America/Los_Angeles America/Anchorage Pacific/Honolulu",
}
_COUNTRY = {zone: country for country, zones in _ZONES.items() for zone in zones.split()}


def calendar_of(time_zone: str) -> str | None:
    """The country's calendar that a time zone suggests, None for a zone of which no days are known."""
    return _COUNTRY.get(time_zone)


def check_calendar(text: str) -> str:
    """Return a known calendar as it is; raises ValueError naming what would be one."""
    country, _, _ = text.partition("-")
    if country not in CALENDARS:
        raise ValueError(f"{text[:40]!r} is no calendar; known countries are {', '.join(CALENDARS)}, as in DE or DE-BY")
    if text not in {country, *(f"{country}-{code}" for code in CALENDARS[country])}:
        parts = ", ".join(f"{country}-{code}" for code in CALENDARS[country]) or "none"
        raise ValueError(f"{text[:40]!r} is no part of {country}; known are {country} itself and of its parts {parts}")
    return text
