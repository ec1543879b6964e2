"""Demand over the protection interval: lead time plus review, the time an order has to last for.

    demand = protection_demand(forecast, leads, settings)
    demand.quantile(np.array([0.95, 0.98]))     # units, one per item
    demand.expected_sales(np.array([20.0, 8.0]))

A sum of period quantiles is no quantile of the sum, so paths are drawn: lead time and demand of each period, whose
errors follow a normal copula with AR(1). Items are drawn with the same numbers: what one item gets does not depend on
which others are asked for.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.signal import lfilter
from scipy.stats import norm

from mercurios.errors import ModelError
from mercurios.replenishment.settings import StockSettings

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

QUANTILES = ("lo95", "lo80", "hi80", "hi95")
SHARES = np.array([0.0, 0.025, 0.1, 0.5, 0.9, 0.975, 1.0])
_MEDIAN = 3
_TAIL = 1.2  # how far the end of a tail lies beyond its 95 % bound, in distances from the 80 % to the 95 % bound
_SLICE = 256


@dataclass(frozen=True)
class Protection:
    """Drawn demand of items over their protection interval.

    keys: ids of the items. paths: items × samples in units, each row ascending. periods: expected length of the
    interval in periods.
    """

    keys: tuple[str, ...]
    paths: Floats
    periods: Floats

    @property
    def mean(self) -> Floats:
        """Expected units by item."""
        return np.asarray(self.paths.mean(axis=1))

    def quantile(self, shares: Floats) -> Floats:
        """The share-quantile of each item's demand, in units; one share per item."""
        place = shares * (self.paths.shape[1] - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, self.paths.shape[1] - 1)
        rows = np.arange(len(self.paths))
        low = self.paths[rows, below]
        return np.asarray(low + (self.paths[rows, above] - low) * (place - below))

    def expected_sales(self, stock: Floats) -> Floats:
        """Units expected to be sold out of that much stock, by item."""
        return np.asarray(np.minimum(self.paths, stock[:, None]).mean(axis=1))


def protection_demand(forecast: pl.DataFrame, leads: Floats, settings: StockSettings) -> Protection:
    """Draw the demand each item meets until the order after this one can arrive.

    forecast: unique_id, ds, mean, lo80, hi80, lo95, hi95 of complete, equally long series; from the period that begins
    with the review. Where it ends before the interval does, its last period goes on. leads: items (by unique_id
    ascending) × samples, lead times in whole periods. Raises ModelError when the two are not of the same items.
    """
    forecast = forecast.sort("unique_id", "ds")
    keys = tuple(forecast["unique_id"].unique(maintain_order=True))
    horizon = forecast.height // max(len(keys), 1)
    if len(keys) != len(leads) or horizon * len(keys) != forecast.height:
        raise ModelError(
            f"expected forecasts of {len(leads)} items, equally long, got {len(keys)} items in {forecast.height} rows; "
            "forecast every item the lead times are of"
        )
    points = quantile_points(forecast).reshape(len(keys), horizon, len(SHARES))
    covered = leads.astype(np.int64) + settings.review_periods
    ranks = _ranks(int(covered.max(initial=1)), settings)
    parts = [_paths(points[n : n + _SLICE], covered[n : n + _SLICE], ranks) for n in range(0, len(keys), _SLICE)] or [
        np.empty((0, settings.samples))
    ]
    return Protection(keys, np.sort(np.concatenate(parts), axis=1), covered.mean(axis=1))


def _ranks(periods: int, settings: StockSettings) -> Floats:
    """periods × samples: how high in its distribution each period's demand lies, autocorrelated along a path."""
    rho = settings.error_correlation
    noise = np.random.default_rng(settings.seed).standard_normal((periods, settings.samples))
    noise[1:] *= np.sqrt(1 - rho * rho)
    return np.asarray(norm.cdf(lfilter([1.0], [1.0, -rho], noise, axis=0)))


def quantile_points(forecast: pl.DataFrame) -> Floats:
    """Rows × quantiles at SHARES. The median is what makes their mean that of the forecast, as far as bounds allow."""
    low95, low80, high80, high95 = (np.maximum(forecast[name].to_numpy(), 0.0) for name in QUANTILES)
    mean = np.maximum(forecast["mean"].to_numpy(), 0.0)
    lowest = np.maximum(low95 - _TAIL * (low80 - low95), 0.0)
    points = np.stack([lowest, low95, low80, mean, high80, high95, high95 + _TAIL * (high95 - high80)], axis=1)
    weights = np.convolve(np.diff(SHARES), [0.5, 0.5])
    others = points @ weights - points[:, _MEDIAN] * weights[_MEDIAN]
    points[:, _MEDIAN] = np.clip((mean - others) / weights[_MEDIAN], low80, high80)
    drawn = points @ weights
    return np.asarray(points * np.divide(mean, drawn, out=np.zeros_like(mean), where=drawn > 0)[:, None])


def _paths(points: Floats, covered: Counts, ranks: Floats) -> Floats:
    """Items × samples: units over the first `covered` periods."""
    total = np.zeros(covered.shape)
    last = points.shape[1] - 1
    for period, rank in enumerate(ranks):
        within = covered > period
        if not within.any():
            break
        total += np.where(within, points[:, min(period, last)] @ _blend(rank), 0.0)
    return total


def _blend(rank: Floats) -> Floats:
    """Quantiles × samples: the shares in which neighbouring quantiles make the one at each rank."""
    above = np.clip(np.searchsorted(SHARES, rank), 1, len(SHARES) - 1)
    share = (rank - SHARES[above - 1]) / (SHARES[above] - SHARES[above - 1])
    blend = np.zeros((len(SHARES), len(rank)))
    samples = np.arange(len(rank))
    blend[above, samples] = share
    blend[above - 1, samples] = 1 - share
    return blend
