"""Retrain one forecast level of one tenant."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from mercurios import charts
from mercurios.forecasting import (
    Backtest,
    FittedLevel,
    LevelSpec,
    Split,
    backtest,
    fit_part,
    score_windows,
    split_series,
)
from mercurios.forecasting.candidates import build, describe
from mercurios.forecasting.fitted import LOADER
from mercurios.jobs.retrain.desk import Desk, Entry, Record
from mercurios.jobs.retrain.promotion import Contest, Verdict, find_incumbent, judge, with_incumbent
from mercurios.jobs.retrain.report import LevelScore
from mercurios.progress import track
from mercurios.registry import ModelVersion

SALES: Mapping[str, str] = {
    "category": (
        "select category as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by category, sold_on"
    ),
    "branch": (
        "select cast(branch as varchar) as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by branch, sold_on"
    ),
}
_SHOWN_DAYS = 126


@dataclass(frozen=True)
class LevelResult:
    """Score, rows of the table `forecasts` without the tenant, and a chart of the series that sells most."""

    score: LevelScore
    rows: pl.DataFrame
    png: bytes


@dataclass(frozen=True)
class _Trial:
    """A level that was put to the test."""

    level: str
    spec: LevelSpec
    split: Split
    modelled: Backtest
    tail: Backtest
    verdict: Verdict

    def fit(self, name: str) -> FittedLevel:
        """The level forecast by one contender, its tail by the tail's method."""
        modelled = fit_part(self.split.modelled, self.modelled, name)
        if self.split.tail.rows.is_empty():
            return FittedLevel((modelled,))
        # The tail has intervals from its own errors; where it had no past to err in, it borrows the others'.
        return FittedLevel((modelled, fit_part(self.split.tail, self.tail, self.spec.tail, fallback=modelled.bands)))

    def entry(self, name: str) -> Entry:
        """One contender, fitted, for the registry."""
        return Entry(self.fit(name).save, LOADER, describe(self.modelled.candidates[name]))


def retrain_level(desk: Desk, level: str, spec: LevelSpec) -> LevelResult:
    """Backtest every candidate, promote the best, forecast with it.

    Raises SeriesTooShort when no series of the level has history enough.
    """
    started = time.perf_counter()
    split = split_series(desk.frame(SALES[level]), spec.rules, until=desk.until)
    kind = f"forecast.{level}"
    known = find_incumbent(desk.registry, f"{desk.session.tenant_id}.{kind}", build)
    contenders, incumbent = with_incumbent(spec.candidates, known)
    with track(f"retrain {desk.session.tenant_id} {kind}", unit="models", total=len(contenders) + 1) as advance:
        modelled = backtest(split.modelled, contenders, horizon=spec.horizon, folds=spec.folds, on_done=advance)
        tail_method = {spec.tail: spec.candidates[spec.tail]}
        tail = score_windows(split.tail, tail_method, horizon=spec.horizon, folds=spec.folds)
        wapes = {score.name: score.wape for score in modelled.scores}
        trial = _Trial(level, spec, split, modelled, tail, judge(wapes, Contest("WAPE", spec.baseline, incumbent)))
        forecast = trial.fit(trial.verdict.champion).forecast(spec.horizon)
        png = _drawn(desk, trial, forecast)
        seconds = time.perf_counter() - started
        version = desk.record(kind, _record(desk, trial, png, seconds), trial.verdict, trial.entry)
        advance(1)
    return LevelResult(_score(trial, version, seconds), _rows(trial, forecast, version), png)


def _rows(trial: _Trial, forecast: pl.DataFrame, version: ModelVersion) -> pl.DataFrame:
    return forecast.rename({"unique_id": "key", "candidate": "model"}).with_columns(
        level=pl.lit(trial.level),
        model_version=pl.lit(str(version.version)),
        cutoff=pl.lit(trial.split.modelled.cutoff),
    )


def _record(desk: Desk, trial: _Trial, png: bytes, seconds: float) -> Record:
    best, baseline = (trial.modelled.score(name) for name in (trial.verdict.champion, trial.spec.baseline))
    split = trial.split
    metrics = {
        "wape": best.wape,
        "baseline_wape": baseline.wape,
        "skill": 1 - best.wape / baseline.wape,
        "bias": best.bias,
        "coverage80": best.coverage80,
        "coverage95": best.coverage95,
        "tail_coverage80": trial.tail.score(trial.spec.tail).coverage80,
        "series": len(split.modelled.keys),
        "tail_series": len(split.tail.keys),
        "dormant_series": len(split.dormant),
        "share_modelled": split.share_modelled(),
        "seconds": seconds,
        **{f"wape.{score.name}": score.wape for score in trial.modelled.scores},
    }
    spec = trial.spec.model_dump(mode="json", exclude={"candidates"})
    champion = trial.modelled.candidates[trial.verdict.champion]
    params = {name: str(value) for name, value in {**spec, **describe(champion)["params"]}.items()}
    tables = {"backtest": pl.DataFrame(trial.modelled.scores), "dormant": pl.DataFrame({"key": list(split.dormant)})}
    labels = charts.Labels(f"{desk.session.tenant_id}: {trial.level}", unit="WAPE", locale=desk.locale)
    bars = tables["backtest"].select("name", value="wape")
    chart = charts.backtest_chart(bars, labels, baseline=trial.spec.baseline)
    pictures = {"backtest.png": charts.to_png(chart, locale=desk.locale), "forecast.png": png}
    return Record(
        {**params, "champion": champion.name, "cutoff": str(split.modelled.cutoff)}, metrics, tables, pictures
    )


def _drawn(desk: Desk, trial: _Trial, forecast: pl.DataFrame) -> bytes:
    panel = trial.split.modelled
    rows = panel.rows.filter("is_open", pl.col("ds") > panel.last_period - timedelta(days=_SHOWN_DAYS))
    key = (
        rows.group_by("unique_id").agg(pl.col("y").sum()).sort(["y", "unique_id"], descending=[True, False]).item(0, 0)
    )
    score = trial.modelled.score(trial.verdict.champion)
    labels = charts.Labels(
        f"{desk.session.tenant_id}: {trial.level} {key}",
        unit=desk.currency,
        subtitle=f"{score.name}, WAPE {score.wape:.3f}",
        locale=desk.locale,
    )
    one = pl.col("unique_id") == key
    return charts.to_png(charts.forecast_chart(rows.filter(one), forecast.filter(one), labels), locale=desk.locale)


def _score(trial: _Trial, version: ModelVersion, seconds: float) -> LevelScore:
    best, baseline = (trial.modelled.score(name) for name in (trial.verdict.champion, trial.spec.baseline))
    return LevelScore(
        level=trial.level,
        model=trial.modelled.candidates[best.name].name,
        version=version.version,
        wape=best.wape,
        baseline=baseline.name,
        baseline_wape=baseline.wape,
        bias=best.bias,
        coverage80=best.coverage80,
        coverage95=best.coverage95,
        series=len(trial.split.modelled.keys),
        tail=len(trial.split.tail.keys),
        dormant=trial.split.dormant,
        share_modelled=trial.split.share_modelled(),
        reason=version.reason,
        seconds=seconds,
    )
