"""Gradient boosting over all series at once: LightGBM through mlforecast."""

from typing import Any

import polars as pl
from pydantic import Field

from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.series import Panel


class LightGBM(Candidate, frozen=True):
    """One model for all series on their own past, forecasting step by step.

    lags and rolling_means are in periods; seasonal_means in seasons (the mean of the last n values of the same place
    in the season). Series are standardised one by one, so large and small ones weigh alike.
    """

    season_length: int = Field(gt=0)
    lags: tuple[int, ...]
    rolling_means: tuple[int, ...] = ()
    seasonal_means: tuple[int, ...] = ()
    weekday: bool = False
    n_estimators: int = 300
    learning_rate: float = 0.02
    num_leaves: int = 7
    min_child_samples: int = 40
    seed: int = 1

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from lightgbm import LGBMRegressor
        from mlforecast import MLForecast
        from mlforecast.target_transforms import LocalStandardScaler

        booster = LGBMRegressor(
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            seed=self.seed,
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )
        model = MLForecast(
            models={"mean": booster},
            freq=panel.grain.every,
            lags=list(self.lags),
            lag_transforms=self._lag_transforms(),
            date_features=["weekday"] if self.weekday else [],
            target_transforms=[LocalStandardScaler()],
        )
        model.fit(panel.rows.select("unique_id", "ds", "y"), static_features=[])
        forecast: pl.DataFrame = model.predict(horizon)
        return forecast.select("unique_id", "ds", pl.col("mean").cast(pl.Float64))

    def _lag_transforms(self) -> dict[int, list[Any]]:
        from mlforecast.lag_transforms import RollingMean, SeasonalRollingMean

        transforms: dict[int, list[Any]] = {}
        if self.rolling_means:
            transforms[1] = [RollingMean(periods, min_samples=1) for periods in self.rolling_means]
        if self.seasonal_means:
            seasonal = [SeasonalRollingMean(self.season_length, n, min_samples=1) for n in self.seasonal_means]
            transforms.setdefault(self.season_length, []).extend(seasonal)
        return transforms
