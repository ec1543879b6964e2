"""What it is worth to know promotions: categories by week, with and without their plan.

    mercurios demo && python -m benchmarks.forecast_plans

Both merchants of the newest release, by the rules and windows of models/forecast.yaml; WAPE. Then the response behind
the scenario of a promotion: learnt from the first six of ten windows, it corrects the forecasts of the last four that
know no promotion, once by what was planned alone, once by what the discounts turned out to be, too.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.telling import say
from mercurios import wiring
from mercurios.config import Settings
from mercurios.demo import MERCHANTS, MORNING_AFTER
from mercurios.forecasting import backtest
from mercurios.forecasting.direct import DirectLightGBM
from mercurios.forecasting.scenarios import learn_response
from mercurios.forecasting.scores import wape
from mercurios.jobs.promotion_scenario import DISCOUNT, known_drivers, past_weeks
from mercurios.jobs.retrain import Specs
from mercurios.jobs.retrain.desk import Desk
from mercurios.jobs.retrain.levels import SALES
from mercurios.jobs.retrain.trial import split_sales
from mercurios.serving import open_session

CONTENDERS = ("WeightedEnsemble", "PlannedCalendar", "PlannedEnsemble")
LEARNT = 6  # windows


def contenders(desk: Desk) -> None:
    """WAPE of each contender without the plan and with it."""
    spec = Specs.load().forecast.levels["category"]
    panel = split_sales(desk.frame(SALES["category"]), "category", spec, desk).modelled
    tried = {"DirectLightGBM": DirectLightGBM(), **{name: spec.candidates[name] for name in CONTENDERS}}
    without, known = (backtest(one, tried, spec.windows) for one in (replace(panel, plan=None), panel))
    for name in tried:
        one, two = without.score(name), known.score(name)
        say(f"  {name:<18} {one.wape:.4f} {two.wape:.4f} {two.seconds:6.1f} s\n")


def responses(desk: Desk) -> None:
    """WAPE of past forecasts without promotions, and corrected by what promotions did before."""
    history = past_weeks(desk.session, desk.until, known_drivers(desk.session, desk.until))
    kinds = [name for name in history.columns if name not in {"unique_id", "ds", "window", "forecast", "y", DISCOUNT}]
    judged = history.filter(pl.col("window") >= LEARNT)
    say(f"  knows no promotion {wape(judged['y'], judged['forecast']):.4f}\n")
    for told, drivers in (("plans", kinds), ("plans and discounts", [DISCOUNT, *kinds])):
        say(f"  {told:<18} {wape(judged['y'], _corrected(history, judged, drivers)):.4f}\n")


def _corrected(history: pl.DataFrame, judged: pl.DataFrame, drivers: Sequence[str]) -> pl.Series:
    response = learn_response(history.filter(pl.col("window") < LEARNT), drivers)
    usual = history.group_by("unique_id", pl.col("window") + 1).agg(
        pl.col(response.drivers).mean().name.suffix(" before")
    )
    both = judged.join(usual, on=["unique_id", "window"], how="left", maintain_order="left").fill_null(0.0)
    moved = np.column_stack([both[name] - both[f"{name} before"] for name in response.drivers])
    own = np.array([response.coefficients(key)[0] for key in both["unique_id"]])
    return both["forecast"] * pl.Series(np.exp((own * moved).sum(axis=1)))


if __name__ == "__main__":
    settings = Settings()
    lake, registry = wiring.open_lake(settings), wiring.open_registry(settings)
    for merchant in MERCHANTS:
        opened = open_session(lake.reader(merchant, lake.require_current()))
        at = Desk.open(opened, registry, MORNING_AFTER)
        say(f"{merchant}: without plan, with plan, seconds with it\n")
        contenders(at)
        responses(at)
