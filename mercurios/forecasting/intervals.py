"""Intervals from backtest errors (split conformal prediction).

    spread = spreads(panel)
    bands = calibrate(trial.scored_by("AutoETS"), spread)
    bands.around(forecast, spread)      # … lo95, lo80, mean, hi80, hi95

An error is divided by the spread of its series before it joins the pool, so that every series lends its errors to every
other. It is the spread of today, the one the intervals are made with: divided by the spread of its own time, an error
made when a series changed its level would come back blown up. Errors keep their sign: revenue is skewed, and so are its
intervals.
"""

from dataclasses import asdict, dataclass

import polars as pl

from mercurios.forecasting.series import Panel

BOUNDS = ("lo80", "hi80", "lo95", "hi95")
_SHARES = {"lo80": 0.1, "hi80": 0.9, "lo95": 0.025, "hi95": 0.975}


@dataclass(frozen=True)
class Bands:
    """Quantiles of the pooled errors, in spreads of a series; `errors` is how many were pooled."""

    lo80: float
    hi80: float
    lo95: float
    hi95: float
    errors: int

    def around(self, forecast: pl.DataFrame, spread: pl.DataFrame) -> pl.DataFrame:
        """Add lo80, hi80, lo95, hi95 to a forecast with unique_id and mean; lo95 ≤ lo80 ≤ mean ≤ hi80 ≤ hi95.

        spread: unique_id, spread and floor, from `spreads`; nothing goes below the floor of its series.
        """
        quantiles = asdict(self)
        mean, floor = pl.col("mean"), pl.col("floor")
        bounds = [
            pl.max_horizontal(pl.min_horizontal(mean, mean + quantiles[name] * pl.col("spread")), floor).alias(name)
            if name.startswith("lo")
            else pl.max_horizontal(mean, mean + quantiles[name] * pl.col("spread")).alias(name)
            for name in BOUNDS
        ]
        return (
            forecast.join(spread, on="unique_id", how="left")
            .with_columns(mean=pl.max_horizontal(mean, floor))
            .with_columns(bounds)
            .drop("spread", "floor")
        )


def spreads(panel: Panel) -> pl.DataFrame:
    """One row per series: unique_id, its spread, and the floor no forecast of it goes below.

    spread: standard deviation of its open periods up to the cutoff; of a single one, its size. floor: zero, or the
    lowest value it ever had when returns have pushed it below.
    """
    y = pl.col("y")
    spread = pl.when(pl.len() > 1).then(y.std()).otherwise(y.abs().first())
    floor = pl.min_horizontal(y.min(), 0.0)
    return panel.rows.filter("is_open").group_by("unique_id").agg(spread=spread, floor=floor)


def calibrate(scored: pl.DataFrame, spread: pl.DataFrame) -> Bands | None:
    """Quantiles of the errors of scored forecasts; None when there is no error to go by.

    scored: unique_id, y, mean. spread: from `spreads`, of the panel the intervals are meant for.
    """
    known = scored.select("unique_id", "y", "mean").join(spread.filter(pl.col("spread") > 0), on="unique_id")
    errors = known.select((pl.col("y") - pl.col("mean")) / pl.col("spread")).to_series()
    if errors.is_empty():
        return None
    return Bands(**{name: _quantile(errors, share) for name, share in _SHARES.items()}, errors=len(errors))


def _quantile(errors: pl.Series, share: float) -> float:
    value = errors.quantile(share, "linear")
    assert value is not None
    return float(value)
