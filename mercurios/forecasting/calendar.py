"""What the calendar does to sales: weekday, time of the month, holidays and factors, learnt over all series at once.

    CalendarRegression(half_life=10).forecast(panel, horizon=28)     # unique_id, ds, mean

Two steps. A ridge regression tells what a day is worth in units of the level around it: first for the sum of all
series, then for each series, drawn towards the sum (empirical Bayes with stated variances). The level is what sold
lately in units of those effects, the last days weighing most. Weeks are sums of days. An external factor
(`Panel.factors`) is a column beside holidays.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from mercurios.forecasting.candidates import Candidate, future
from mercurios.forecasting.holidays import (
    AFTER_FEAST,
    BEFORE_FEAST,
    BEFORE_HOLIDAY,
    HOLIDAY,
    feasts,
    others,
    shifted,
)
from mercurios.forecasting.series import Grain, Matrix, Panel, matrix

Mask = npt.NDArray[np.bool_]

_MONTH_DAYS = ((1, 1), (2, 3), (4, 7), (8, 10), (14, 16), (20, 27))
_MONTH_WEEKENDS = ((1, 3), (4, 7), (20, 27))
_LEVEL_DAYS = 56
_LEAST_DAYS = 28
_LEAST_EFFECT = 0.05
_LEAST_TOLD = 28
_MOST_NOISE = 4.0


class CalendarRegression(Candidate, frozen=True):
    """Level times calendar, by day or, summed, by week.

    half_life: days after which a day counts half for the level. weekday_penalty, month_penalty, holiday_penalty: ridge
    of the effects on the sum of all series. weekday_variance, effect_variance: how far the effects of one series stray
    from those of the sum, in squared units of its level; month, holidays and factors share the latter.
    """

    half_life: float = Field(default=10.0, gt=0)
    weekday_penalty: float = Field(default=0.1, gt=0)
    month_penalty: float = Field(default=0.3, gt=0)
    holiday_penalty: float = Field(default=0.1, gt=0)
    weekday_variance: float = Field(default=0.04, gt=0)
    effect_variance: float = Field(default=0.005, gt=0)

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        days = self._days(panel.by_day, horizon * panel.grain.days)
        if panel.grain is Grain.DAY:
            return days
        weeks = days.group_by("unique_id", pl.col("ds").dt.truncate("1w")).agg(pl.col("mean").sum())
        return future(panel, horizon).join(weeks, on=["unique_id", "ds"], maintain_order="left")

    def _days(self, panel: Panel, horizon: int) -> pl.DataFrame:
        known = panel.calendar.height
        ds = pl.date_range(panel.calendar["ds"].item(0), panel.cutoff + timedelta(days=horizon), "1d", eager=True)
        sold, is_open = matrix(panel), panel.calendar["is_open"].to_numpy()
        effects = self._effects(sold, is_open, _Design.of(ds, panel))
        level = self._level(sold, is_open, effects[:, :known])
        ahead = level * effects[:, known:] * panel.opens(ds[known:]).to_numpy()
        return future(panel, horizon).with_columns(mean=pl.Series(ahead.ravel()))

    def _effects(self, sold: Matrix, is_open: Mask, design: "_Design") -> Matrix:
        """Series × days: what a day is worth in units of the level."""
        penalty = design.each(self.weekday_penalty, self.month_penalty, self.holiday_penalty)
        variance = design.each(self.weekday_variance, self.effect_variance, self.effect_variance)
        known = design.values[: sold.shape[1]]
        [total] = _relative(np.nansum(sold, axis=0)[None])
        shared = _ridge(known, total, is_open & ~np.isnan(total), penalty)
        found = np.tile(shared, (len(sold), 1))
        for own, series in zip(found, _relative(sold) if len(sold) > 1 else (), strict=False):
            rest = series - known @ shared
            used = is_open & ~np.isnan(rest)
            if used.sum() >= _LEAST_DAYS:
                own += _ridge(known, rest, used, min(rest[used].var(), _MOST_NOISE) / variance)
        return np.maximum(1 + found @ design.values.T, _LEAST_EFFECT)

    def _level(self, sold: Matrix, is_open: Mask, effects: Matrix) -> Matrix:
        """Series × 1: what sold per unit of the effects, the last day weighing one and each before it less."""
        weight = 0.5 ** (np.arange(sold.shape[1])[::-1] / self.half_life) * is_open
        worth = np.where(np.isnan(sold), 0.0, effects) @ weight
        level: Matrix = np.nan_to_num(sold) @ weight / np.maximum(worth, np.finfo(float).tiny)
        return level[:, None]


@dataclass(frozen=True)
class _Design:
    """Days × columns: seven weekdays, the time of the month and holidays, zeros and ones all; then factors."""

    values: Matrix
    weekdays: int
    month: int

    @classmethod
    def of(cls, ds: pl.Series, panel: Panel) -> Self:
        """The columns of these days; a feast is the day a big run of shopping leads up to."""
        day, weekday = ds.dt.day().to_numpy(), ds.dt.weekday().to_numpy()
        spans = [(day >= first) & (day <= last) for first, last in _MONTH_DAYS]
        spans += [(day >= first) & (day <= last) & (weekday >= 6) for first, last in _MONTH_WEEKENDS]
        known = feasts(ds, panel.holidays)
        rest = others(panel.holidays, known)
        runs = [(known, BEFORE_FEAST), (known, AFTER_FEAST), (rest, BEFORE_HOLIDAY), (rest, HOLIDAY)]
        holidays = [ds.is_in(sorted(shifted(days, offsets))).to_numpy() for days, offsets in runs]
        columns = [weekday == number for number in range(1, 8)] + spans + holidays + _factors(ds, panel)
        return cls(np.column_stack(columns).astype(float), 7, len(spans))

    def each(self, weekday: float, month: float, holiday: float) -> Matrix:
        """One value per column, by what the column tells."""
        rest = self.values.shape[1] - self.weekdays - self.month
        return np.repeat([weekday, month, holiday], [self.weekdays, self.month, rest])


def _factors(ds: pl.Series, panel: Panel) -> list[Matrix]:
    """One column per factor that moved so far: how far from its mean, in units of its range; zero where nobody told.

    By its range, a rare event weighs like a holiday; by its standard deviation it would be believed at once.
    """
    if panel.factors is None:
        return []
    newest = panel.factors.sort("known_on").unique(["name", "ds"], keep="last")
    columns = []
    for name in newest["name"].unique().sort():
        told = newest.filter(pl.col("name") == name).select("ds", pl.col("value").cast(pl.Float64))
        values = ds.to_frame("ds").join(told, on="ds", how="left", maintain_order="left")["value"].to_numpy()
        past = values[: panel.calendar.height]
        known = past[~np.isnan(past)]
        if len(known) >= _LEAST_TOLD and np.ptp(known) > 0:
            columns.append(np.nan_to_num((values - known.mean()) / np.ptp(known)))
    return columns


def _relative(sold: Matrix) -> Matrix:
    """What sold against the mean of the eight weeks around it, less one; NaN where that mean is not positive."""
    days, half = sold.shape[1], _LEVEL_DAYS // 2
    place = np.arange(days)
    first = np.clip(np.minimum(place - half, days - 2 * half), 0, None)
    last = np.minimum(np.maximum(place + half, 2 * half), days)
    sums, counts = (_running(part) for part in (np.nan_to_num(sold), (~np.isnan(sold)).astype(float)))
    around = (sums[:, last] - sums[:, first]) / np.maximum(counts[:, last] - counts[:, first], 1)
    return np.divide(sold, around, out=np.full_like(sold, np.nan), where=around > 0) - 1


def _running(values: Matrix) -> Matrix:
    return np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)


def _ridge(columns: Matrix, target: Matrix, used: Mask, penalty: Matrix) -> Matrix:
    known = columns[used]
    solved: Matrix = np.linalg.solve(known.T @ known + np.diag(penalty), known.T @ target[used])
    return solved
