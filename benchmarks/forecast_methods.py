"""Methods that models/forecast.yaml leaves out, beside those it has: is what they find worth their time?

    python -m benchmarks.forecast_methods

Networks on 150 categories by week and 100 stores by day of the Complete Journey, AutoARIMA, which is slow, on every
fifth of them, and methods for intermittent demand on 1,000 products by week. WAPE and bias over the last three windows
of four weeks, WAPE of the classes that sell seldom, and seconds of all windows on one core. A network is trained before
the first window only, all others before each.
"""

from collections.abc import Mapping

import polars as pl

from benchmarks.forecast import OURS, baselines, ours
from benchmarks.forecast_levels import FOLDS, Level, panels
from benchmarks.telling import say
from mercurios.forecasting import Grain, Panel, Windows, score_windows
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.candidates import ADIDA, Candidate
from mercurios.forecasting.demand import DemandClass
from mercurios.forecasting.engine import forecast_each
from mercurios.forecasting.neural import MLP, NHITS
from mercurios.forecasting.scores import wape

EVERY = 5
SELDOM = (DemandClass.INTERMITTENT, DemandClass.LUMPY)


class Library(Candidate, frozen=True):
    """A method of statsforecast that is no candidate of ours."""

    method: str
    params: tuple[tuple[str, float], ...] = ()

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from statsforecast import models

        method = getattr(models, self.method)(**dict(self.params))
        return forecast_each(method, panel.rows, every=panel.grain.every, horizon=horizon)


def seldom(grain: Grain) -> dict[str, Candidate]:
    """Methods for intermittent demand."""
    speed = 0.05 if grain is Grain.DAY else 0.2
    tsb = Library(method="TSB", params=(("alpha_d", speed), ("alpha_p", speed)))
    others = ("CrostonOptimized", "CrostonSBA", "IMAPA")
    return {"TSB": tsb, **{name: Library(method=name) for name in others}, "ADIDA": ADIDA()}


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


def ensembles(level: Level) -> dict[str, Candidate]:
    """The ensemble without and with the second network."""
    best = ours(level)
    more = (*best.members, networks(level.grain)["MLP"])
    return {OURS: best, f"{OURS} and MLP": best.model_copy(update={"members": more})}


def tell(level: Level, panel: Panel, candidates: Mapping[str, Candidate]) -> None:
    """Score the candidates and print a line for each."""
    trial = score_windows(panel, candidates, Windows(level.horizon, FOLDS))
    say(f"\n{f'{level.name}, {len(panel.keys)} series':34}{'WAPE':>8}{'bias':>8}")
    say("".join(f"{name:>14}" for name in SELDOM) + f"{'seconds':>9}\n")
    for score in trial.scores:
        say(f"{score.name:34}{score.wape:8.4f}{score.bias:+8.3f}")
        for name in SELDOM:
            rows = trial.scored_by(score.name).filter(demand_class=name)
            say(f"{wape(rows['y'], rows['mean']):14.4f}")
        say(f"{score.seconds:9.1f}\n")


def main() -> None:
    """Print all comparisons."""
    for level, panel in panels():
        quick = usual(level.grain)
        if level.name in ("stores_daily", "categories_weekly"):
            season = 7 if level.grain is Grain.DAY else 1
            arima = Library(method="AutoARIMA", params=(("season_length", season),))
            tell(level, panel, quick | networks(level.grain))
            tell(level, panel, ensembles(level))
            tell(level, panel.only(panel.keys[::EVERY]), quick | {"AutoARIMA": arima})
        if level.name == "products_weekly":
            tell(level, panel, quick | seldom(level.grain) | {OURS: ours(level)})


if __name__ == "__main__":
    main()
