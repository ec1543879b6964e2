"""Forecasts of every node of a hierarchy that add up, with intervals from futures that add up.

    coherent = reconcile(hierarchy, base, trial.scored_by("AutoETS"), grain=Grain.DAY)
    coherent.forecast                       # unique_id, ds, mean, lo80, hi80, lo95, hi95
    coherent.paths.of(("branch=12",))       # unique_id, ds, path, value

The means are those of least squares, a node weighing 1 / the mean square of its backtest errors, over all forecasts
that add up and stay at their floors or above: MinT with a diagonal covariance (Wickramasuriya, Turlach and Hyndman
2020). Errors of series that hang together make their sum err by more than a diagonal knows, so series weigh less by as
much as that is. The backtest is reconciled in the same way, and its errors make the paths.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.hierarchy import Hierarchy
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.least_squares import closest
from mercurios.forecasting.paths import Calendar, Matrix, Paths, Places, bounds, scales
from mercurios.forecasting.series import Grain

_PATHS = 300


@dataclass(frozen=True, eq=False)
class Coherent:
    """forecast: one row per (unique_id, ds), sorted: mean, lo80, hi80, lo95, hi95. Its means add up to 1e-6."""

    forecast: pl.DataFrame
    paths: Paths


def reconcile(
    hierarchy: Hierarchy, base: pl.DataFrame, errors: pl.DataFrame, *, grain: Grain, traits: pl.DataFrame | None = None
) -> Coherent:
    """Make the forecasts of all nodes add up, and give them intervals; deterministic.

    base: unique_id, ds, mean of every node and period; other columns are not read. A period in which every node is
    forecast zero is closed: zero it stays.
    errors: unique_id, ds, fold, y, mean of past windows, as a backtest's `scored_by` has them. Where a node has no row
    it was not there; one without any row is taken to err by as much as is forecast of it.
    traits: unique_id and, where known, floor and demand_class. A series with a floor below zero (returns, see
    `spreads`) may go down to it; all others stay at zero or above, and a sum at the sum of its series' floors.
    Intervals are scaled by level and demand class.
    Raises ModelError naming the node that is missing, unknown, there twice or not a number.
    """
    ds, means = _base(hierarchy, base)
    past = _Past.of(hierarchy, errors, grain)
    floors, groups = _traits(hierarchy, traits)
    variances = past.variances(means)
    bottom, reconciled = (closest(hierarchy, every, variances, floors) for every in (means, past.means))
    drawn = past.calendar.draw(ds, _PATHS, np.arange(len(past.calendar.ds)))
    _require_weekdays(ds, means, drawn)
    paths = Paths(hierarchy, ds, bottom, past.errors(reconciled, bottom), drawn, floors)
    return Coherent(_frame(paths, past.scales(paths, reconciled, groups)), paths)


@dataclass(frozen=True, eq=False)
class _Past:
    """Past windows of every node: y and means are nodes × periods, and known says where a node was there.

    bottom: how many of the nodes, the last, are series.
    """

    bottom: int
    calendar: Calendar
    y: Matrix
    means: Matrix
    known: Places

    @classmethod
    def of(cls, hierarchy: Hierarchy, errors: pl.DataFrame, grain: Grain) -> "_Past":
        if errors.is_empty():
            raise ModelError(
                "expected errors of at least one past window, got none; run a backtest of the base forecasts"
            )
        _check(errors, "y", "mean")
        days = errors.select("ds", "fold").unique().sort("ds")
        if days["ds"].is_duplicated().any():
            raise ModelError("two past windows share a period; expected windows that do not overlap")
        ds = days["ds"]
        y, means = (hierarchy.matrix(errors, column, ds) for column in ("y", "mean"))
        known = hierarchy.matrix(errors.with_columns(known=pl.lit(1.0)), "known", ds)
        return cls(hierarchy.bottom, Calendar(tuple(ds), days["fold"].to_numpy(), grain), y, means, known.astype(bool))

    def variances(self, forecast: Matrix) -> Matrix:
        """Mean squared error of each node."""
        told = self.known.sum(axis=1)
        squares = ((self.y - self.means) ** 2).sum(axis=1)
        variances: Matrix = np.where(told > 0, squares / np.maximum(told, 1), (forecast**2).mean(axis=1))
        variances[-self.bottom :] *= self._together()
        return variances

    def _together(self) -> float:
        """How much larger the mean squared error of the sum of all series is than if they erred independently."""
        errors = (self.y - self.means)[-self.bottom :]
        alone = float(np.square(errors).sum())
        return max(1.0, float(np.square(errors.sum(axis=0)).sum()) / alone) if alone else 1.0

    def errors(self, bottom: Matrix, forecast: Matrix) -> Matrix:
        """Errors of the series once reconciled to `bottom`; of a series never seen, its forecast, now added, now taken.

        Series × periods, and a column of zeros.
        """
        errors = self.y[-len(bottom) :] - bottom
        new = ~self.known[-len(bottom) :].any(axis=1)
        errors[new] = np.outer(forecast[new].mean(axis=1), (-1.0) ** np.arange(errors.shape[1]))
        return np.pad(errors, ((0, 0), (0, 1)))

    def scales(self, future: Paths, reconciled: Matrix, groups: list[str]) -> Matrix:
        """Nodes × bounds; each window is judged by paths of the other windows' errors, where there are others."""
        calendar, summing = self.calendar, future.hierarchy.summing
        spreads = np.empty(self.y.shape)
        for fold in np.unique(calendar.folds):
            own, others = np.flatnonzero(calendar.folds == fold), np.flatnonzero(calendar.folds != fold)
            ds = tuple(calendar.ds[place] for place in own)
            drawn = calendar.draw(ds, _PATHS, others if len(others) else own)
            spreads[:, own] = replace(future, ds=ds, means=reconciled[:, own], drawn=drawn).spreads()
        return scales(self.y - summing @ reconciled, spreads, self.known, groups)


def _frame(paths: Paths, scale: Matrix) -> pl.DataFrame:
    hierarchy = paths.hierarchy
    means, floors = hierarchy.summing @ paths.means, hierarchy.summing @ paths.floors
    spreads = paths.spreads() * means.any(axis=0)
    frames = []
    for at, day in enumerate(paths.ds):
        told = dict(zip(BOUNDS, bounds(means[:, at], spreads[:, at], scale, floors).T, strict=True))
        frames.append(hierarchy.nodes.select("unique_id", ds=pl.lit(day), mean=means[:, at]).with_columns(**told))
    return pl.concat(frames).sort("unique_id", "ds")


def _base(hierarchy: Hierarchy, base: pl.DataFrame) -> tuple[tuple[date, ...], Matrix]:
    _check(base, "mean")
    ds = base["ds"].unique().sort()
    nodes = hierarchy.nodes.select("unique_id")
    wanted = nodes.join(pl.DataFrame({"ds": ds}), how="cross")
    missing = wanted.join(base, on=["unique_id", "ds"], how="anti", maintain_order="left")
    if not missing.is_empty() or base.is_empty():
        key, day = missing.row(0) if missing.height else (nodes.item(0, 0), "any day")
        raise ModelError(f"no base forecast of {key!r} for {day} ({missing.height} in all); forecast every node")
    return tuple(ds), hierarchy.matrix(base, "mean", ds)


def _traits(hierarchy: Hierarchy, traits: pl.DataFrame | None) -> tuple[Matrix, list[str]]:
    """The floor of each bottom series, and the group whose intervals are scaled together of each node."""
    unknown = {"floor": pl.Float64(), "demand_class": pl.String()}
    told = pl.DataFrame(schema={"unique_id": pl.String()}) if traits is None else traits
    told = told.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in unknown.items() if name not in told.columns
    )
    nodes = hierarchy.nodes.join(told, on="unique_id", how="left", maintain_order="left", validate="1:1")
    floors = nodes["floor"].fill_null(0.0).clip(upper_bound=0.0).tail(hierarchy.bottom).to_numpy()
    group = pl.concat_str("level", pl.col("demand_class").fill_null(""), separator=" ")
    return floors, nodes.select(group)["level"].to_list()


def _check(frame: pl.DataFrame, *columns: str) -> None:
    if (twice := frame.filter(pl.struct("unique_id", "ds").is_duplicated())).height:
        raise ModelError(f"{twice['unique_id'][0]!r} is there twice for {twice['ds'][0]}; expected one row per period")
    for column in columns:
        odd = frame.filter(pl.col(column).is_null() | ~pl.col(column).is_finite())
        if not odd.is_empty():
            raise ModelError(f"{odd['unique_id'][0]!r} on {odd['ds'][0]}: {column} is no number; leave the row out")


def _require_weekdays(ds: tuple[date, ...], means: Matrix, drawn: Places) -> None:
    for at, day in enumerate(ds):
        if drawn[at, 0] < 0 and means[:, at].any():
            raise ModelError(f"no past error of a {day:%A}, but {day} has a forecast; backtest windows of whole weeks")
