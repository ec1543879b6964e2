"""The calendar and what is planned: the regression's forecast times what plans have done to sales before.

PlannedCalendar(half_life=10).forecast(panel, horizon=4)     # unique_id, ds, mean

The response is that of `scenarios`: what the regression missed in the windows before, on `Panel.plan`. The level holds
what was planned of late, so it is the change from there that counts.
"""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import Field

from mercurios.errors import ModelError
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.series import Panel

if TYPE_CHECKING:
    from mercurios.forecasting.scenarios import Response

_KEY = ["unique_id", "ds"]


class PlannedCalendar(CalendarRegression, frozen=True):
    """CalendarRegression, corrected by what is planned; without a plan, or where it never moved, the same.

    windows: past forecasts it learns from, at most. usual: periods before the cutoff whose mean plan the level holds.
    """

    windows: int = Field(default=8, ge=2)
    usual: int = Field(default=3, gt=0)

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        made = super().forecast(panel, horizon)
        windows = min(self.windows, panel.calendar.height // horizon - 2)
        if panel.plan is None or windows < 2:
            return made
        response = self._response(panel, panel.plan, horizon, windows)
        return made if response is None else self._corrected(made, panel, panel.plan, response)

    def _response(self, panel: Panel, plan: pl.DataFrame, horizon: int, windows: int) -> "Response | None":
        from mercurios.forecasting.scenarios import learn_response, past_forecasts

        blind = CalendarRegression(**self.model_dump(include=set(CalendarRegression.model_fields)))
        past = past_forecasts(panel, blind, horizon=horizon, windows=windows)
        try:
            return learn_response(past.join(plan, on=_KEY, how="left").fill_null(0.0), plan.drop(_KEY).columns)
        except ModelError:  # nothing planned has moved yet
            return None

    def _corrected(self, made: pl.DataFrame, panel: Panel, plan: pl.DataFrame, response: "Response") -> pl.DataFrame:
        things = list(response.drivers)
        late = plan.join(panel.calendar.tail(self.usual), on="ds", how="semi")
        usual = late.group_by("unique_id").agg(pl.col(things).sum() / self.usual)
        both = made.join(plan, on=_KEY, how="left", maintain_order="left")
        both = both.join(usual, on="unique_id", how="left", suffix=" usual", maintain_order="left").fill_null(0.0)
        change = np.column_stack([both[name] - both[f"{name} usual"] for name in things])
        own = np.array([response.coefficients(key)[0] for key in both["unique_id"]])
        return made.with_columns(mean=pl.col("mean") * pl.Series(np.exp((own * change).sum(axis=1))))
