"""Retrain one forecast level of one tenant."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl

from mercurios import charts
from mercurios.forecasting import LevelSpec, backtest, score_windows
from mercurios.forecasting.backtest import ALL_CLASSES
from mercurios.forecasting.candidates import describe
from mercurios.forecasting.gate import Decision, GateRules, decide
from mercurios.jobs.retrain.choice import CHOSEN_ON, Choice, compared, standing
from mercurios.jobs.retrain.coherent import Base
from mercurios.jobs.retrain.desk import Desk, Entry, Record
from mercurios.jobs.retrain.promotion import Contest, Verdict, gated, judge
from mercurios.jobs.retrain.report import LevelScore
from mercurios.jobs.retrain.trial import Trial, split_sales
from mercurios.progress import track
from mercurios.registry import CHALLENGER, CHAMPION, ModelVersion

GATE = "gate"
"""Tag of a version and table of a run: what the gate said, a line per check."""
SALES: Mapping[str, str] = {
    "total": (
        "select 'total' as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by sold_on"
    ),
    "department": (
        "select department as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by department, sold_on"
    ),
    "category": (
        "select category as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by category, sold_on"
    ),
    "product_type": (
        "select product_type as key, sold_on, cast(sum(gross_amount) as double) as revenue"
        " from marts.fct_sale_lines group by product_type, sold_on"
    ),
    "branch_department": (
        "select cast(branch as varchar) || '/' || department as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by branch, department, sold_on"
    ),
    "branch": (
        "select cast(branch as varchar) as key, sold_on, cast(sum(revenue) as double) as revenue"
        " from marts.mart_sales_daily group by branch, sold_on"
    ),
}
_SHOWN_DAYS = 126


@dataclass(frozen=True)
class LevelResult:
    """Score, what the champion forecasts alone, and a chart of the series that sells most.

    backtest: see `Trial.backtest_rows`. shadow: rows of the challenger; none where there is none.
    """

    score: LevelScore
    backtest: pl.DataFrame
    base: Base
    shadow: pl.DataFrame
    png: bytes


def retrain_level(desk: Desk, level: str, spec: LevelSpec, rules: GateRules, *, why: str | None = "") -> LevelResult:
    """Backtest every candidate, put who is new at the top to the gate, forecast with the champion.

    why: what made the methods be compared, told with the champion; None when they are not, and the champion and its
    shadow are fitted anew. A champion that no longer beats the baseline is compared all the same.
    Raises SeriesTooShort when no series of the level has history enough.
    """
    started = time.perf_counter()
    sales = desk.frame(SALES[level])
    split = split_sales(sales, level, spec, desk)
    kind = f"forecast.{level}"
    name = f"{desk.session.tenant_id}.{kind}"
    stands = standing(desk.registry, name, spec) if why is None else None
    choice = stands or compared(desk.registry, name, spec, on=split.modelled.cutoff)
    with track(f"retrain {name}", unit="models", total=len(choice.contenders) + 1) as advance:
        modelled = backtest(split.modelled, choice.contenders, spec.windows, on_done=advance)
        tail_method = {spec.tail: spec.candidates[spec.tail]}
        tail = score_windows(split.tail, tail_method, spec.windows)
        trial = Trial(desk, level, spec, sales, split, modelled, tail)
        outcome = _stands(trial, choice) if stands else _judged(trial, choice, rules, why or "")
        if outcome is not None:
            png = _drawn(desk, trial, outcome)
            seconds = time.perf_counter() - started
            registered = desk.record(
                kind, _record(desk, trial, outcome, png, seconds), outcome.verdict, _entry(trial, choice, outcome)
            )
        advance(1)
    if outcome is None:
        return retrain_level(desk, level, spec, rules, why="the champion no longer beats the baseline")
    name = outcome.verdict.champion
    rows = _rows(trial, name, registered.champion)
    shadow = rows.clear()
    if outcome.verdict.challenger and registered.challenger:
        shadow = _rows(trial, outcome.verdict.challenger, registered.challenger)
    base = Base(rows, trial.windows(name))
    score = _score(trial, outcome, registered.champion, seconds)
    return LevelResult(score, _backtest_rows(trial, outcome.verdict), base, shadow, png)


@dataclass(frozen=True)
class _Outcome:
    """Who predicts and who shadows, and what the gate said of the one that wanted to; None when nobody came to it."""

    verdict: Verdict
    tried: str = ""
    decision: Decision | None = None


def _judged(trial: Trial, choice: Choice, rules: GateRules, why: str) -> _Outcome:
    contest = Contest("WAPE", trial.spec.baseline, choice.champion)
    values = {score.name: score.wape for score in trial.modelled.scores}
    verdict = judge(values, contest)
    if why:
        verdict = replace(verdict, reason=f"{verdict.reason}; compared because {why}")
    best, incumbent = verdict.champion, contest.incumbent
    if best in {contest.baseline, incumbent}:
        return _Outcome(verdict)
    champion = trial.measured(incumbent) if incumbent and not math.isnan(values[incumbent]) else None
    decision = decide(trial.evidence(best), champion, rules)
    return _Outcome(gated(verdict, decision, values, contest), best, decision)


def _stands(trial: Trial, choice: Choice) -> _Outcome | None:
    """Champion and shadow as they are; None when the champion does not beat the baseline any more."""
    assert choice.champion is not None
    champion, baseline = (trial.modelled.score(name) for name in (choice.champion, trial.spec.baseline))
    if champion.name != baseline.name and not champion.wape < baseline.wape:
        return None
    since = f"methods were compared on {choice.tags.get(CHOSEN_ON, 'an unknown day')}"
    told = f"{champion.name} (WAPE {champion.wape:.4f}) fitted anew; {since}"
    return _Outcome(Verdict(champion.name, told, choice.challenger, f"shadows on; {since}"))


def _entry(trial: Trial, choice: Choice, outcome: _Outcome) -> Callable[[str], Entry]:
    def entry(name: str) -> Entry:
        gate = {GATE: outcome.decision.told} if outcome.decision and name == outcome.tried else {}
        return trial.entry(name, {**choice.tags, **gate}, choice.windows.get(name))

    return entry


def _rows(trial: Trial, name: str, version: ModelVersion) -> pl.DataFrame:
    return trial.rows(name).with_columns(model_version=pl.lit(str(version.version)))


def _record(desk: Desk, trial: Trial, outcome: _Outcome, png: bytes, seconds: float) -> Record:
    name = outcome.verdict.champion
    best, baseline = (trial.modelled.score(one) for one in (name, trial.spec.baseline))
    split = trial.split
    metrics = {
        "wape": best.wape,
        "baseline_wape": baseline.wape,
        "skill": 1 - best.wape / baseline.wape if baseline.wape else 0.0,
        "bias": best.bias,
        "rmsse": best.rmsse,
        "scaled_quantile_loss": best.scaled_quantile_loss,
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
    champion = trial.modelled.candidates[name]
    params = {name: str(value) for name, value in {**spec, **describe(champion)["params"]}.items()}
    scores = _backtest_rows(trial, outcome.verdict)
    tables = {"backtest": scores, "dormant": pl.DataFrame({"key": list(split.dormant)}), **_gate_table(outcome)}
    labels = charts.Labels(f"{desk.session.tenant_id}: {trial.level}", unit="WAPE", locale=desk.locale)
    bars = scores.filter(demand_class=ALL_CLASSES).select(name="method", value="wape")
    chart = charts.backtest_chart(bars, labels, baseline=trial.spec.baseline)
    pictures = {"backtest.png": charts.to_png(chart, locale=desk.locale), "forecast.png": png}
    return Record(
        {**params, "champion": champion.name, "cutoff": str(split.modelled.cutoff)}, metrics, tables, pictures
    )


def _backtest_rows(trial: Trial, verdict: Verdict) -> pl.DataFrame:
    roles = {trial.spec.baseline: "baseline", verdict.champion: CHAMPION}
    return trial.backtest_rows({verdict.challenger: CHALLENGER, **roles} if verdict.challenger else roles)


def _gate_table(outcome: _Outcome) -> dict[str, pl.DataFrame]:
    if outcome.decision is None:
        return {}
    return {GATE: pl.DataFrame(outcome.decision.checks).with_columns(contender=pl.lit(outcome.tried))}


def _drawn(desk: Desk, trial: Trial, outcome: _Outcome) -> bytes:
    forecast = trial.made_by(outcome.verdict.champion).forecast
    panel = trial.split.modelled
    rows = panel.rows.filter("is_open", pl.col("ds") > panel.last_period - timedelta(days=_SHOWN_DAYS))
    key = (
        rows.group_by("unique_id").agg(pl.col("y").sum()).sort(["y", "unique_id"], descending=[True, False]).item(0, 0)
    )
    score = trial.modelled.score(outcome.verdict.champion)
    labels = charts.Labels(
        f"{desk.session.tenant_id}: {trial.level} {key}",
        unit=desk.currency,
        subtitle=f"{score.name}, WAPE {score.wape:.3f}",
        locale=desk.locale,
    )
    one = pl.col("unique_id") == key
    return charts.to_png(charts.forecast_chart(rows.filter(one), forecast.filter(one), labels), locale=desk.locale)


def _score(trial: Trial, outcome: _Outcome, version: ModelVersion, seconds: float) -> LevelScore:
    best, baseline = (trial.modelled.score(name) for name in (outcome.verdict.champion, trial.spec.baseline))
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
