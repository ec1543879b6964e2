"""Forecasts beside the methods they have to beat, on the six levels of the Complete Journey.

    python -m benchmarks.forecast            # everything; also writes benchmarks/results/forecast.json
    python -m benchmarks.forecast levels     # one part: levels, m3, scale or stock

WAPE over the last three windows of four weeks, every method fitted before each. Ours is an ensemble whose weights are
made of the windows before, by demand class; its intervals learn from the errors of windows before, too. Mailers and
displays are known for the weeks that are forecast, as a retailer plans them.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from benchmarks import forecast_scale, m3, stock
from benchmarks.forecast_levels import FOLDS, Level, panels
from benchmarks.telling import keep, say
from mercurios.forecasting import Backtest, Grain, Panel, Windows, score_windows
from mercurios.forecasting.boosting import LightGBM
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.candidates import AutoETS, AutoTheta, Candidate, RecentMean, SeasonalNaive
from mercurios.forecasting.direct import DirectLightGBM
from mercurios.forecasting.ensembles import MedianEnsemble, WeightedEnsemble
from mercurios.forecasting.scores import coverage

NAIVE, OURS = "SeasonalNaive", "WeightedEnsemble"
_CALIBRATION = 5


def baselines(grain: Grain) -> dict[str, Candidate]:
    """The columns of the table to beat, as the first release had them."""
    daily = grain is Grain.DAY
    season = 7 if daily else 1
    boosted = (
        LightGBM(
            season_length=7,
            lags=(7, 14, 21, 28),
            rolling_means=(7, 28, 56),
            seasonal_means=(4, 8),
            weekday=True,
        )
        if daily
        else LightGBM(season_length=1, lags=(1, 2, 3, 4), rolling_means=(4, 8, 16))
    )
    ets, theta = AutoETS(season_length=season, model="ANZ" if daily else "ANN"), AutoTheta(season_length=season)
    return {
        NAIVE: SeasonalNaive(season_length=7 if daily else 4),
        "RecentMean": RecentMean(periods=56 if daily else 8),
        "AutoETS": ets,
        "AutoTheta": theta,
        "LightGBM": boosted,
        "MedianEnsemble": MedianEnsemble(members=(ets, theta, boosted)),
    }


def ours(level: Level) -> WeightedEnsemble:
    """Calendar regressions that forget at three speeds, exponential smoothing, and boosting where there is a plan."""
    calendars = tuple(CalendarRegression(half_life=half_life) for half_life in (5.0, 10.0, 28.0))
    smoothing = baselines(level.grain)["AutoETS"]
    planned = (DirectLightGBM(),) if level.promoted else ()
    return WeightedEnsemble(members=(*calendars, smoothing, *planned), folds=3, power=16)


def judge(level: Level, panel: Panel) -> dict[str, Any]:
    """One level: WAPE of every method, ours with its coverage by demand class, seconds of all."""
    began = time.perf_counter()
    rivals = score_windows(panel, baselines(level.grain), Windows(level.horizon, FOLDS))
    trial = score_windows(panel, {OURS: ours(level)}, Windows(level.horizon, FOLDS, _CALIBRATION))
    wapes = {score.name: score.wape for score in rivals.scores}
    score = trial.score(OURS)
    return {
        "wape": score.wape,
        "best_baseline": min(wapes.values()),
        "gain": 1 - score.wape / min(wapes.values()),
        "bias": score.bias,
        "rmsse": score.rmsse,
        "scaled_quantile_loss": score.scaled_quantile_loss,
        "skill": 1 - score.wape / wapes[NAIVE],
        "coverage80": score.coverage80,
        "coverage95": score.coverage95,
        "classes": _by_class(trial),
        "baselines": wapes,
        "windows": score.fold_wapes,
        "seconds": time.perf_counter() - began,
    }


def _by_class(trial: Backtest) -> dict[str, dict[str, float]]:
    judged = trial.scored_by(OURS).filter(pl.col("fold") >= 0)
    return {
        str(name): {
            "coverage80": coverage(rows["y"], rows["lo80"], rows["hi80"]),
            "coverage95": coverage(rows["y"], rows["lo95"], rows["hi95"]),
            "periods": rows.height,
        }
        for (name,), rows in sorted(judged.partition_by("demand_class", as_dict=True).items())
    }


def levels() -> dict[str, Any]:
    """All levels, and the geometric mean of what ours leaves of the seasonal naive's error."""
    say(f"{'level':19}{'naive':>8}{'best':>8}{'ours':>8}{'gain':>8}{'bias':>8}{'80 %':>7}{'95 %':>7}{'s':>6}\n")
    told = {}
    for level, panel in panels():
        told[level.name] = figures = judge(level, panel)
        say(_row(level.name, figures))
    left = [1 - figures["skill"] for figures in told.values()]
    skill = 1 - math.exp(sum(map(math.log, left)) / len(left))
    say(f"skill over the seasonal naive, geometric mean: {skill:.3f}\n")
    return {"levels": told, "skill": skill}


def _row(name: str, figures: Mapping[str, Any]) -> str:
    wapes = f"{figures['baselines'][NAIVE]:8.4f}{figures['best_baseline']:8.4f}{figures['wape']:8.4f}"
    rest = f"{figures['gain']:8.1%}{figures['bias']:8.3f}{figures['coverage80']:7.3f}{figures['coverage95']:7.3f}"
    classes = ", ".join(
        f"{name} {of['coverage80']:.3f} {of['coverage95']:.3f} ({of['periods']})"
        for name, of in figures["classes"].items()
    )
    return f"{name:19}{wapes}{rest}{figures['seconds']:6.0f}\n{'':19}coverage by class: {classes}\n"


def competition() -> dict[str, Any]:
    """The M3 beside Theta."""
    results = m3.run()
    say(m3.summary(results))
    return {"m3": results}


def scale() -> dict[str, Any]:
    """Ten thousand series: trained, forecast and made to add up."""
    results = forecast_scale.run()
    say(forecast_scale.summary(results))
    return {"series_10000_s": results["seconds"], "scale": results}


def orders() -> dict[str, Any]:
    """Stock policies in money at equal fill rate."""
    results = stock.compare()
    say(f"stock: cost at equal fill rate {results['cost_ratio']:.3f} of the better of textbook and newsvendor\n")
    return {"stock": results}


PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "levels": levels,
    "m3": competition,
    "scale": scale,
    "stock": orders,
}


def main() -> None:
    """Run the parts named on the command line, or all and keep their figures."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"unknown part {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    for part in wanted:
        results |= PARTS[part]()
    if not sys.argv[1:]:
        keep("forecast", results)


if __name__ == "__main__":
    main()
