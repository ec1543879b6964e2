"""What is known of a contender before it may forecast for anybody: its scored windows, its data, and how it was tried.

    rows = told_of(trial.scored_by("AutoETS"), tenant_id="north", level="branch")
    leak(forecaster, sales, cutoff=cutoff, time="sold_on", known=("key",))   # 0.0: nothing after the cutoff was seen
    diebold_mariano(rows, rows_of_another).p_value

Each is a function of frames; `gate` judges what they tell.
"""

import hashlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.intervals import BOUNDS

SCORED = ("tenant_id", "level", "unique_id", "ds", "fold", "demand_class", "y", "mean", "scale", *BOUNDS)
_KEY = ("tenant_id", "level", "unique_id", "ds")
_WEEK = 7


def _winkler(share: int) -> pl.Expr:
    y, low, high = pl.col("y"), pl.col(f"lo{share}"), pl.col(f"hi{share}")
    outside = (low - y).clip(0) + (y - high).clip(0)
    return high - low + 2 / (1 - share / 100) * outside


ABSOLUTE = (pl.col("y") - pl.col("mean")).abs()
INTERVAL = (_winkler(80) + _winkler(95)) / 2 / pl.col("scale")
"""Losses of one row: of the forecast, and of both its intervals (Winkler's interval score, in scales of the series)."""
_SEED = 20_180_101

Forecaster = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class TrainingData:
    """Rows to fit on: whose, of which release and its `as_of`, and their digest."""

    tenant_id: str
    release: str
    as_of: datetime
    digest: str


@dataclass(frozen=True)
class Evidence:
    """One contender, measured in the same windows as everybody.

    scored: columns SCORED, one row per (tenant_id, level, unique_id, ds); bounds are null where nothing had erred
    before to learn them from. baseline: the same rows as the baseline forecast them.
    asked: the data that were named, as they are in the release. used: what the fitted model holds.
    leak, reproduced: from `leak` and `difference`, None when it was not tried. withdrawn: why its method was rolled
    back, empty when it was not. A champion is asked for nothing but `scored`.
    """

    name: str
    scored: pl.DataFrame
    baseline: pl.DataFrame | None = None
    asked: tuple[TrainingData, ...] = ()
    used: tuple[TrainingData, ...] = ()
    judged_at: datetime | None = None
    leak: float | None = None
    reproduced: float | None = None
    withdrawn: str = ""

    def __post_init__(self) -> None:
        for rows in (self.scored, *([] if self.baseline is None else [self.baseline])):
            if missing := [name for name in SCORED if name not in rows.columns]:
                raise ModelError(f"evidence of {self.name}: expected the columns SCORED, {', '.join(missing)} missing")
            if not rows.select(_KEY).is_unique().all():
                raise ModelError(f"evidence of {self.name}: expected one row per series and period, some come twice")


@dataclass(frozen=True)
class Significance:
    """p_value: of so large an advantage if there were none; periods: how many differences it rests on."""

    statistic: float
    p_value: float
    periods: int


def told_of(scored: pl.DataFrame, *, tenant_id: str, level: str) -> pl.DataFrame:
    """One candidate's rows of a backtest in the columns SCORED, without the windows that only calibrate."""
    own = scored.filter(pl.col("fold") >= 0).rename({"spread": "scale"})
    return own.with_columns(tenant_id=pl.lit(tenant_id), level=pl.lit(level)).select(SCORED)


def digest(rows: pl.DataFrame, *more: pl.DataFrame | None, tenant_id: str, release: str) -> str:
    """Fingerprint of training rows, whatever their order, bound to whose they are and the release they are from.

    more: what else is learnt from, such as a plan or factors.
    """
    seal = hashlib.blake2b(f"{tenant_id}\n{release}\n".encode(), digest_size=16)
    for frame in (rows, *more):
        ordered = pl.DataFrame() if frame is None else frame.select(sorted(frame.columns))
        seal.update(ordered.sort(ordered.columns).write_csv().encode())
    return seal.hexdigest()


def leak(forecaster: Forecaster, rows: pl.DataFrame, *, cutoff: date, time: str, known: Collection[str]) -> float:
    """How far forecasts move when everything after the cutoff is something else; 0 when they do not look there.

    forecaster: fits on what it is given and forecasts from the cutoff on; unique_id, ds, mean.
    rows, time, known: as of `perturbed`. Returns the largest change as a share of the mean size of a forecast.
    """
    return difference(forecaster(rows), forecaster(perturbed(rows, cutoff=cutoff, time=time, known=known)))


def perturbed(rows: pl.DataFrame, *, cutoff: date, time: str, known: Collection[str]) -> pl.DataFrame:
    """The same rows, but after the cutoff every number is another one, truths are denied, and all else is shuffled.

    time: the column of dates. known: columns that may be known in advance, which stay: keys, and what is declared as
    plan. Deterministic; what was positive stays so.
    """
    after = (pl.col(time) > cutoff).alias("after")
    random = np.random.default_rng(_SEED)
    changed = [
        pl.when(after).then(_other(rows[name], random)).otherwise(pl.col(name)).alias(name)
        for name in rows.columns
        if name != time and name not in known
    ]
    return rows.with_columns(changed)


def _other(values: pl.Series, random: np.random.Generator) -> pl.Series:
    if values.dtype == pl.Boolean:
        return ~values
    if not values.dtype.is_numeric():
        return values.gather(pl.Series(random.permutation(len(values))))
    size = _size(values)
    factor, more = random.uniform(0.3, 3.0, len(values)), random.uniform(0.1, 1.0, len(values))
    return (values.cast(pl.Float64) * factor + size * more).cast(values.dtype)


def difference(one: pl.DataFrame, other: pl.DataFrame, *, step: float = 0.0) -> float:
    """The largest difference of two forecasts as a share of the mean size of the first.

    step: what they were rounded to; values one step apart are the same ones, rounded to either side.
    Infinite when they are not of the same series and periods, or one of them is no number. Bounds count where both
    have them.
    """
    values = [name for name in ("mean", *BOUNDS) if name in one.columns and name in other.columns]
    both = one.join(other, on=["unique_id", "ds"], how="full", suffix="_other", coalesce=True)
    apart = both.select((pl.col(name) - pl.col(f"{name}_other")).abs().alias(name) for name in values)
    numbers = apart.cast(pl.Float64).to_numpy()
    if not numbers.size or not np.isfinite(numbers).all():
        return math.inf
    largest = float(numbers.max())
    return 0.0 if largest < 1.5 * step else largest / _size(one["mean"])


def _size(values: pl.Series) -> float:
    """The mean size of what is not zero, 1 where everything is."""
    sizes = np.abs(values.drop_nulls().to_numpy().astype(np.float64))
    return float(sizes[sizes > 0].mean()) if sizes.any() else 1.0


def diebold_mariano(better: pl.DataFrame, than: pl.DataFrame, loss: pl.Expr = ABSOLUTE) -> Significance:
    """Is the loss of the first smaller by more than chance? One-sided.

    Losses of all series are summed period by period, so what hits all of them on a day counts once. Diebold and
    Mariano (1995) with the small-sample correction of Harvey, Leybourne and Newbold (1997); the long-run variance has
    Bartlett weights over one horizon, which cannot become negative. Both frames: columns SCORED.
    """
    pairs = paired(better, than, loss)
    gains = pairs.group_by("ds").agg(gain=(pl.col("error_than") - pl.col("error")).sum()).sort("ds")["gain"].to_numpy()
    horizon = int(better.group_by("fold").agg(pl.col("ds").n_unique())["ds"].max() or 1)  # type: ignore[arg-type]
    periods = len(gains)
    if periods < 2 or not gains.any():
        return Significance(0.0, 1.0, periods)
    shrink = max(periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods, 0.0) / periods
    error = math.sqrt(_long_run_variance(gains, horizon) / periods)
    statistic = math.sqrt(shrink) * float(gains.mean()) / error if error else math.copysign(math.inf, gains.mean())
    from scipy.stats import t

    return Significance(statistic, float(t.sf(statistic, periods - 1)), periods)


def _long_run_variance(gains: npt.NDArray[np.float64], horizon: int) -> float:
    centred = gains - gains.mean()
    lags = range(1, min(horizon, len(gains)))
    own = float(centred @ centred)
    return (own + 2 * sum((1 - lag / horizon) * float(centred[lag:] @ centred[:-lag]) for lag in lags)) / len(gains)


def paired(one: pl.DataFrame, than: pl.DataFrame, loss: pl.Expr = ABSOLUTE) -> pl.DataFrame:
    """Rows of both with the losses error and error_than, and y_than."""
    other = than.select(*_KEY, y_than="y", error_than=loss)
    return one.with_columns(error=loss).join(other, on=_KEY)


def noise_share(scored: pl.DataFrame) -> float:
    """The absolute error as a share of what noise alone would leave; about 1 for the best that can be had.

    Noise: the difference to the same series a week before, over √2, as two noisy values differ by √2 of one's noise.
    NaN where no two weeks were scored, or nothing ever moved.
    """
    before = scored.select("tenant_id", "level", "unique_id", pl.col("ds").dt.offset_by(f"{_WEEK}d"), y_before="y")
    pairs = scored.join(before, on=_KEY)
    noise = float((pairs["y"] - pairs["y_before"]).abs().sum()) / math.sqrt(2)
    return float((pairs["y"] - pairs["mean"]).abs().sum()) / noise if noise else math.nan


def with_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that have bounds, and a scale to judge them by."""
    return rows.filter(pl.col("scale") > 0).drop_nulls(BOUNDS)
