"""Forecasts of revenue: series in, forecasts with intervals out.

    split = split_series(sales, spec, until=date(2017, 12, 31))
    trial = backtest(split.modelled, spec.candidates, spec.windows)
    fitted = FittedLevel((fit_part(split.modelled, trial, "MedianEnsemble"),))
    fitted.forecast(horizon=28)

Nothing here opens a store: frames of polars come in and go out, and the libraries that do the work (statsforecast,
mlforecast, neuralforecast) are imported where they are used.
"""

from mercurios.forecasting.backtest import Backtest, CandidateScore, Windows, backtest, score_windows
from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.fitted import FittedLevel, fit_part
from mercurios.forecasting.series import Grain, Panel, Split, split_series
from mercurios.forecasting.spec import ForecastSpec, LevelSpec

__all__ = [
    "Backtest",
    "Candidate",
    "CandidateScore",
    "FittedLevel",
    "ForecastSpec",
    "Grain",
    "LevelSpec",
    "Panel",
    "Split",
    "Windows",
    "backtest",
    "fit_part",
    "score_windows",
    "split_series",
]
