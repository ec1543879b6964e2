"""Rolling backtest: every candidate forecasts the same past windows, knowing only what lay before them.

trial = backtest(panel, {"AutoETS": AutoETS(season_length=7), …}, Windows(horizon=28, folds=4))
trial.best().name
trial.score("SeasonalNaive").wape
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mercurios.errors import ModelError, SeriesTooShort
from mercurios.forecasting.candidates import Candidate, future
from mercurios.forecasting.ensembles import Ensemble
from mercurios.forecasting.holidays import near_holiday
from mercurios.forecasting.intervals import BOUNDS, banded, spreads
from mercurios.forecasting.scores import bias, coverage, naive_errors, rmsse, scaled_quantile_loss, wape
from mercurios.forecasting.series import Panel

LONGEST = 366
"""Periods ahead beyond which no forecast is made."""
ALL_CLASSES = "all"
"""What `Backtest.table` calls all demand classes together."""
_KNOWN = ("unique_id", "ds", "fold", "y", "spread", "floor", "demand_class", "naive_mae", "naive_mse")
"""What is known of a scored period before anybody forecasts it."""


@dataclass(frozen=True)
class Windows:
    """The last `folds` windows of `horizon` periods each are scored; they do not overlap and end with the series.

    calibration: windows before them, whose errors the intervals learn from; series need not reach so far back.
    """

    horizon: int
    folds: int
    calibration: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= LONGEST:
            raise ModelError(f"horizon {self.horizon}: expected 1 to {LONGEST} periods")
        if self.folds < 1 or self.calibration < 0:
            raise ModelError(f"{self.folds} windows to score and {self.calibration} before: expected at least 1 and 0")

    @property
    def all(self) -> int:
        """How many forecasts are made."""
        return self.folds + self.calibration


@dataclass(frozen=True)
class CandidateScore:
    """One candidate over the scored windows; fractions, and the last two scaled by what a season differs from the next.

    fold_wapes: oldest window first. coverage80 and coverage95: with intervals made from the windows before, so without
    calibration windows the oldest only lends its errors. seconds: wall time; members of ensembles count for themselves.
    """

    name: str
    wape: float
    bias: float
    coverage80: float
    coverage95: float
    fold_wapes: tuple[float, ...]
    seconds: float
    rmsse: float
    scaled_quantile_loss: float


@dataclass(frozen=True)
class Backtest:
    """Candidates by name, their scores in the same order, and what they rest on.

    scored: one row per (candidate, unique_id, ds); fold (0 is the oldest that is scored, those before it only
    calibrate), y, mean, lo80, hi80, lo95, hi95, near_holiday, spread, floor, demand_class,
    naive_mae, naive_mse. No closed periods.
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

    def table(self) -> pl.DataFrame:
        """One row per method and demand class, ALL_CLASSES first: observations, and the measures of a score."""
        rows = []
        for name in self.candidates:
            scored = self.scored_by(name).filter(pl.col("fold") >= 0)
            classes = scored.partition_by("demand_class", as_dict=True)
            parts = {ALL_CLASSES: scored, **{str(key): part for (key,), part in sorted(classes.items())}}
            rows += [
                {"method": name, "demand_class": key, "observations": part.height, **_measures(part)}
                for key, part in parts.items()
            ]
        return pl.DataFrame(rows, infer_schema_length=None)


def backtest(
    panel: Panel,
    candidates: Mapping[str, Candidate],
    windows: Windows,
    *,
    on_done: Callable[[int], None] = lambda done: None,
) -> Backtest:
    """Score the last windows.

    on_done: called with 1 after each candidate.
    Raises SeriesTooShort, naming the series, below horizon * (folds + 1) periods, more where an ensemble looks back.
    """
    needed = _Rolling.of(panel, windows.horizon, candidates.values(), windows.folds).windows
    _require_length(panel, windows.horizon * (max(needed.values()) + 1))
    return score_windows(panel, candidates, windows, on_done=on_done)


def score_windows(
    panel: Panel,
    candidates: Mapping[str, Candidate],
    windows: Windows,
    *,
    on_done: Callable[[int], None] = lambda done: None,
) -> Backtest:
    """As `backtest`, for series of any length: one counts in the windows that lie after its first sale."""
    rolling = _Rolling.of(panel, windows.horizon, candidates.values(), windows.all)
    truth = _truth(panel, rolling.panels(windows.all), windows)
    scores, scored = [], []
    for name, candidate in candidates.items():
        started = time.perf_counter()
        rows = banded(_match(name, rolling.forecasts(candidate)[-windows.all :], truth)).sort("unique_id", "ds")
        scores.append(_score(name, rows, windows.folds, time.perf_counter() - started))
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


def _truth(panel: Panel, panels: Sequence[Panel], windows: Windows) -> pl.DataFrame:
    parts = []
    for fold, known in enumerate(panels, start=-windows.calibration):
        window = future(known, windows.horizon).join(panel.rows.filter("is_open"), on=["unique_id", "ds"])
        for told_of in (spreads(known), naive_errors(known)):
            window = window.join(told_of, on="unique_id", how="left")
        parts.append(window.with_columns(fold=pl.lit(fold)))
    told = pl.concat(parts).select(*_KNOWN)
    return told.with_columns(near_holiday=near_holiday(panel, told["ds"]))


@dataclass(frozen=True)
class _Rolling:
    """Forecasts of past windows, each made once, whoever asks for them: a candidate or an ensemble it is part of."""

    panel: Panel
    horizon: int
    windows: Mapping[Candidate, int]
    made: dict[Candidate, list[pl.DataFrame]]

    @classmethod
    def of(cls, panel: Panel, horizon: int, candidates: Iterable[Candidate], folds: int) -> "_Rolling":
        """For the last `folds` windows, and for members as many more as their ensembles look back."""
        windows: dict[Candidate, int] = {}
        waiting = [(candidate, folds) for candidate in candidates]
        for candidate, wanted in waiting:
            windows[candidate] = max(wanted, windows.get(candidate, 0))
            if isinstance(candidate, Ensemble):
                waiting += [(member, wanted + candidate.lookback) for member in candidate.members]
        return cls(panel, horizon, windows, {})

    def panels(self, windows: int) -> list[Panel]:
        """The panel as it was before each of the last windows, oldest first."""
        return [self.panel.before(self.horizon * back) for back in range(windows, 0, -1)]

    def forecasts(self, candidate: Candidate) -> list[pl.DataFrame]:
        """One forecast per window, oldest first."""
        if candidate not in self.made:
            windows = self.windows[candidate]
            if isinstance(candidate, Ensemble):
                known = windows + candidate.lookback
                members = [self.forecasts(member)[-known:] for member in candidate.members]
                self.made[candidate] = candidate.combine(members, self.panels(known))
            else:
                self.made[candidate] = candidate.roll(self.panels(windows), self.horizon)
        return self.made[candidate]


def _match(name: str, forecasts: Sequence[pl.DataFrame], truth: pl.DataFrame) -> pl.DataFrame:
    rows = truth.join(pl.concat(forecasts), on=["unique_id", "ds"], how="left", validate="1:1")
    lost = rows.filter(pl.col("mean").is_null() | pl.col("mean").is_nan())
    if not lost.is_empty():
        key, ds = lost.select("unique_id", "ds").row(0)
        raise ModelError(f"{name} gave no forecast for series {key!r} on {ds} ({lost.height} rows in all)")
    return rows.select(
        pl.lit(name).alias("candidate"),
        *_KNOWN,
        "near_holiday",
        mean=pl.max_horizontal("mean", "floor"),
    )


def _score(name: str, rows: pl.DataFrame, folds: int, seconds: float) -> CandidateScore:
    windows = [rows.filter(pl.col("fold") == fold) for fold in range(folds)]
    return CandidateScore(
        name=name,
        fold_wapes=tuple(wape(window["y"], window["mean"]) for window in windows),
        seconds=seconds,
        **_measures(rows.filter(pl.col("fold") >= 0)),
    )


def _measures(scored: pl.DataFrame) -> dict[str, float]:
    judged = scored.drop_nulls(BOUNDS)
    return {
        "wape": wape(scored["y"], scored["mean"]),
        "bias": bias(scored["y"], scored["mean"]),
        "rmsse": rmsse(scored),
        "scaled_quantile_loss": scaled_quantile_loss(judged),
        "coverage80": coverage(judged["y"], judged["lo80"], judged["hi80"]),
        "coverage95": coverage(judged["y"], judged["lo95"], judged["hi95"]),
    }
