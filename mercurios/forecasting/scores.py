"""How good a forecast was: metrics as functions of columns.

wape(pl.Series([100.0, 50.0]), pl.Series([90.0, 60.0]))   # 0.1333…
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from mercurios.forecasting.series import Grain, Panel

_QUANTILES: Mapping[str, float] = MappingProxyType({"lo95": 0.025, "lo80": 0.1, "hi80": 0.9, "hi95": 0.975})
_SEASON: Mapping[Grain, int] = MappingProxyType({Grain.DAY: 7, Grain.WEEK: 1})


def wape(y: pl.Series, mean: pl.Series) -> float:
    """Weighted absolute percentage error, Σ|y − ŷ| / Σ|y|; a fraction (0.12 is 12 %).

    NaN when nothing was sold at all: no error can be weighed then.
    """
    return _share(float((y - mean).abs().sum()), y)


def bias(y: pl.Series, mean: pl.Series) -> float:
    """Σ(ŷ − y) / Σ|y|; a fraction, negative when the forecast is too low in total."""
    return _share(float((mean - y).sum()), y)


def coverage(y: pl.Series, low: pl.Series, high: pl.Series) -> float:
    """Share of observations inside their interval, bounds included; a fraction, NaN without observations."""
    inside = (y >= low) & (y <= high)
    return float(inside.sum()) / len(y) if len(y) else float("nan")


def naive_errors(panel: Panel) -> pl.DataFrame:
    """How much a series differs from itself a season ago (a week of days, one week): what its errors are scaled by.

    One row per series: unique_id, naive_mae and naive_mse, mean absolute and mean squared difference.
    """
    y = pl.col("y")
    steps = panel.rows.sort("unique_id", "ds").select(
        "unique_id", step=(y - y.shift(_SEASON[panel.grain])).over("unique_id")
    )
    step = pl.col("step")
    return steps.group_by("unique_id").agg(naive_mae=step.abs().mean(), naive_mse=(step**2).mean())


def rmsse(rows: pl.DataFrame) -> float:
    """Root mean squared scaled error (Hyndman & Koehler 2006): 1 is as far off as repeating the season one step ahead.

    rows: unique_id, fold, y, mean, naive_mse. Mean over series and windows; those that never differed are left out.
    NaN when none is left.
    """
    squared = (pl.col("y") - pl.col("mean")) ** 2
    return _mean(_scaled(rows, squared, "naive_mse").sqrt())


def scaled_quantile_loss(rows: pl.DataFrame) -> float:
    """Pinball loss of the four bounds, scaled as `rmsse` is (M5 uncertainty, Makridakis et al. 2022); lower is better.

    rows: unique_id, fold, y, lo80, hi80, lo95, hi95, naive_mae.
    """
    losses = []
    for bound, share in _QUANTILES.items():
        miss = pl.col("y") - pl.col(bound)
        losses.append(pl.max_horizontal(share * miss, (share - 1) * miss))
    return _mean(_scaled(rows, pl.mean_horizontal(losses), "naive_mae"))


def _scaled(rows: pl.DataFrame, loss: pl.Expr, scale: str) -> pl.Series:
    """One number per series and window."""
    known = rows.filter(pl.col(scale) > 0)
    return known.group_by("unique_id", "fold", maintain_order=True).agg(scaled=loss.mean() / pl.col(scale).first())[
        "scaled"
    ]


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean()) if len(values) else float("nan")


def _share(error: float, y: pl.Series) -> float:
    sold = float(y.abs().sum())
    return error / sold if sold else float("nan")
