"""Rolling backtest: every candidate forecasts the same past windows, knowing only what lay before them.

trial = backtest(panel, {"AutoETS": AutoETS(season_length=7), …}, horizon=28, folds=4)
trial.best().name
trial.score("SeasonalNaive").wape
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mercurios.errors import ModelError, SeriesTooShort
from mercurios.forecasting.candidates import Candidate, MedianEnsemble, future
from mercurios.forecasting.intervals import BOUNDS, calibrate, spreads
from mercurios.forecasting.scores import bias, coverage, wape
from mercurios.forecasting.series import Panel


@dataclass(frozen=True)
class CandidateScore:
    """One candidate over all windows; fractions.

    fold_wapes: oldest window first. coverage80 and coverage95: with intervals made from the windows before, so the
    oldest window only lends its errors. seconds: wall time; the members of an ensemble count for themselves.
    """

    name: str
    wape: float
    bias: float
    coverage80: float
    coverage95: float
    fold_wapes: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Backtest:
    """Candidates by name, their scores in the same order, and what they rest on.

    scored: one row per (candidate, unique_id, ds); fold (0 is the oldest), y, mean, spread, floor. No closed periods.
    """

    candidates: Mapping[str, Candidate]
    scores: tuple[CandidateScore, ...]
    scored: pl.DataFrame

    def score(self, name: str) -> CandidateScore:
        """The score of one candidate; raises ModelError when it was not part of the backtest."""
        for score in self.scores:
            if score.name == name:
                return score
        raise ModelError(f"{name!r} was not in the backtest; it held {', '.join(s.name for s in self.scores)}")

    def best(self) -> CandidateScore:
        """The lowest WAPE; of equals the first, in the order of the candidates."""
        known = [score for score in self.scores if not math.isnan(score.wape)]
        if not known:
            raise ModelError("nothing was sold in any window of the backtest, so no candidate can be told from another")
        return min(known, key=lambda score: score.wape)

    def scored_by(self, name: str) -> pl.DataFrame:
        """The rows of one candidate."""
        return self.scored.filter(pl.col("candidate") == name)


def backtest(
    panel: Panel,
    candidates: Mapping[str, Candidate],
    *,
    horizon: int,
    folds: int,
    on_done: Callable[[int], None] = lambda done: None,
) -> Backtest:
    """Score the last `folds` windows of `horizon` periods each; windows do not overlap.

    on_done: called with 1 after each candidate.
    Raises SeriesTooShort, naming the series, below horizon * (folds + 1) periods.
    """
    _require_length(panel, horizon * (folds + 1))
    return score_windows(panel, candidates, horizon=horizon, folds=folds, on_done=on_done)


def score_windows(
    panel: Panel,
    candidates: Mapping[str, Candidate],
    *,
    horizon: int,
    folds: int,
    on_done: Callable[[int], None] = lambda done: None,
) -> Backtest:
    """As `backtest`, for series of any length: one counts in the windows that lie after its first sale."""
    panels = [panel.before(horizon * back) for back in range(folds, 0, -1)]
    truth = _truth(panel, panels, horizon)
    made: dict[Candidate, list[pl.DataFrame]] = {}
    scores, scored = [], []
    for name, candidate in candidates.items():
        started = time.perf_counter()
        rows = _match(name, _roll(candidate, panels, horizon, made), truth)
        scores.append(_score(name, rows, folds, time.perf_counter() - started))
        scored.append(rows)
        on_done(1)
    return Backtest(dict(candidates), tuple(scores), pl.concat(scored))


def _require_length(panel: Panel, periods: int) -> None:
    short = panel.rows.group_by("unique_id").len().filter(pl.col("len") < periods).sort("unique_id")
    if not short.is_empty():
        key, has = short.row(0)
        raise SeriesTooShort(
            f"series {key!r}: expected at least {periods} periods, got {has} ({short.height} series are too short); "
            "leave them to the tail, or ask for fewer folds or a shorter horizon"
        )


def _truth(panel: Panel, panels: Sequence[Panel], horizon: int) -> pl.DataFrame:
    parts = []
    for fold, known in enumerate(panels):
        window = future(known, horizon).join(panel.rows.filter("is_open"), on=["unique_id", "ds"])
        parts.append(window.join(spreads(known), on="unique_id", how="left").with_columns(fold=pl.lit(fold)))
    return pl.concat(parts).select("unique_id", "ds", "fold", "y", "spread", "floor")


def _roll(
    candidate: Candidate, panels: Sequence[Panel], horizon: int, made: dict[Candidate, list[pl.DataFrame]]
) -> list[pl.DataFrame]:
    if candidate not in made:
        if isinstance(candidate, MedianEnsemble):
            members = [_roll(member, panels, horizon, made) for member in candidate.members]
            made[candidate] = [candidate.combine(window) for window in zip(*members, strict=True)]
        else:
            made[candidate] = candidate.roll(panels, horizon)
    return made[candidate]


def _match(name: str, forecasts: Sequence[pl.DataFrame], truth: pl.DataFrame) -> pl.DataFrame:
    rows = truth.join(pl.concat(forecasts), on=["unique_id", "ds"], how="left", validate="1:1")
    lost = rows.filter(pl.col("mean").is_null() | pl.col("mean").is_nan())
    if not lost.is_empty():
        key, ds = lost.select("unique_id", "ds").row(0)
        raise ModelError(f"{name} gave no forecast for series {key!r} on {ds} ({lost.height} rows in all)")
    return rows.select(
        pl.lit(name).alias("candidate"),
        "unique_id",
        "ds",
        "fold",
        "y",
        "spread",
        "floor",
        mean=pl.max_horizontal("mean", "floor"),
    ).sort("unique_id", "ds")


def _score(name: str, rows: pl.DataFrame, folds: int, seconds: float) -> CandidateScore:
    windows = [rows.filter(pl.col("fold") == fold) for fold in range(folds)]
    judged = pl.concat(
        [_banded(rows.filter(pl.col("fold") < fold), window) for fold, window in enumerate(windows) if fold]
    )
    return CandidateScore(
        name=name,
        wape=wape(rows["y"], rows["mean"]),
        bias=bias(rows["y"], rows["mean"]),
        coverage80=coverage(judged["y"], judged["lo80"], judged["hi80"]),
        coverage95=coverage(judged["y"], judged["lo95"], judged["hi95"]),
        fold_wapes=tuple(wape(window["y"], window["mean"]) for window in windows),
        seconds=seconds,
    )


def _banded(before: pl.DataFrame, window: pl.DataFrame) -> pl.DataFrame:
    spread = window.select("unique_id", "spread", "floor").unique()
    bands = calibrate(before, spread)
    if bands is None:  # nothing was wrong by anything yet, or there was nothing: no interval to be judged
        return (
            window.clear()
            .with_columns(pl.lit(None, pl.Float64).alias(bound) for bound in BOUNDS)
            .drop("spread", "floor")
        )
    return bands.around(window.drop("spread", "floor"), spread)
