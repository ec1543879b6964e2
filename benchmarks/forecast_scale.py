"""10,000 series: every candidate backtested, the best one fitted, forecast and reconciled, on all cores.

    python -m benchmarks.forecast_scale [series]

Each series is an article in a branch: the weekly units of a product of the Complete Journey, its blocks of four weeks
drawn anew into two years. Most sell seldom, as products do. They add up to departments, categories, branches, branch ×
department and the total. Candidates are those of the weekly level in `models/forecast.yaml`.
"""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, TypeVar

import numpy as np
import polars as pl

from benchmarks.forecast_levels import data_folder
from benchmarks.telling import say
from mercurios.config import ROOT
from mercurios.forecasting import ForecastSpec, Grain, LevelSpec, Panel, fit_part, score_windows, split_series
from mercurios.forecasting.demand import demand_classes
from mercurios.forecasting.engine import Workers, on
from mercurios.forecasting.hierarchy import Hierarchy
from mercurios.forecasting.reconciliation import reconcile
from mercurios.forecasting.series import Rules
from mercurios.sandbox.masters import products

T = TypeVar("T")
WEEKS, BLOCK, BRANCHES = 104, 4, 20
FIRST = date(2022, 1, 3)
LEVELS = ((), ("department",), ("category",), ("branch",), ("branch", "department"))
EVERYTHING = Rules(Grain.WEEK, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)


class Clock:
    """Seconds by step, and what the step made."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, step: str, work: Callable[[], T]) -> T:
        """Do the work and keep how long it took."""
        began = time.perf_counter()
        done = work()
        self.seconds[step] = time.perf_counter() - began
        return done


def run(series: int = 10_000, workers: str = "all", spec: LevelSpec | None = None) -> dict[str, Any]:
    """The figures of one run; seconds is everything from the panel to the coherent forecast."""
    spec = spec or ForecastSpec.parse((ROOT / "models" / "forecast.yaml").read_text()).levels["category"]
    hierarchy, bottom = assortment(series)
    clock = Clock()
    with on(Workers.parse(workers)):
        panel = clock.time("sum", lambda: hierarchy.panel(bottom))
        trial = clock.time("backtest", lambda: score_windows(panel, spec.candidates, spec.windows))
        best = trial.best().name
        base = clock.time("forecast", lambda: fit_part(panel, trial, best).forecast(spec.horizon))
    classes = demand_classes(panel)
    coherent = clock.time(
        "reconcile",
        lambda: reconcile(hierarchy, base, trial.scored_by(best), grain=Grain.WEEK, traits=classes),
    )
    return {
        "series": series,
        "nodes": hierarchy.nodes.height,
        "classes": dict(
            classes.filter(pl.col("unique_id").is_in(hierarchy.keys))["demand_class"].value_counts().rows()
        ),
        "champion": best,
        "wape": {score.name: score.wape for score in trial.scores},
        "coherence_error": incoherence(hierarchy, coherent.forecast),
        "least": float(coherent.forecast["lo95"].min()),
        "seconds": sum(clock.seconds.values()),
        "steps": clock.seconds,
        "candidates": {score.name: score.seconds for score in trial.scores},
    }


def assortment(series: int) -> tuple[Hierarchy, Panel]:
    """Series as told above; the same for the same number."""
    weeks, sold = _weekly()
    random = np.random.default_rng(5)
    drawn = random.integers(sold.height, size=series)
    starts = random.integers(weeks.shape[1] - BLOCK + 1, size=(series, WEEKS // BLOCK))
    places = (starts[:, :, None] + np.arange(BLOCK)).reshape(series, -1)
    units = np.take_along_axis(weeks[drawn], places, axis=1)
    traits = sold[drawn].select(
        pl.concat_str(pl.lit("article-"), pl.int_range(pl.len()).cast(pl.String).str.zfill(6)).alias("unique_id"),
        "department",
        "category",
        branch=pl.Series(random.integers(1, BRANCHES + 1, size=series)).cast(pl.String),
    )
    days = [FIRST + timedelta(weeks=week) for week in range(WEEKS)]
    sales = (
        traits.select(key="unique_id")
        .join(pl.DataFrame({"sold_on": days}), how="cross", maintain_order="left_right")
        .with_columns(revenue=units.ravel())
        .filter(pl.col("revenue") > 0)
    )
    panel = split_series(sales, EVERYTHING, until=days[-1] + timedelta(days=6)).modelled
    return Hierarchy.of(traits.filter(pl.col("unique_id").is_in(panel.keys)), LEVELS), panel


def _weekly() -> tuple[np.ndarray[Any, np.dtype[np.float64]], pl.DataFrame]:
    """Products × the year's complete weeks, in units without fuel, of products that sold in at least eight weeks."""
    data = data_folder()
    master = products(pl.read_parquet(data / "products.parquet")).filter(~pl.col("is_fuel"))
    sold = (
        pl.scan_parquet(data / "transactions.parquet")
        .select("product_id", ds=pl.col("transaction_timestamp").dt.date().dt.truncate("1w"), units="quantity")
        .filter(pl.col("ds").is_between(date(2017, 1, 2), date(2017, 12, 18)))
        .join(master.lazy().select("product_id", "department", category="product_category"), on="product_id")
        .drop_nulls()
        .group_by("product_id", "department", "category", "ds")
        .agg(pl.col("units").sum().cast(pl.Float64))
        .collect()
    )
    wide = sold.pivot("ds", index=["product_id", "department", "category"], values="units", sort_columns=True)
    weeks = wide.drop("product_id", "department", "category")
    wide = wide.filter(weeks.select(pl.sum_horizontal(pl.all().is_not_null())).to_series() >= 8).sort("product_id")
    return wide.select(weeks.columns).fill_null(0.0).to_numpy(), wide.select("product_id", "department", "category")


def incoherence(hierarchy: Hierarchy, forecast: pl.DataFrame) -> float:
    """The largest difference between a sum and its series."""
    ds = forecast["ds"].unique().sort()
    means = hierarchy.matrix(forecast, "mean", ds)
    return float(np.abs(means - hierarchy.summing @ means[-hierarchy.bottom :]).max())


def summary(results: Mapping[str, Any]) -> str:
    """The figures in words."""
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in results["steps"].items())
    candidates = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in results["candidates"].items())
    return (
        f"{results['series']:,} series, {results['nodes']:,} nodes, {results['classes']}\n"
        f"{results['seconds']:.1f} s: {steps}\n"
        f"backtest: {candidates}\n"
        f"champion {results['champion']}, coherence error {results['coherence_error']:.1e}, "
        f"lowest bound {results['least']:.3f}\n"
    )


if __name__ == "__main__":
    say(summary(run(*(int(argument) for argument in sys.argv[1:2]))))
