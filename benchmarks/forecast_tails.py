"""Methods for series with little history: seldom sold ones and new ones, side by side.

    python -m benchmarks.forecast_tails

The tails of both merchants' categories (weekly) and branches (daily) as they were at the last six cutoffs, four weeks
apart, and one in seven products (weekly units, both merchants). Which series are the tail is told by what lies before a
cutoff; the rules of models/forecast.yaml, made for a year, hold for the part of it that is known then. WAPE and bias of
all series of the tail, and of those whose first sale is at most eight weeks ago.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from benchmarks.forecast_levels import sale_lines
from benchmarks.forecast_methods import seldom
from benchmarks.telling import say
from mercurios.config import ROOT
from mercurios.forecasting import ForecastSpec, Grain, Panel, split_series
from mercurios.forecasting.candidates import Candidate, RecentMean, future
from mercurios.forecasting.cold import ColdStart
from mercurios.forecasting.scores import bias, wape
from mercurios.forecasting.series import Rules

CUTOFFS = 6
END = date(2017, 12, 31)
YEAR = 364
NEW_DAYS = 56
_KEY = ("unique_id", "ds")


@dataclass(frozen=True)
class Tail:
    """Sales of a level: key, parent, sold_on, revenue."""

    name: str
    sales: pl.DataFrame
    rules: Rules


def tails() -> Iterator[Tail]:
    """Categories and branches of each merchant, and products of both."""
    lines = sale_lines()
    levels = ForecastSpec.parse((ROOT / "models" / "forecast.yaml").read_text()).levels
    for level, key, parent in (("category", "product_category", "department"), ("branch", "store_id", "all")):
        for merchant, parity in (("north", 0), ("south", 1)):
            its = lines.filter(pl.col("store_id") % 2 == parity)
            yield Tail(f"{merchant} {level}", _sales(its, key, parent, "sales_value"), levels[level].rules)
    sampled = lines.filter(pl.col("product_id").cast(pl.Int64) % 7 == 0, pl.col("units") > 0)
    rules = levels["category"].rules
    yield Tail("products", _sales(sampled, "product_id", "product_category", "units"), rules)


def _sales(lines: pl.LazyFrame, key: str, parent: str, value: str) -> pl.DataFrame:
    named = lines.group_by(pl.col(key).cast(pl.String).alias("key"), pl.col(parent).alias("parent"), "sold_on")
    return named.agg(revenue=pl.col(value).sum()).drop_nulls("key").collect()


class OwnMean(Candidate, frozen=True):
    """The mean of a series' open periods since its first sale, at most eight weeks."""

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        recent = panel.rows.filter("is_open", pl.col("ds") > panel.last_period - timedelta(days=NEW_DAYS))
        means = recent.group_by("unique_id").agg(pl.col("y").mean().alias("mean"))
        return future(panel, horizon).join(means, on="unique_id", how="left").fill_null(0.0)


def methods(grain: Grain) -> dict[str, Candidate]:
    """What competes, by name."""
    week = 7 if grain is Grain.DAY else 1
    means: dict[str, Candidate] = {f"RecentMean, {n} weeks": RecentMean(periods=n * week) for n in (4, 8)}
    known = {"OwnMean": OwnMean()} | seldom(grain) | means
    cold = {f"ColdStart of {name}": ColdStart(periods=8 * week, members=(known[name],)) for name in (*means, "ADIDA")}
    return known | cold


def judge(tail: Tail) -> pl.DataFrame:
    """One row per method, series and open period that was forecast: method, new, y, mean."""
    grain = tail.rules.grain
    everything = Rules(grain, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
    truth = split_series(tail.sales, everything, until=END).modelled.rows.filter("is_open").select(*_KEY, "y")
    scored = []
    for back in range(CUTOFFS, 0, -1):
        until = END - timedelta(days=28 * back)
        share = ((until - END).days + YEAR) / YEAR
        rules = replace(tail.rules, min_periods_sold=int(tail.rules.min_periods_sold * share))
        panel = split_series(tail.sales, rules, until=until).tail
        begun = pl.col("ds").min() > until - timedelta(days=NEW_DAYS)
        known = truth.join(panel.rows.group_by("unique_id").agg(new=begun), on="unique_id")
        for name, method in methods(grain).items():
            mean = pl.col("mean").clip(0.0)
            made = method.forecast(panel, 28 // grain.days).with_columns(mean, method=pl.lit(name))
            scored.append(known.join(made, on=_KEY).select("method", "new", "y", "mean"))
    return pl.concat(scored)


def main() -> None:
    """Print a table per level."""
    for tail in tails():
        told = judge(tail)
        new = told.filter("new")
        count = told["method"].n_unique()
        say(f"\n{tail.name}: {told.height // count} periods, {new.height // count} of them of new series\n")
        say(f"{'':34}{'WAPE':>8}{'bias':>8}{'new: WAPE':>12}{'bias':>8}\n")
        for name in told["method"].unique(maintain_order=True):
            say(f"{name:34}{_figures(told, name)}{'':4}{_figures(new, name)}\n")


def _figures(told: pl.DataFrame, name: str) -> str:
    rows: Mapping[str, pl.Series] = told.filter(method=name).select("y", "mean").to_dict()
    return f"{wape(rows['y'], rows['mean']):8.3f}{bias(rows['y'], rows['mean']):+8.2f}"


if __name__ == "__main__":
    main()
