"""Monitors of one level: learnt from its backtest, they watch kept forecasts as the truth arrives.

    monitor = learn(windows, level="branch", grain=Grain.DAY)
    watch(monitor, kept)        # Alarms of the level as a whole, then of its series

A fortnight of a series is one number: its errors on average, each in half widths of its 80 % interval and in what such
an error usually is. What all series of a level have in common is a number as well, and is taken out of theirs: a
holiday everybody missed is one alarm instead of a hundred. A number is held against the fortnights of the backtest; how
far out an alarm begins is told by the tail of those, each measured without the window it lies in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.drift.usual import DAYS, Alarm, DriftRules, Usual, Vector
from mercurios.forecasting.series import Grain

_WINDOWS = ("unique_id", "ds", "fold", "y", "mean", "lo80", "hi80", "demand_class")
_KEPT = ("unique_id", "ds", "cutoff", "y", "mean", "lo80", "hi80")
_LEAST_SERIES = 5  # with fewer, nothing is said to be common to all
_PRIOR_BLOCKS = 16
_OFTEN_SOLD = ("smooth", "erratic")
_MOST = 5.0  # times the usual error that one day counts, at most, where a shift moves every day
_LEAST_TAIL, _TAIL_SHARE = 200, 0.05


@dataclass(frozen=True)
class Monitor:
    """What is usual for one level; made by `learn`.

    series: unique_id, demand_class, noise (the usual error of a period, in half widths), centre and sd of its
    fortnights. limit: in those. common, outside: what its series have in common, and the share of periods outside
    their 80 % intervals; None where too little is known.
    """

    level: str
    grain: Grain
    series: pl.DataFrame
    limit: float
    common: Usual | None
    outside: Usual | None


def learn(windows: pl.DataFrame, *, level: str, grain: Grain, rules: DriftRules | None = None) -> Monitor:
    """Learn from forecasts of past windows of one candidate.

    windows: unique_id, ds, fold, y, mean, lo80, hi80, demand_class, as `Backtest.scored_by` gives them.
    Raises ModelError for missing columns, or fewer than two windows with intervals.
    """
    rules, known = rules or DriftRules(), _required(windows, _WINDOWS).drop_nulls("hi80")
    if (folds := known["fold"].n_unique()) < 2:
        raise ModelError(
            f"level {level}: expected two windows with intervals to learn from, got {folds}; "
            "ask the backtest for more folds or calibration windows"
        )
    number = ((pl.col("ds") - pl.col("ds").min().over("fold")).dt.total_days() // DAYS).alias("number")
    blocks, keys = (
        _blocks(known.with_columns(number), _noise(known), ["fold", "number"], grain),
        len(known["unique_id"].unique()),
    )
    whole = blocks.group_by("fold", "number").agg(pl.col("common").first(), pl.col("outside").mean())
    common, outside = (whole.sort("fold", "number")[name].to_numpy() for name in ("common", "outside"))
    series, limit = _series(blocks, rules.chance("series"))
    return Monitor(
        level,
        grain,
        series,
        limit,
        Usual.of(common, rules.chance("level", keys), freedom=folds),
        Usual.of(outside, rules.chance("coverage", keys), freedom=folds, sides=1),
    )


def watch(monitor: Monitor, kept: pl.DataFrame) -> tuple[Alarm, ...]:
    """Alarms about the last fortnight, of the level as a whole first.

    kept: unique_id, ds, cutoff, y, mean, lo80, hi80 of open periods whose truth is known; of several forecasts of a
    period the youngest made before the fortnight counts, so nothing is said before a whole fortnight is over. Series
    that the backtest did not hold are left to the inputs. Raises ModelError for missing columns.
    """
    last = _fortnight(_required(kept, _KEPT), monitor)
    blocks = _blocks(last, monitor.series.select("unique_id", "noise", "demand_class"), [], monitor.grain)
    if blocks.is_empty():
        return ()
    until = last["ds"].max()
    assert isinstance(until, date)
    until += timedelta(days=monitor.grain.days - 1)
    usual = monitor.series.select("unique_id", "centre", "sd")
    scores = blocks.join(usual, on="unique_id").with_columns(score=(pl.col("own") - pl.col("centre")) / pl.col("sd"))
    drifting = scores.filter(pl.col("score").abs() > monitor.limit).sort("unique_id")
    alarms = [
        Alarm(
            "residuals", monitor.level, key, until, score, monitor.limit, f"{monitor.level} {key}: {_sold(sold, mean)}"
        )
        for key, sold, mean, score in drifting.select("unique_id", "sold", "forecast", "score").rows()
    ]
    return (*_of_level(monitor, blocks, until), *alarms)


def due(alarms: tuple[Alarm, ...], kept: pl.DataFrame, rules: DriftRules | None = None) -> str:
    """Why the method of a level should be chosen anew: a whole level in alarm, or series that hold much of its sales.

    kept: as `watch` takes it. Returns an empty string when there is no reason.
    """
    rules = rules or DriftRules()
    of_level = next((alarm.told for alarm in alarms if alarm.unique_id is None), "")
    if of_level or not alarms:
        return of_level
    latest = kept.unique(["unique_id", "ds"])
    sold = float(latest["y"].abs().sum())
    keys = [alarm.unique_id for alarm in alarms]
    share = float(latest.filter(pl.col("unique_id").is_in(keys))["y"].abs().sum()) / sold if sold else 0.0
    return f"{len(alarms)} series with {share:.0%} of the sales drift, {alarms[0].told}" if share >= rules.sales else ""


def _required(rows: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    if missing := [name for name in columns if name not in rows.columns]:
        raise ModelError(f"drift is told from {', '.join(columns)}; missing {', '.join(missing)}")
    return rows


def _noise(known: pl.DataFrame) -> pl.DataFrame:
    """How far a period of each series usually is off, in half widths: unique_id, noise, demand_class."""
    off = (pl.col("y") - pl.col("mean")).abs() / pl.col("half")
    last = pl.col("demand_class").sort_by("ds").last()
    return _halved(known).group_by("unique_id").agg(last, noise=off.mean()).filter(pl.col("noise") > 0)


def _halved(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(half=(pl.col("hi80") - pl.col("lo80")) / 2).filter(pl.col("half") > 0)


def _blocks(rows: pl.DataFrame, noise: pl.DataFrame, by: list[str], grain: Grain) -> pl.DataFrame:
    """One row per series and block of time: error, its part in common with the others and its own, share outside."""
    error = (pl.col("y") - pl.col("mean")) / pl.col("half") / pl.col("noise")
    clipped = pl.col("demand_class").is_in(_OFTEN_SOLD) & (grain is Grain.DAY)
    error = pl.when(clipped).then(error.clip(-_MOST, _MOST)).otherwise(error)
    blocks = (
        _halved(rows.drop("demand_class", strict=False))
        .join(noise, on="unique_id")
        .group_by("unique_id", *by)
        .agg(
            pl.col("demand_class", "noise").first(),
            error=error.mean() * pl.len().sqrt(),
            outside=(~pl.col("y").is_between("lo80", "hi80")).mean(),
            sold=pl.col("y").sum(),
            forecast=pl.col("mean").sum(),
        )
    )
    common = pl.when(pl.len() >= _LEAST_SERIES).then(pl.col("error").median()).otherwise(0.0)
    blocks = blocks.with_columns(common=common.over(by) if by else common)
    return blocks.with_columns(own=pl.col("error") - pl.col("common")).sort("unique_id", *by)


def _series(blocks: pl.DataFrame, chance: float) -> tuple[pl.DataFrame, float]:
    """What the fortnights of each series are like, and how many of its standard deviations are too many."""
    own, series, fold = pl.col("own"), "unique_id", ["unique_id", "fold"]
    others = pl.len().over(series) - pl.len().over(fold)
    centre = (own.sum().over(series) - own.sum().over(fold)) / others
    square = (own**2).sum().over(series) - (own**2).sum().over(fold)
    rest = blocks.select("own", "demand_class", n=others, centre=centre, variance=square / others - centre**2)
    scores = rest.select(score=(own - pl.col("centre")).abs() / _shrunk())["score"]
    told = blocks.group_by(series, "demand_class", "noise").agg(n=pl.len(), centre=own.mean(), variance=own.var(ddof=0))
    told = told.with_columns(sd=_shrunk()).filter(pl.col("sd") > 0).sort(series)
    blocks_each = blocks.height // max(1, told.height)
    return told, _limit(scores.filter(scores.is_finite()).to_numpy(), chance, max(1, blocks_each - 1))


def _shrunk() -> pl.Expr:
    """Standard deviation of a fortnight: of the series, and as if so many more fortnights were those of its class."""
    usual = pl.col("variance").median().over("demand_class")
    own, n = pl.col("variance"), pl.col("n")
    return ((n * own + _PRIOR_BLOCKS * usual) / (n + _PRIOR_BLOCKS) * (1 + 1 / n)).sqrt()


def _limit(scores: Vector, chance: float, freedom: int) -> float:
    """Student's t and what was seen; of many scores, a generalised Pareto tail past their 95 % (Pickands 1975)."""
    from scipy.stats import genpareto, t

    if len(scores) < _LEAST_TAIL:
        return float(max(t.isf(chance / 2, freedom), *scores, 0.0))
    begin = float(np.quantile(scores, 1 - _TAIL_SHARE))
    beyond = scores[scores > begin] - begin
    shape, _, scale = genpareto.fit(beyond, floc=0)
    if shape < 0:  # a tail that ends has only been looked at too shortly
        shape, scale = 0.0, float(beyond.mean())
    return begin + float(genpareto.isf(chance / _TAIL_SHARE, shape, scale=scale))


def _fortnight(kept: pl.DataFrame, monitor: Monitor) -> pl.DataFrame:
    """The periods of the last fortnight, each as forecast before it began."""
    if kept.is_empty():
        return kept
    last = kept["ds"].max()
    assert isinstance(last, date)
    begin = last + timedelta(days=monitor.grain.days - DAYS)
    rows = kept.filter(pl.col("ds") >= begin, pl.col("cutoff") < begin, pl.col("hi80").is_not_null())
    return rows.filter(pl.col("cutoff") == pl.col("cutoff").max().over("unique_id", "ds"))


def _of_level(monitor: Monitor, blocks: pl.DataFrame, until: date) -> Iterator[Alarm]:
    common, outside, sold, mean = blocks.select(
        pl.col("common").first(), pl.col("outside").mean(), pl.col("sold").sum(), pl.col("forecast").sum()
    ).row(0)
    if monitor.common and abs(score := monitor.common.score(common)) > monitor.common.limit:
        told = f"{monitor.level} as a whole: {_sold(sold, mean)}"
        yield Alarm("residuals", monitor.level, None, until, score, monitor.common.limit, told)
    if monitor.outside and (score := monitor.outside.score(outside)) > monitor.outside.limit:
        told = (
            f"{monitor.level}: {outside:.0%} lay outside of the 80 % intervals, usually {monitor.outside.mean:.0%} do"
        )
        yield Alarm("coverage", monitor.level, None, until, score, monitor.outside.limit, told)


def _sold(sold: float, forecast: float) -> str:
    return f"sold {sold:,.0f} in the {DAYS} days, {forecast:,.0f} was forecast"
