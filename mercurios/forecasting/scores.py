"""How good a forecast was: metrics as functions of columns.

wape(pl.Series([100.0, 50.0]), pl.Series([90.0, 60.0]))   # 0.1333…
"""

import polars as pl


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


def _share(error: float, y: pl.Series) -> float:
    sold = float(y.abs().sum())
    return error / sold if sold else float("nan")
