"""Methods that models/forecast.yaml leaves out, beside those it has: is what they find worth their time?

    python -m benchmarks.forecast_methods

Networks on 150 categories by week and 100 stores by day of the Complete Journey, and AutoARIMA, which is slow, on every
fifth of them. WAPE and bias over the last three windows of four weeks; seconds of all three on one core. A network is
trained before the first window only, all others before each.
"""

from collections.abc import Mapping

import polars as pl

from benchmarks.forecast import baselines
from benchmarks.forecast_levels import FOLDS, Level, panels
from benchmarks.telling import say
from mercurios.forecasting import Grain, Panel, Windows, score_windows
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.engine import forecast_each
from mercurios.forecasting.neural import MLP, NHITS

LEVELS = ("stores_daily", "categories_weekly")
EVERY = 5


class AutoARIMA(Candidate, frozen=True):
    """ARIMA with orders chosen by AICc (Hyndman & Khandakar 2008)."""

    season_length: int

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from statsforecast.models import AutoARIMA as Method

        method = Method(season_length=self.season_length)
        return forecast_each(method, panel.rows, every=panel.grain.every, horizon=horizon)


def usual(grain: Grain) -> dict[str, Candidate]:
    """Quick methods that take part in retraining."""
    known = baselines(grain)
    return {name: known[name] for name in ("RecentMean", "AutoETS")} | {"CalendarRegression": CalendarRegression()}


def networks(grain: Grain) -> dict[str, Candidate]:
    """NHITS as it takes part, and the second network."""
    if grain is Grain.DAY:
        return {"NHITS": NHITS(input_size=56, max_steps=300), "MLP": MLP(input_size=56, max_steps=600)}
    return {
        "NHITS": NHITS(input_size=8, max_steps=300, downsample=(2, 1, 1)),
        "MLP": MLP(input_size=8, max_steps=600),
    }


def tell(level: Level, panel: Panel, candidates: Mapping[str, Candidate]) -> None:
    """Score the candidates and print a line for each."""
    trial = score_windows(panel, candidates, Windows(level.horizon, FOLDS))
    say(f"\n{level.name}, {len(panel.keys)} series{'':14}{'WAPE':>8}{'bias':>8}{'seconds':>9}\n")
    for score in trial.scores:
        say(f"{score.name:40}{score.wape:8.4f}{score.bias:+8.3f}{score.seconds:9.1f}\n")


def main() -> None:
    """Print both comparisons on both levels."""
    for level, panel in panels():
        if level.name in LEVELS:
            quick, arima = usual(level.grain), AutoARIMA(season_length=7 if level.grain is Grain.DAY else 1)
            tell(level, panel, quick | networks(level.grain))
            tell(level, panel.only(panel.keys[::EVERY]), quick | {"AutoARIMA": arima})


if __name__ == "__main__":
    main()
