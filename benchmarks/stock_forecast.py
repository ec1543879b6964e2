"""A cheap forecast for the stock benchmark: boosting over all items at once, with what is planned to be promoted.

The plan of mailers and displays is known when a week is ordered for, so the week that is forecast has it among its
features; of demand only what lies before the panel's cutoff is seen. Intervals are split conformal: errors of the last
weeks, forecast by a model of the weeks before them, in standard deviations of their item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from lightgbm import LGBMRegressor

from mercurios.forecasting import Panel
from mercurios.forecasting.candidates import future

Floats = npt.NDArray[np.float64]
Forecaster = Callable[[Panel, int], pl.DataFrame]

_SHARES = {"lo80": 0.1, "hi80": 0.9, "lo95": 0.025, "hi95": 0.975}
_FIRST_ORIGIN = 5
_CALIBRATION = 8  # weeks
_ROWS = 60_000


@dataclass(frozen=True)
class _Weeks:
    """items × weeks: units known so far; and what was and is planned, one matrix per kind of promotion."""

    units: Floats
    plans: Sequence[Floats]

    def features(self, origin: int, step: int) -> tuple[Floats, Floats]:
        """What is known before week `origin` of the week `step` after it, and each item's level."""
        past = self.units[:, :origin]
        level = past[:, -26:].mean(axis=1) + 0.1
        of_late = past[:, -13:]
        columns = [np.full(len(level), step), np.log(level), (of_late == 0).mean(axis=1)]
        columns += [past[:, -back] / level for back in range(1, 5)]
        columns += [past[:, -weeks:].mean(axis=1) / level for weeks in (4, 8, 13)]
        columns += [of_late.std(axis=1) / level, of_late.max(axis=1) / level]
        for plan in self.plans:
            planned = plan[:, origin + step]
            columns += [planned, planned - plan[:, :origin][:, -13:].mean(axis=1), plan[:, origin - 1]]
            columns += [_mean_where(past[:, -26:], on) / level for on in _split(plan[:, :origin][:, -26:])]
        return np.column_stack(columns), level


def _split(plan: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return plan > 0, plan <= 0


def _mean_where(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    count = where.sum(axis=1)
    return np.divide((values * where).sum(axis=1), count, out=np.full(len(values), np.nan), where=count > 0)


def boosting(promotions: pl.DataFrame | None = None) -> Forecaster:
    """A forecaster of weekly panels; unique_id, ds, mean, lo80, hi80, lo95, hi95 in units.

    promotions: unique_id, ds and one column per kind of promotion, numbers; covers the weeks that are forecast.
    """

    def forecast(panel: Panel, horizon: int) -> pl.DataFrame:
        weeks, now = _weeks(panel, horizon, promotions)
        before = now - _CALIBRATION
        errors = _errors(weeks, _fit(weeks, before, horizon), range(before, now), horizon)
        means = _predict(_fit(weeks, now, horizon), weeks, now, horizon)
        return _banded(future(panel, horizon).sort("unique_id", "ds"), means, errors, _spread(weeks.units))

    return forecast


def moving_mean(window: int = 13) -> Forecaster:
    """The mean of the last weeks, with the errors of its own past around it."""

    def forecast(panel: Panel, horizon: int) -> pl.DataFrame:
        units = matrix(panel)
        now = units.shape[1]
        spread = _spread(units)
        errors = [
            np.concatenate(
                [
                    (units[:, o + step] - units[:, max(o - window, 0) : o].mean(axis=1)) / spread
                    for o in range(now - _CALIBRATION, now - step)
                ]
            )
            for step in range(min(horizon, _CALIBRATION))
        ]
        means = np.repeat(units[:, -window:].mean(axis=1)[:, None], horizon, axis=1)
        return _banded(future(panel, horizon).sort("unique_id", "ds"), means, errors, spread)

    return forecast


def matrix(panel: Panel) -> Floats:
    """Items (by unique_id) × periods of the panel's calendar, in units; nothing before the first sale."""
    whole = panel.rows.select(pl.col("unique_id").unique().sort()).join(panel.calendar.select("ds"), how="cross")
    filled = whole.join(panel.rows, on=["unique_id", "ds"], how="left", maintain_order="left")
    return filled["y"].fill_null(0.0).to_numpy().reshape(-1, panel.calendar.height)


def _weeks(panel: Panel, horizon: int, promotions: pl.DataFrame | None) -> tuple[_Weeks, int]:
    units = matrix(panel)
    if promotions is None:
        return _Weeks(units, ()), units.shape[1]
    ahead = future(panel, horizon)
    calendar = pl.concat([panel.calendar["ds"], ahead["ds"].unique().sort()])
    whole = ahead.select(pl.col("unique_id").unique().sort()).join(calendar.to_frame(), how="cross")
    planned = whole.join(promotions, on=["unique_id", "ds"], how="left", maintain_order="left").fill_null(0)
    kinds = [name for name in promotions.columns if name not in ("unique_id", "ds")]
    return _Weeks(units, [np.log1p(planned[kind].to_numpy().reshape(len(units), -1)) for kind in kinds]), units.shape[1]


def _fit(weeks: _Weeks, until: int, horizon: int) -> LGBMRegressor:
    made = [
        (*weeks.features(origin, step), weeks.units[:, origin + step])
        for origin in range(_FIRST_ORIGIN, until)
        for step in range(min(horizon, until - origin))
    ]
    known, level, units = (np.concatenate(parts) for parts in zip(*made, strict=True))
    chosen = np.random.default_rng(0).permutation(len(units))[:_ROWS]
    model = LGBMRegressor(
        objective="tweedie",
        tweedie_variance_power=1.3,
        n_estimators=150,
        learning_rate=0.05,
        num_leaves=15,
        min_child_samples=60,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
        seed=1,
    )
    return model.fit(known[chosen], (units / level)[chosen], sample_weight=np.sqrt(level[chosen]))


def _predict(model: LGBMRegressor, weeks: _Weeks, origin: int, horizon: int) -> Floats:
    steps = [weeks.features(origin, step) for step in range(horizon)]
    return np.column_stack([model.booster_.predict(known) * level for known, level in steps])


def _errors(weeks: _Weeks, model: LGBMRegressor, origins: range, horizon: int) -> list[Floats]:
    spread, by_step = _spread(weeks.units), [list[Floats]() for _ in range(min(horizon, len(origins)))]
    for origin in origins:
        steps = min(len(by_step), origins.stop - origin)
        made = _predict(model, weeks, origin, steps)
        for step in range(steps):
            by_step[step].append((weeks.units[:, origin + step] - made[:, step]) / spread)
    return [np.concatenate(errors) for errors in by_step]


def _spread(units: Floats) -> Floats:
    return np.maximum(units.std(axis=1, ddof=1), 1e-6)


def _banded(ahead: pl.DataFrame, means: Floats, errors: Sequence[Floats], spread: Floats) -> pl.DataFrame:
    by_step = [errors[min(step, len(errors) - 1)] for step in range(means.shape[1])]
    bounds = {}
    for name, share in _SHARES.items():
        away = np.array([np.quantile(one, share) for one in by_step])
        away = np.minimum(away, 0.0) if name.startswith("lo") else np.maximum(away, 0.0)
        bounds[name] = np.maximum(means + away * spread[:, None], 0.0).ravel()
    return ahead.with_columns(mean=means.ravel(), **bounds)
