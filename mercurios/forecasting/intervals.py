"""Intervals from backtest errors (split conformal prediction).

    spread = spreads(panel)
    bands = calibrate(trial.scored_by("AutoETS"), spread)
    bands.around(forecast, spread)      # unique_id, ds, mean, near_holiday in; mean, lo80, hi80, lo95, hi95 out

An error is divided by the spread of its series before it joins the pool, so that the series of a demand class lend
their errors to each other. It is the spread of today, the one the intervals are made with: divided by the spread of its
own time, an error made when a series changed its level would come back blown up. Around holidays it is larger by as
much as errors were larger there. Errors keep their sign: revenue is skewed, and so are its intervals.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import polars as pl

from mercurios.forecasting.demand import demand_classes
from mercurios.forecasting.series import Panel

BOUNDS = ("lo80", "hi80", "lo95", "hi95")
_SHARES = {"lo80": 0.1, "hi80": 0.9, "lo95": 0.025, "hi95": 0.975}
_LEAST_ERRORS = 100
_LEAST_HOLIDAY_ERRORS = 10


@dataclass(frozen=True)
class Quantiles:
    """Of pooled errors, in spreads of a series; `errors` is how many were pooled."""

    lo80: float
    hi80: float
    lo95: float
    hi95: float
    errors: int


@dataclass(frozen=True)
class Bands:
    """Quantiles of the errors of all series, and of those of each demand class that erred often enough to tell.

    holiday: how many times as large errors are around holidays, at least 1.
    """

    everybody: Quantiles
    by_class: Mapping[str, Quantiles] = field(default_factory=dict)
    holiday: float = 1.0

    def around(self, forecast: pl.DataFrame, spread: pl.DataFrame) -> pl.DataFrame:
        """Add lo80, hi80, lo95, hi95 to a forecast: unique_id, mean, near_holiday; lo95 ≤ lo80 ≤ mean ≤ hi80 ≤ hi95.

        spread: from `spreads`; nothing goes below the floor of its series.
        """
        mean, floor = pl.col("mean"), pl.col("floor")
        away = {name: mean + self._of_class(name) * _scale(self.holiday) for name in BOUNDS}
        bounds = [
            pl.max_horizontal(pl.min_horizontal(mean, bound), floor).alias(name)
            if name.startswith("lo")
            else pl.max_horizontal(mean, bound).alias(name)
            for name, bound in away.items()
        ]
        return (
            forecast.join(spread, on="unique_id", how="left")
            .with_columns(mean=pl.max_horizontal(mean, floor))
            .with_columns(bounds)
            .drop("spread", "floor", "demand_class")
        )

    def _of_class(self, name: str) -> pl.Expr:
        known = {demand_class: asdict(quantiles)[name] for demand_class, quantiles in self.by_class.items()}
        everybody = asdict(self.everybody)[name]
        return pl.col("demand_class").replace_strict(known, default=everybody, return_dtype=pl.Float64)


def spreads(panel: Panel) -> pl.DataFrame:
    """One row per series: unique_id, its spread, the floor no forecast of it goes below, its demand class.

    spread: standard deviation of its open periods up to the cutoff; of a single one, its size. floor: zero, or the
    lowest value it ever had when returns have pushed it below.
    """
    y = pl.col("y")
    spread = pl.when(pl.len() > 1).then(y.std()).otherwise(y.abs().first())
    floor = pl.min_horizontal(y.min(), 0.0)
    told = panel.rows.filter("is_open").group_by("unique_id").agg(spread=spread.round_sig_figs(9), floor=floor)
    return told.join(demand_classes(panel), on="unique_id")


def banded(scored: pl.DataFrame) -> pl.DataFrame:
    """One candidate's forecasts of past windows with lo80 … hi95, of each window from the errors in those before it.

    scored: unique_id, ds, fold, y, mean, near_holiday, spread, floor, demand_class. Bounds are null where nothing had
    erred before.
    """
    return pl.concat([_banded(scored, fold) for fold in sorted(scored["fold"].unique())] or [_unbound(scored)])


def calibrate(scored: pl.DataFrame, spread: pl.DataFrame) -> Bands | None:
    """Quantiles of the errors of scored forecasts; None when there is no error to go by.

    scored: unique_id, y, mean, near_holiday. spread: from `spreads`, of the panel the intervals are meant for.
    """
    told = scored.select("unique_id", "y", "mean", "near_holiday")
    known = told.join(spread.filter(pl.col("spread") > 0), on="unique_id")
    if known.is_empty():
        return None
    error = pl.col("y") - pl.col("mean")
    holiday = _holiday(known.select("near_holiday", size=(error / _scale(1.0)).abs()))
    errors = known.select("demand_class", error=error / _scale(holiday))
    by_class = {str(name): of["error"] for (name,), of in errors.partition_by("demand_class", as_dict=True).items()}
    enough = {name: _quantiles(of) for name, of in sorted(by_class.items()) if len(of) >= _LEAST_ERRORS}
    return Bands(_quantiles(errors["error"]), enough, holiday)


def _scale(holiday: float) -> pl.Expr:
    """What errors are measured in: the spread of a series, around holidays so much larger."""
    return pl.col("spread") * pl.when("near_holiday").then(holiday).otherwise(1.0)


def _holiday(sizes: pl.DataFrame) -> float:
    near, far = (sizes.filter(kind)["size"] for kind in (pl.col("near_holiday"), ~pl.col("near_holiday")))
    usual = _quantile(far, 0.8) if len(far) else 0.0
    return max(1.0, _quantile(near, 0.8) / usual) if usual and len(near) >= _LEAST_HOLIDAY_ERRORS else 1.0


def _banded(scored: pl.DataFrame, fold: int) -> pl.DataFrame:
    window = scored.filter(pl.col("fold") == fold)
    spread = window.select("unique_id", "spread", "floor", "demand_class").unique()
    bands = calibrate(scored.filter(pl.col("fold") < fold), spread)
    if bands is None:
        return _unbound(window)
    bare = window.drop("spread", "floor", "demand_class")
    return bands.around(bare, spread).join(spread, on="unique_id").select(*window.columns, *BOUNDS)


def _unbound(window: pl.DataFrame) -> pl.DataFrame:
    return window.with_columns(pl.lit(None, pl.Float64).alias(bound) for bound in BOUNDS)


def _quantiles(errors: pl.Series) -> Quantiles:
    return Quantiles(**{name: _quantile(errors, share) for name, share in _SHARES.items()}, errors=len(errors))


def _quantile(errors: pl.Series, share: float) -> float:
    value = errors.quantile(share, "linear")
    assert value is not None
    return float(value)
