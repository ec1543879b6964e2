"""Boosting that forecasts every step directly and knows what is planned: LightGBM over all series at once.

    DirectLightGBM(objective="tweedie").forecast(panel, horizon=4)     # unique_id, ds, mean

One model for all series and steps ahead, trained on every past origin of the panel: what was known then, what was
planned for the period that is forecast (`Panel.plan`), and what was sold in it, in units of the series' level.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from mercurios.forecasting.candidates import Candidate, RecentMean, future
from mercurios.forecasting.series import Matrix, Panel, matrix

if TYPE_CHECKING:
    from lightgbm import Booster


class DirectLightGBM(Candidate, frozen=True):
    """Direct boosting on lags, means and the plan.

    lags and means are in periods; level: periods whose mean is a series' level. first_origin: periods that lie before
    the first origin it learns from. rows: at most as many examples, chosen by the seed.
    """

    objective: Literal["tweedie", "l1", "l2"] = "tweedie"
    lags: tuple[int, ...] = (1, 2, 3, 4)
    means: tuple[int, ...] = (4, 8, 13)
    level: int = Field(default=26, gt=0)
    first_origin: int = Field(default=5, gt=0)
    n_estimators: int = Field(default=150, gt=0)
    learning_rate: float = Field(default=0.05, gt=0)
    num_leaves: int = Field(default=15, gt=1)
    min_child_samples: int = Field(default=60, gt=0)
    rows: int = Field(default=60_000, gt=0)
    seed: int = 1

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        sold, plans = np.nan_to_num(matrix(panel)), _plans(panel, horizon)
        now = sold.shape[1]
        if now == 1:  # there is no past to learn from
            return RecentMean(periods=1).forecast(panel, horizon)
        model = self._fitted(sold, plans, horizon)
        steps = [self._known(sold, plans, now, step) for step in range(horizon)]
        ahead = np.column_stack([np.clip(model.predict(known), 0, None) * level for known, level in steps])
        return future(panel, horizon).with_columns(mean=pl.Series(ahead.ravel()))

    def _fitted(self, sold: Matrix, plans: Sequence[Matrix], horizon: int) -> "Booster":
        from lightgbm import LGBMRegressor

        now = sold.shape[1]
        origins = range(min(self.first_origin, now - 1), now)
        made = [
            (*self._known(sold, plans, origin, step), sold[:, origin + step])
            for origin in origins
            for step in range(min(horizon, now - origin))
        ]
        known, level, y = (np.concatenate(parts) for parts in zip(*made, strict=True))
        chosen = np.random.default_rng(self.seed).permutation(len(y))[: self.rows]
        model = LGBMRegressor(
            objective=self.objective,
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
        share = np.clip(y / level, 0, None)
        return model.fit(known[chosen], share[chosen], sample_weight=np.sqrt(level)[chosen]).booster_

    def _known(self, sold: Matrix, plans: Sequence[Matrix], origin: int, step: int) -> tuple[Matrix, Matrix]:
        """What is known before the period `origin` of the one `step` after it, and each series' level."""
        past = sold[:, :origin]
        level = np.maximum(past[:, -self.level :].mean(axis=1), _LEAST * np.abs(past).mean() + np.finfo(float).tiny)
        of_late = past[:, -max(self.means) :]
        columns = [np.full(len(past), step), np.log(level), (of_late == 0).mean(axis=1)]
        columns += [past[:, -back] / level if back <= origin else np.full(len(past), np.nan) for back in self.lags]
        columns += [past[:, -periods:].mean(axis=1) / level for periods in self.means]
        columns += [of_late.std(axis=1) / level, of_late.max(axis=1) / level]
        for plan in plans:
            columns += self._planned(past[:, -self.level :], plan, origin, step, level)
        return np.column_stack(columns), level

    def _planned(self, past: Matrix, plan: Matrix, origin: int, step: int, level: Matrix) -> list[Matrix]:
        before = plan[:, max(origin - self.level, 0) : origin]
        of_late = before[:, -max(self.means) :].mean(axis=1)
        sold_with, sold_without = (_mean_where(past, on) / level for on in (before > 0, before <= 0))
        return [plan[:, origin + step], plan[:, origin + step] - of_late, before[:, -1], sold_with, sold_without]


_LEAST = 0.02  # of the mean of all series: the smallest level a series is measured in


def _plans(panel: Panel, horizon: int) -> list[Matrix]:
    """Series × periods up to the end of the horizon, one matrix per planned thing; nothing planned is zero."""
    if panel.plan is None:
        return []
    ds = pl.concat([panel.calendar["ds"], future(panel, horizon)["ds"].unique().sort()]).to_frame()
    whole = pl.DataFrame({"unique_id": panel.keys}).join(ds, how="cross", maintain_order="left_right")
    planned = whole.join(panel.plan, on=["unique_id", "ds"], how="left", maintain_order="left").fill_null(0)
    things = planned.drop("unique_id", "ds")
    return [np.log1p(column.cast(pl.Float64).to_numpy().reshape(len(panel.keys), -1)) for column in things]


def _mean_where(values: Matrix, where: npt.NDArray[np.bool_]) -> Matrix:
    count = where.sum(axis=1)
    mean: Matrix = np.divide((values * where).sum(axis=1), count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
