"""From sales to series: a regular calendar, closed days told apart from zeros, and who has history enough.

    split = split_series(sales, Rules(Grain.DAY, min_periods_sold=180), until=date(2017, 12, 31))
    split.modelled.rows     # unique_id, ds, y, is_open

A day without any sale of the tenant is *closed*; a series without a sale on an open day sold *zero*. A weekday that was
never open in the last eight weeks (Sundays in Germany) is closed in the future too. Other closed days (25 December)
are filled with the last open value of the same weekday so that they bend no model, and are never scored.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

import polars as pl

from mercurios.errors import SeriesTooShort

_CALENDAR_WEEKS = 8


class Grain(StrEnum):
    """Length of a period. Weeks start on Monday and carry its date."""

    DAY = "day"
    WEEK = "week"

    @property
    def every(self) -> str:
        """The period as polars and Nixtla write it."""
        return "1d" if self is Grain.DAY else "1w"

    @property
    def days(self) -> int:
        """Days a period has."""
        return 1 if self is Grain.DAY else 7


@dataclass(frozen=True)
class Rules:
    """Which series are modelled, which are the tail and which are dormant; all in periods of the grain.

    modelled: sold in at least `min_periods_sold` periods, and once in the last `active_periods`.
    tail: not modelled, but sold in the last `tail_periods`; gets the mean of recent periods.
    dormant: everything else; gets no forecast and is named in the report.
    """

    grain: Grain
    min_periods_sold: int
    active_periods: int
    tail_periods: int


@dataclass(frozen=True)
class Panel:
    """Series of one level up to one cutoff.

    rows: unique_id, ds, y, is_open; every period from a series' first sale to the cutoff, sorted. y is revenue.
    calendar: ds, is_open; every period of the tenant up to the cutoff, sorted.
    closed_weekdays: ISO weekdays (Monday is 1) on which the tenant does not open.
    """

    rows: pl.DataFrame
    calendar: pl.DataFrame
    grain: Grain
    closed_weekdays: tuple[int, ...] = ()

    @property
    def last_period(self) -> date:
        """First day of the last period."""
        last: date = self.calendar["ds"].item(-1)
        return last

    @property
    def cutoff(self) -> date:
        """Last day the series hold."""
        return self.last_period + timedelta(days=self.grain.days - 1)

    @property
    def keys(self) -> tuple[str, ...]:
        """Ids of the series, sorted."""
        return tuple(self.rows["unique_id"].unique().sort().to_list())

    def before(self, periods: int) -> "Panel":
        """The same panel as it was `periods` periods ago."""
        last = self.last_period - timedelta(days=periods * self.grain.days)
        kept = pl.col("ds") <= last
        return replace(self, rows=self.rows.filter(kept), calendar=self.calendar.filter(kept))

    def only(self, keys: tuple[str, ...]) -> "Panel":
        """The same panel with some of its series."""
        return replace(self, rows=self.rows.filter(pl.col("unique_id").is_in(keys)))


@dataclass(frozen=True)
class Split:
    """All series of a level: those modelled, the tail, and the ids of the dormant ones."""

    modelled: Panel
    tail: Panel
    dormant: tuple[str, ...]

    def share_modelled(self) -> float:
        """Share of the revenue of all forecast series that lies in the modelled ones; a fraction."""
        modelled, tail = float(self.modelled.rows["y"].sum()), float(self.tail.rows["y"].sum())
        return modelled / (modelled + tail) if modelled + tail else 0.0


def split_series(sales: pl.DataFrame, rules: Rules, *, until: date) -> Split:
    """Make regular series of the complete periods up to `until` and sort them by how much history they have.

    sales: one row per key and day with a sale; columns key, sold_on, revenue.
    Raises SeriesTooShort when no series has history enough to be modelled.
    """
    sales = sales.filter(pl.col("sold_on") <= until)
    if sales.is_empty():
        raise SeriesTooShort(f"expected sales up to {until}, got none; ingest and export first")
    calendar, closed = _calendar(sales, rules.grain, until)
    rows = _periods(sales, calendar, rules.grain, closed)
    modelled, tail, dormant = _sort_out(rows, calendar, rules)
    if not modelled:
        most = int(rows.filter("sold").group_by("unique_id").len()["len"].max() or 0)  # type: ignore[arg-type]
        raise SeriesTooShort(
            f"expected a series with at least {rules.min_periods_sold} {rules.grain}s of sales, the longest has {most};"
            " wait for more history or lower min_periods_sold in models/forecast.yaml"
        )
    panel = Panel(rows.drop("sold"), calendar, rules.grain, closed)
    return Split(panel.only(modelled), panel.only(tail), dormant)


def _calendar(sales: pl.DataFrame, grain: Grain, until: date) -> tuple[pl.DataFrame, tuple[int, ...]]:
    days = sales.select(ds=pl.col("sold_on").dt.truncate(grain.every)).unique()
    first, last = _complete(sales["sold_on"], grain, until)
    if first > last:
        raise SeriesTooShort(f"expected at least one complete {grain} of sales up to {until}; wait for more history")
    calendar = pl.DataFrame({"ds": pl.date_range(first, last, grain.every, eager=True)})
    calendar = calendar.with_columns(is_open=pl.col("ds").is_in(days["ds"].implode()))
    return calendar, _closed_weekdays(calendar, grain)


def _complete(sold_on: pl.Series, grain: Grain, until: date) -> tuple[date, date]:
    first, last = sold_on.min(), sold_on.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    if grain is Grain.DAY:
        return first, last
    # A week counts when the tenant was there from its Monday on and its Sunday is over. The last day with sales may
    # be followed by closed days of the same week, so it is `until` that tells whether the week is over.
    over = until if until - last < timedelta(days=7) else last
    monday = first + timedelta(days=-first.weekday() % 7)
    return monday, over - timedelta(days=(over.weekday() + 1) % 7 + 6)


def _closed_weekdays(calendar: pl.DataFrame, grain: Grain) -> tuple[int, ...]:
    if grain is Grain.WEEK or calendar.height < 7 * _CALENDAR_WEEKS:
        return ()
    recent = calendar.tail(7 * _CALENDAR_WEEKS).group_by(weekday=pl.col("ds").dt.weekday()).agg(pl.col("is_open").any())
    return tuple(recent.filter(~pl.col("is_open"))["weekday"].sort().to_list())


def _periods(sales: pl.DataFrame, calendar: pl.DataFrame, grain: Grain, closed: tuple[int, ...]) -> pl.DataFrame:
    sold = (
        sales.group_by(unique_id=pl.col("key"), ds=pl.col("sold_on").dt.truncate(grain.every))
        .agg(y=pl.col("revenue").sum().round(2))  # cents: the order in which floats are added must not matter
        .join(calendar.select("ds"), on="ds", how="semi")
    )
    first = sold.group_by("unique_id").agg(first=pl.col("ds").min())
    weekday = pl.col("ds").dt.weekday()
    return (
        first.join(calendar, how="cross")
        .filter(pl.col("ds") >= pl.col("first"))
        .join(sold, on=["unique_id", "ds"], how="left")
        .with_columns(sold=pl.col("y").is_not_null())
        .with_columns(y=pl.when(pl.col("is_open") | weekday.is_in(closed)).then(pl.col("y").fill_null(0.0)))
        .sort("unique_id", "ds")
        .with_columns(pl.col("y").forward_fill().over("unique_id", weekday))
        .with_columns(pl.col("y").forward_fill().over("unique_id"))
        .select("unique_id", "ds", "y", "is_open", "sold")
    )


def _sort_out(
    rows: pl.DataFrame, calendar: pl.DataFrame, rules: Rules
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    sold = rows.filter("sold").group_by("unique_id").agg(periods=pl.len(), last=pl.col("ds").max()).sort("unique_id")
    days = rules.grain.days
    since = (pl.lit(calendar["ds"].item(-1)) - pl.col("last")).dt.total_days() // days
    enough = (pl.col("periods") >= rules.min_periods_sold) & (since < rules.active_periods)
    kind = pl.when(enough).then(0).when(since < rules.tail_periods).then(1).otherwise(2)
    kinds = sold.select("unique_id", kind=kind)
    modelled, tail, dormant = (tuple(kinds.filter(pl.col("kind") == n)["unique_id"].to_list()) for n in range(3))
    return modelled, tail, dormant
