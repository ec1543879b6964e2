"""Scenarios of promotions: what a week sells more or less when its known-in-advance inputs are others.

    past = past_forecasts(panel, CalendarRegression(half_life=10), horizon=4, windows=10)
    response = learn_response(past.join(drivers, on=["unique_id", "ds"]), names)
    told = response.difference("COFFEE", 812.0, {"discount": 0.1, "mailer": 0.5})
    told.mean, told.lo80, told.hi80       # money: with the change less without it

The response is learnt from what forecasts that know no promotion have missed: log(sold / forecast) on the drivers
(a mean discount, the share of a category that stands in a mailer), within each category and window of forecasts, and
within each week, so that neither a level that was off nor a week that was good for everybody counts. Every category
has coefficients of its own, drawn towards those of all (a normal prior, its mean and variances by EM). That is
observational: promotions were not drawn by lot, so whatever else the merchant did in those weeks is in the effect, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import norm

from mercurios.errors import ModelError
from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.series import Matrix, Panel

Codes = npt.NDArray[np.int64]

LEAST_WEEKS = 40
"""Category weeks in which a driver moved, below which nothing is said about it."""
_MOVED = 1e-3
_SWEEPS = 30  # of taking means of windows and weeks in turn
_STEPS = 200  # of EM
_PRIOR_WEEKS = 2  # of the common scatter, in the scatter of one category
_STRAY, _LEAST_STRAY, _BELIEVED = 0.5, 0.05, 15  # before any data a category strays half the mean: so many believe it
_GRID = 401
_ENDS = {"lo95": 0.025, "lo80": 0.1, "hi80": 0.9, "hi95": 0.975}


@dataclass(frozen=True)
class Difference:
    """With the change less without it, in money: the effect of the mean coefficients, and where 80 and 95 % lie."""

    mean: float
    lo80: float
    hi80: float
    lo95: float
    hi95: float


@dataclass(frozen=True)
class Response:
    """What drivers do to the logarithm of sales; arrays in the order of `drivers`.

    mean, covariance: coefficients of a category that nothing is known of, and how uncertain they are. own: the same of
    those known. scatter: standard deviation of one week's logarithm by category, `usual_scatter` of others.
    most: the largest value each driver ever had. weeks: category weeks learnt from.
    """

    drivers: tuple[str, ...]
    mean: Matrix
    covariance: Matrix
    own: Mapping[str, tuple[Matrix, Matrix]]
    scatter: Mapping[str, float]
    usual_scatter: float
    most: Mapping[str, float]
    weeks: int

    def coefficients(self, key: str) -> tuple[Matrix, Matrix]:
        """Mean and covariance of one category's coefficients."""
        return self.own.get(key, (self.mean, self.covariance))

    def difference(self, key: str, forecast: float, change: Mapping[str, float]) -> Difference:
        """What changed drivers make of a forecast: forecast × (exp(coefficients · change) − 1).

        The interval holds the uncertainty of the coefficients and the scatter of a week, which multiplies both courses.
        Raises ModelError for a driver that nothing was learnt of.
        """
        if unknown := sorted(set(change) - set(self.drivers)):
            raise ModelError(f"nothing is known of {', '.join(unknown)}; known are {', '.join(self.drivers) or 'none'}")
        by = np.array([change.get(name, 0.0) for name in self.drivers])
        mean, covariance = self.coefficients(key)
        effect, scatter = float(mean @ by), self.scatter.get(key, self.usual_scatter)
        points = norm.ppf((np.arange(_GRID) + 0.5) / _GRID)
        effects = np.expm1(effect + np.sqrt(max(float(by @ covariance @ by), 0.0)) * points)
        weeks = np.exp(scatter * points - scatter**2 / 2)
        ends = np.quantile(np.outer(effects, weeks), list(_ENDS.values())) * forecast
        return Difference(forecast * float(np.expm1(effect)), **dict(zip(_ENDS, ends.tolist(), strict=True)))


def past_forecasts(panel: Panel, method: Candidate, *, horizon: int, windows: int) -> pl.DataFrame:
    """What a method that knows no promotion forecast of the last windows, beside what was sold.

    Returns unique_id, ds, window (0 is the oldest), forecast, y; open periods in which both are above zero.
    """
    backs = [panel.before(horizon * back) for back in range(windows, 0, -1)]
    made = method.roll(backs, horizon)
    told = pl.concat([one.with_columns(window=pl.lit(number)) for number, one in enumerate(made)])
    sold = panel.rows.filter("is_open", pl.col("y") > 0).select("unique_id", "ds", "y")
    return (
        told.filter(pl.col("mean") > 0)
        .join(sold, on=["unique_id", "ds"])
        .select("unique_id", "ds", "window", "y", forecast="mean")
        .sort("unique_id", "ds")
    )


def learn_response(history: pl.DataFrame, drivers: Sequence[str]) -> Response:
    """Learn what the drivers do from past forecasts.

    history: unique_id, ds, window, forecast, y and one column a driver, all above zero but the drivers. A driver that
    hardly moved is left out. Raises ModelError when none is left.
    """
    known = tuple(name for name in drivers if _moves(history, name) >= LEAST_WEEKS)
    if not known:
        raise ModelError(
            f"expected one of {', '.join(drivers) or 'no drivers'} to have moved in {LEAST_WEEKS} weeks of a category; "
            "wait for more promotions"
        )
    keys = history["unique_id"].unique().sort()
    series = _codes(history.select("unique_id"))
    groups = (_codes(history.select("unique_id", "window")), _codes(history.select("ds")))
    values = np.column_stack([(history["y"] / history["forecast"]).log(), history.select(known).to_numpy()])
    weight = np.ones(history.height)
    for _ in range(2):  # the scatter of each category, then what it weighs by it
        within = _within(values, groups, weight)
        target, moved = within[:, 0], within[:, 1:]
        pooled = np.linalg.lstsq(moved * np.sqrt(weight)[:, None], target * np.sqrt(weight), rcond=None)[0]
        variance = _variances(target - moved @ pooled, series, groups[0])
        weight = 1 / variance[series]
    mean, between, information, pull = _shrunk(target, moved, weight, series, pooled)
    uncertain, own = _posteriors(mean, between, information, pull)
    scatter = dict(zip(keys.to_list(), np.sqrt(variance).tolist(), strict=True))
    return Response(
        drivers=known,
        mean=mean,
        covariance=between + uncertain,
        own=dict(zip(keys.to_list(), own, strict=True)),
        scatter=scatter,
        usual_scatter=float(np.sqrt(np.median(variance))),
        most={name: float(history[name].max()) for name in known},  # type: ignore[arg-type]
        weeks=history.height,
    )


def _moves(history: pl.DataFrame, driver: str) -> int:
    apart = (pl.col(driver) - pl.col(driver).mean().over("unique_id", "window")).abs() > _MOVED
    return int(history.select(apart.sum()).item())


def _codes(keys: pl.DataFrame) -> Codes:
    """Numbers from 0 of equal rows, in the order of the rows."""
    codes: Codes = keys.select(pl.struct(pl.all()).rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    return codes


def _within(values: Matrix, groups: Sequence[Codes], weight: Matrix) -> Matrix:
    """Values less the means of both groups."""
    rest = values.copy()
    for _ in range(_SWEEPS):
        for group in groups:
            total = np.bincount(group, weight)
            for column in rest.T:
                column -= (np.bincount(group, weight * column) / total)[group]
    return rest


def _variances(errors: Matrix, series: Codes, windows: Codes) -> Matrix:
    """The variance of a week's logarithm by series, drawn towards that of all; a window's mean costs a week."""
    counts = np.bincount(series)
    spent = np.bincount(series[np.unique(windows, return_index=True)[1]], minlength=len(counts))
    squares, free = np.bincount(series, errors**2), np.maximum(counts - spent, 1)
    usual = np.median(squares / free)  # not the mean, which is that of the few who scatter most
    drawn: Matrix = (squares + _PRIOR_WEEKS * usual) / (free + _PRIOR_WEEKS)
    return drawn


def _shrunk(
    target: Matrix, moved: Matrix, weight: Matrix, series: Codes, pooled: Matrix
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Mean and variances of the coefficients over all series (EM), and what the rows of each tell of its own."""
    count, drivers = int(series.max()) + 1, moved.shape[1]
    information, pull = np.zeros((count, drivers, drivers)), np.zeros((count, drivers))
    np.add.at(information, series, weight[:, None, None] * moved[:, :, None] * moved[:, None, :])
    np.add.at(pull, series, (weight * target)[:, None] * moved)
    mean, between = pooled, np.diag(np.maximum(pooled**2, 0.01))
    for _ in range(_STEPS):
        shrink = np.linalg.inv(np.eye(drivers) + between @ information)
        own = (shrink @ (mean + pull @ between)[:, :, None])[:, :, 0]
        spread = np.diagonal(shrink @ between, axis1=1, axis2=2)
        mean = own.mean(axis=0)
        believed = _BELIEVED * np.maximum(_STRAY * mean, _LEAST_STRAY) ** 2
        between = np.diag(((spread + (own - mean) ** 2).sum(axis=0) + believed) / (count + _BELIEVED))
    return mean, between, information, pull


def _posteriors(
    mean: Matrix, between: Matrix, information: Matrix, pull: Matrix
) -> tuple[Matrix, list[tuple[Matrix, Matrix]]]:
    """How uncertain the mean is, and mean and covariance of each series' coefficients."""
    shrink = np.linalg.inv(np.eye(len(mean)) + between @ information)
    uncertain = np.linalg.inv((information @ shrink).sum(axis=0))
    own = (shrink @ (mean + pull @ between)[:, :, None])[:, :, 0]
    covariances = shrink @ between + shrink @ uncertain @ np.swapaxes(shrink, 1, 2)
    return uncertain, list(zip(own, covariances, strict=True))
