"""Calendars of public holidays: which a tenant may name, and that the seed holds what the package says of them."""

import csv
import runpy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mercurios.config import ROOT
from mercurios.errors import ConfigError
from mercurios.jobs.ingest import Run, ingest
from mercurios.tenancy import parse_tenant
from mercurios.tenancy.calendars import CALENDARS, calendar_of
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.listed import ListSource

SEEDS = ROOT / "dbt" / "seeds"
TENANT = """
id: north
name: North
currency: EUR
time_zone: {zone}
{calendar}
vat_rates: {{1: 0.19}}
source: {{kind: files, url: drops}}
"""


def calendar(zone: str, said: str = "") -> str | None:
    text = TENANT.format(zone=zone, calendar=f"calendar: {said}" if said else "")
    return parse_tenant(text, Path()).calendar


def test_the_seed_is_what_the_package_says() -> None:
    made = runpy.run_path(str(SEEDS / "public_holidays.py"))["text"]()
    assert (SEEDS / "public_holidays.csv").read_text(encoding="utf-8") == made, "run dbt/seeds/public_holidays.py"


def test_the_seed_knows_every_calendar_and_the_days_one_can_look_up() -> None:
    with (SEEDS / "public_holidays.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["country"] for row in rows} == set(CALENDARS)
    parts = {(row["country"], part) for row in rows for part in row["subdivisions"].split()}
    assert parts <= {(country, part) for country, parts in CALENDARS.items() for part in (country, *parts)}
    years = {row["day"][:4] for row in rows}
    assert (min(years), max(years), len(years)) == ("2010", "2035", 26)
    found = {(row["country"], row["subdivisions"], row["day"], row["name"]) for row in rows}
    assert found >= {
        ("DE", "", "2025-04-18", "Karfreitag"),
        ("DE", "", "2017-10-31", "Reformationstag"),
        ("DE", "BW BY ST", "2025-01-06", "Heilige Drei Könige"),
        ("AT", "", "2025-10-26", "Nationalfeiertag"),
        ("CH", "GE JU NE VD", "2025-08-01", "Fête nationale"),
        ("US", "", "2025-11-27", "Thanksgiving Day"),
    }


@pytest.mark.parametrize(
    ("zone", "said", "expected"),
    [
        ("Europe/Berlin", "", "DE"),
        ("Europe/Berlin", "DE-BY", "DE-BY"),
        ("Europe/Vienna", "AT-9", "AT-9"),
        ("America/New_York", "", "US"),
        ("Asia/Tokyo", "", None),
        ("Asia/Tokyo", "CH-ZH", "CH-ZH"),
    ],
)
def test_a_tenant_says_its_calendar_or_has_that_of_its_time_zone(zone: str, said: str, expected: str | None) -> None:
    assert calendar(zone, said) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("XX", "calendar: 'XX' is no calendar; known countries are AT, BE,"),
        ("de-by", "'de-by' is no calendar"),
        ("DE-XX", "'DE-XX' is no part of DE; known are DE itself and of its parts DE-BB, DE-BE"),
        ("DE-", "'DE-' is no part of DE"),
        ("DE-BY-1", "'DE-BY-1' is no part of DE"),
        ("NL-NH", "'NL-NH' is no part of NL; known are NL itself and of its parts none"),
        ("7", "calendar: expected a valid string"),
    ],
)
def test_another_calendar_is_refused_with_those_that_are_known(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        calendar("Europe/Berlin", said)


def test_a_time_zone_suggests_a_calendar_or_none() -> None:
    assert {calendar_of(zone) for zone in ("Europe/Zurich", "Pacific/Honolulu", "Europe/Busingen")} == {
        "CH",
        "US",
        "DE",
    }
    assert calendar_of("UTC") is None


def test_ingest_stores_the_calendar_beside_those_of_older_tables(tmp_path: Path) -> None:
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb") as warehouse:
        for name in ("north", "south"):
            told = parse_tenant(TENANT.format(zone="Europe/Berlin", calendar="calendar: DE-BE"), tmp_path)
            given = replace(told, id=name, calendar=told.calendar if name == "north" else None)
            ingest(ListSource({}, name), given, warehouse, Run(datetime(2026, 1, 2, tzinfo=UTC), tmp_path / "spool"))
        stored = {row["tenant_id"]: row["calendar"] for row in warehouse.table("raw.tenants").to_pylist()}
    assert stored == {"north": "DE-BE", "south": None}
