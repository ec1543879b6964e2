"""Holidays as shops know them: feasts that a run of shopping leads up to, other public holidays, the days around."""

from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl
from dateutil.easter import easter  # type: ignore[import-untyped]

from mercurios.forecasting.series import Grain, Panel

BEFORE_FEAST, AFTER_FEAST = (-3, -2, -1), (0, 1, 2)
BEFORE_HOLIDAY, HOLIDAY = (-2, -1), (0,)
_NEAR_FEAST, _NEAR_HOLIDAY = range(-4, 4), (-2, -1, 0)


def feasts(ds: pl.Series, holidays: pl.DataFrame) -> set[date]:
    """Easter Sunday, Christmas Eve and, where it is a holiday, Thanksgiving of the years of `ds` and their neighbours.

    Christmas counts from its eve, the last day shops are open.
    """
    years = sorted({year + shift for year in ds.dt.year().unique() for shift in (-1, 0, 1)})
    thanksgiving = holidays.filter(pl.col("name").str.starts_with("Thanksgiving"))["ds"]
    return {*map(easter, years), *(date(year, 12, 24) for year in years), *thanksgiving}


def others(holidays: pl.DataFrame, known: set[date]) -> set[date]:
    """Public holidays that are not part of one of the known feasts."""
    return set(holidays["ds"]) - shifted(known, BEFORE_FEAST + AFTER_FEAST)


def shifted(days: set[date], offsets: Iterable[int]) -> set[date]:
    """The days so many days before (negative) or after each of `days`."""
    return {day + timedelta(days=offset) for day in days for offset in offsets}


def near_holiday(panel: Panel, ds: pl.Series) -> pl.Series:
    """Whether each period is one whose sales a feast or holiday moves: days around it, weeks of a run to a feast."""
    known = feasts(ds, panel.holidays)
    if panel.grain is Grain.WEEK:
        near = {day - timedelta(days=day.weekday()) for day in shifted(known, range(-7, 1))}
    else:
        near = shifted(known, _NEAR_FEAST) | shifted(others(panel.holidays, known), _NEAR_HOLIDAY)
    return ds.is_in(sorted(near))
