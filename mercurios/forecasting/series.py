"""From sales to series: a regular calendar, closed days told apart from zeros, and who has history enough.

    split = split_series(sales, Rules(Grain.DAY, min_periods_sold=180), until=date(2017, 12, 31))
    split.modelled.rows     # unique_id, ds, y, is_open

A day without any sale of the tenant is *closed*; a series without a sale on an open day sold *zero*. A weekday that was
never open in the last eight weeks (Sundays in Germany) is closed in the future too. Other closed days (25 December)
are filled with the last open value of the same weekday so that they bend no model, and are never scored.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mercurios.errors import ModelError, SeriesTooShort

Matrix = npt.NDArray[np.floating[Any]]

_CALENDAR_WEEKS = 8
NO_HOLIDAYS = pl.DataFrame(schema={"ds": pl.Date, "name": pl.String})


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
    tail: not modelled, but sold in the last `tail_periods`; gets a method of its own.
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
    holidays: ds, name; public holidays where the tenant is, past and to come.
    days: of weeks, the same series by day, from the first Monday to the last Sunday.
    plan: unique_id, ds and one number per thing that is planned ahead (a mailer, a display), past and to come.
    peers: unique_id, parent, ds, y, is_open; every series of the level, these and others, by what each belongs to.
    factors: ds, name, value, known_on; what was known at the cutoff of the outside world's days, past and to come.
    """

    rows: pl.DataFrame
    calendar: pl.DataFrame
    grain: Grain
    closed_weekdays: tuple[int, ...] = ()
    holidays: pl.DataFrame = field(default_factory=NO_HOLIDAYS.clone)
    days: "Panel | None" = None
    plan: pl.DataFrame | None = None
    peers: pl.DataFrame | None = None
    factors: pl.DataFrame | None = None

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
        days = self.days and self.days.before(periods * self.grain.days)
        peers = None if self.peers is None else self.peers.filter(kept)
        past = replace(self, rows=self.rows.filter(kept), calendar=self.calendar.filter(kept), days=days, peers=peers)
        return replace(past, factors=_known(self.factors, last + timedelta(days=self.grain.days - 1)))

    def knowing(self, factors: pl.DataFrame | None) -> "Panel":
        """The same panel with those of the factors that were known at its cutoff."""
        return replace(self, factors=_known(factors, self.cutoff))

    def only(self, keys: tuple[str, ...]) -> "Panel":
        """The same panel with some of its series."""
        rows = self.rows.filter(pl.col("unique_id").is_in(keys))
        return replace(self, rows=rows, days=self.days and self.days.only(keys))

    @property
    def by_day(self) -> "Panel":
        """The same series by day; raises ModelError for weeks of which no days are known."""
        if self.grain is Grain.DAY:
            return self
        if self.days is None:
            raise ModelError("these weeks were made without their days; make them with split_series")
        return replace(self.days, factors=self.factors)

    def opens(self, ds: pl.Series) -> pl.Series:
        """Whether the tenant is expected to open on these days, as far as its past tells.

        A holiday is closed if its namesakes were; one of a new name is what most holidays were, and 25 December closed.
        """
        seen = self.holidays.join(self.calendar, on="ds").filter(~pl.col("ds").dt.weekday().is_in(self.closed_weekdays))
        known = seen.group_by("name").agg(pl.col("is_open").any())
        usual = seen["is_open"].mean()
        new = pl.lit(usual is None or float(usual) > 0.5) & ~_is_christmas()  # type: ignore[arg-type]
        told = self.holidays.join(known, on="name", how="left").select("ds", open=pl.col("is_open").fill_null(new))
        days = ds.to_frame("ds").join(told.unique("ds"), on="ds", how="left", maintain_order="left")
        weekday = ~pl.col("ds").dt.weekday().is_in(self.closed_weekdays)
        return days.select(pl.col("open").fill_null(pl.lit(True)) & weekday).to_series()


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


def matrix(panel: Panel) -> Matrix:
    """Series, sorted, × periods of the calendar; NaN before the first sale."""
    first, height = panel.calendar["ds"].item(0), panel.calendar.height
    keys = pl.DataFrame({"unique_id": panel.keys}).with_row_index("row")
    placed = panel.rows.join(keys, on="unique_id").select(
        "row", (pl.col("ds") - first).dt.total_days() // panel.grain.days, "y"
    )
    sold = np.full((keys.height, height), np.nan)
    sold[placed["row"].to_numpy(), placed["ds"].to_numpy()] = placed["y"].to_numpy()
    return sold


def split_series(sales: pl.DataFrame, rules: Rules, *, until: date, holidays: pl.DataFrame = NO_HOLIDAYS) -> Split:
    """Make regular series of the complete periods up to `until` and sort them by how much history they have.

    sales: rows of key, sold_on, revenue; those of one key and day add up. A column `parent` may say what a key belongs
    to, of which the newest counts; the tail knows all series of the level and their parents as its peers.
    holidays: public ones where the tenant is, past and to come; columns ds, name.
    Raises SeriesTooShort when no series has history enough to be modelled, ModelError for revenue that is no number.
    """
    sales = sales.filter(pl.col("sold_on") <= until)
    _require_numbers(sales)
    if sales.is_empty():
        raise SeriesTooShort(f"expected sales up to {until}, got none; ingest and export first")
    first, last = _complete(sales["sold_on"], rules.grain, until)
    if first > last:
        raise SeriesTooShort(f"expected at least one complete {rules.grain} of sales up to {until}; wait for history")
    panel, sold = _panel(sales, rules.grain, first, last, holidays)
    modelled, tail, dormant = _sort_out(sold, panel, rules)
    if not modelled:
        most = int(sold["periods"].max() or 0)  # type: ignore[arg-type]
        raise SeriesTooShort(
            f"expected a series with at least {rules.min_periods_sold} {rules.grain}s of sales, the longest has {most};"
            " wait for more history or lower min_periods_sold in models/forecast.yaml"
        )
    return Split(panel.only(modelled), replace(panel.only(tail), peers=_peers(panel, sales)), dormant)


def _require_numbers(sales: pl.DataFrame) -> None:
    bad = sales.filter(~pl.col("revenue").is_finite().fill_null(False)).sort("key", "sold_on")
    if not bad.is_empty():
        key, sold_on, revenue = bad.select("key", "sold_on", "revenue").row(0)
        raise ModelError(
            f"series {key!r} on {sold_on}: revenue {revenue}, expected a finite number"
            f" ({bad.height} rows in all); mend what sums it up"
        )


def _panel(
    sales: pl.DataFrame, grain: Grain, first: date, last: date, holidays: pl.DataFrame
) -> tuple[Panel, pl.DataFrame]:
    """All series, and what each sold: unique_id, periods, last; `first` and `last` are days."""
    sales = sales.filter(pl.col("sold_on").is_between(first, last))
    opened = sales["sold_on"].dt.truncate(grain.every).unique().implode()
    calendar = pl.DataFrame({"ds": pl.date_range(first, last, grain.every, eager=True)})
    calendar = calendar.with_columns(is_open=pl.col("ds").is_in(opened))
    closed = _closed_weekdays(calendar, grain)
    rows = _periods(sales, calendar, grain, closed)
    sold = rows.filter("sold").group_by("unique_id").agg(periods=pl.len(), last=pl.col("ds").max()).sort("unique_id")
    days = _panel(sales, Grain.DAY, first, last, holidays)[0] if grain is Grain.WEEK else None
    return Panel(rows.drop("sold"), calendar, grain, closed, holidays, days), sold


def _peers(panel: Panel, sales: pl.DataFrame) -> pl.DataFrame:
    parent = pl.col("parent") if "parent" in sales.columns else pl.lit(None, pl.String)
    told = sales.select(unique_id="key", sold_on="sold_on", parent=parent.fill_null(""))
    newest = told.sort("sold_on", "parent").unique("unique_id", keep="last")
    return panel.rows.join(newest, on="unique_id", maintain_order="left").select(
        "unique_id", "parent", "ds", "y", "is_open"
    )


def _complete(sold_on: pl.Series, grain: Grain, until: date) -> tuple[date, date]:
    """The first and the last day of the complete periods."""
    first, last = sold_on.min(), sold_on.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    if grain is Grain.DAY:
        return first, last
    # A week counts when the tenant was there from its Monday on and its Sunday is over. The last day with sales may
    # be followed by closed days of the same week, so it is `until` that tells whether the week is over.
    over = until if until - last < timedelta(days=7) else last
    monday = first + timedelta(days=-first.weekday() % 7)
    return monday, over - timedelta(days=(over.weekday() + 1) % 7)


def _closed_weekdays(calendar: pl.DataFrame, grain: Grain) -> tuple[int, ...]:
    if grain is Grain.WEEK or calendar.height < 7 * _CALENDAR_WEEKS:
        return ()
    recent = calendar.tail(7 * _CALENDAR_WEEKS).group_by(weekday=pl.col("ds").dt.weekday()).agg(pl.col("is_open").any())
    return tuple(recent.filter(~pl.col("is_open"))["weekday"].sort().to_list())


def _periods(sales: pl.DataFrame, calendar: pl.DataFrame, grain: Grain, closed: tuple[int, ...]) -> pl.DataFrame:
    sold = (
        sales.group_by(unique_id=pl.col("key"), ds=pl.col("sold_on").dt.truncate(grain.every)).agg(
            y=pl.col("revenue").sum().round(2)
        )  # cents: the order in which floats are added must not matter
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


def _known(factors: pl.DataFrame | None, cutoff: date) -> pl.DataFrame | None:
    return None if factors is None else factors.filter(pl.col("known_on") <= cutoff)


def _is_christmas() -> pl.Expr:
    return (pl.col("ds").dt.month() == 12) & (pl.col("ds").dt.day() == 25)


def _sort_out(sold: pl.DataFrame, panel: Panel, rules: Rules) -> tuple[tuple[str, ...], ...]:
    since = (pl.lit(panel.last_period) - pl.col("last")).dt.total_days() // rules.grain.days
    enough = (pl.col("periods") >= rules.min_periods_sold) & (since < rules.active_periods)
    kind = pl.when(enough).then(0).when(since < rules.tail_periods).then(1).otherwise(2)
    kinds = sold.select("unique_id", kind=kind)
    return tuple(tuple(kinds.filter(pl.col("kind") == n)["unique_id"].to_list()) for n in range(3))
