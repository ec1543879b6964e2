"""What adding up does to accuracy: the levels of `forecast_levels` forecast alone, and reconciled with what they share.

    python -m benchmarks.forecast_reconciled

Base forecasts are AutoETS everywhere. In each scored window the weights and intervals come from the windows before it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from benchmarks.forecast_levels import FOLDS, sale_lines
from benchmarks.forecast_scale import incoherence
from benchmarks.telling import say
from mercurios.forecasting import Grain, Panel, Windows, score_windows, split_series
from mercurios.forecasting.candidates import AutoETS
from mercurios.forecasting.demand import demand_classes
from mercurios.forecasting.engine import Workers, on
from mercurios.forecasting.hierarchy import BOTTOM, TOTAL, Hierarchy
from mercurios.forecasting.reconciliation import reconcile
from mercurios.forecasting.scores import coverage, wape
from mercurios.forecasting.series import Rules

REST = "rest"
ATTRIBUTES = ("department", "product_category")


@dataclass(frozen=True)
class Tree:
    """What is summed: `value` of the bottom series, and how many of the largest of each level are scored.

    bottom: what makes a series; products beyond the scored ones are one series a category. before: windows that only
    lend their errors to the oldest scored one.
    """

    name: str
    grain: Grain
    bottom: tuple[str, ...]
    scored: Mapping[str, int]
    value: str = "sales_value"
    before: int = 3

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The total, and each attribute that several series share."""
        return ((), *((attribute,) for attribute in self.bottom if attribute in ATTRIBUTES))

    @property
    def horizon(self) -> int:
        """Periods ahead: four weeks."""
        return 28 // self.grain.days


TREES = (
    Tree("categories, daily", Grain.DAY, ATTRIBUTES, {TOTAL: 1, "department": 10, "product_category": 150}),
    Tree("stores, daily", Grain.DAY, ("store_id",), {TOTAL: 1, BOTTOM: 100}),
    Tree("categories, weekly", Grain.WEEK, ATTRIBUTES, {TOTAL: 1, "product_category": 150}, before=5),
    Tree("products, weekly", Grain.WEEK, (*ATTRIBUTES, "product_id"), {TOTAL: 1, BOTTOM: 1_000}, "units", before=5),
)


def run(trees: tuple[Tree, ...] = TREES, workers: str = "all") -> list[dict[str, Any]]:
    """One row per tree and level: WAPE of base and of reconciled forecasts, and the coverage of their intervals."""
    with on(Workers.parse(workers)):
        return [row for tree in trees for row in _measured(tree)]


def _measured(tree: Tree) -> Iterator[dict[str, Any]]:
    hierarchy, bottom = _grown(tree)
    panel = hierarchy.panel(bottom)
    ets = AutoETS(season_length=7 if tree.grain is Grain.DAY else 1, model="ANZ")
    folds = tree.before + FOLDS
    scored = score_windows(panel, {"AutoETS": ets}, Windows(tree.horizon, folds)).scored
    told = pl.concat([_reconciled(tree, hierarchy, panel, scored, fold) for fold in range(tree.before, folds)])
    sizes = panel.before(FOLDS * tree.horizon).rows.group_by("unique_id").agg(pl.col("y").sum())
    nodes = hierarchy.nodes.join(sizes, on="unique_id").filter(~pl.col("unique_id").str.ends_with(REST))
    for level, count in tree.scored.items():
        largest = nodes.filter(pl.col("level") == level).sort(["y", "unique_id"], descending=[True, False]).head(count)
        rows = told.join(largest.select("unique_id"), on="unique_id", how="semi")
        yield {
            "tree": tree.name,
            "level": level,
            "base_wape": wape(rows["y"], rows["base"]),
            "wape": wape(rows["y"], rows["mean"]),
            "coverage80": coverage(rows["y"], rows["lo80"], rows["hi80"]),
            "coverage95": coverage(rows["y"], rows["lo95"], rows["hi95"]),
            "incoherence": rows["incoherence"].max(),
        }


def _reconciled(tree: Tree, hierarchy: Hierarchy, panel: Panel, scored: pl.DataFrame, fold: int) -> pl.DataFrame:
    """One row per node and open period of the window: y, base, and the coherent forecast."""
    window = scored.filter(pl.col("fold") == fold)
    every = hierarchy.nodes.select("unique_id").join(window.select("ds").unique(), how="cross")
    base = every.join(window, on=["unique_id", "ds"], how="left").with_columns(pl.col("mean", "y").fill_null(0.0))
    known = panel.before((tree.before + FOLDS - fold) * tree.horizon)
    errors = scored.filter(pl.col("fold") < fold)
    told = reconcile(hierarchy, base, errors, grain=tree.grain, traits=demand_classes(known)).forecast
    return told.join(base.select("unique_id", "ds", "y", base="mean"), on=["unique_id", "ds"]).with_columns(
        incoherence=incoherence(hierarchy, told)
    )


def _grown(tree: Tree) -> tuple[Hierarchy, Panel]:
    lines = sale_lines().drop_nulls(tree.bottom).with_columns(pl.col(name).cast(pl.String) for name in tree.bottom)
    if "product_id" in tree.bottom:
        lines = _with_rest(lines, tree)
    key = pl.concat_str(tree.bottom, separator="|").alias("key")
    sales = lines.group_by(key, "sold_on").agg(revenue=pl.col(tree.value).sum()).collect()
    attributes = lines.select(key.alias("unique_id"), *tree.bottom).unique().collect()
    everything = Rules(tree.grain, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
    panel = split_series(sales, everything, until=sales["sold_on"].max()).modelled
    return Hierarchy.of(attributes.filter(pl.col("unique_id").is_in(panel.keys)), tree.levels), panel


def _with_rest(lines: pl.LazyFrame, tree: Tree) -> pl.LazyFrame:
    until = lines.select(pl.col("sold_on").max() - pl.duration(days=28 * FOLDS)).collect().item()
    sizes = lines.filter(pl.col("sold_on") <= until).group_by("product_id").agg(pl.col(tree.value).sum())
    largest = sizes.sort([tree.value, "product_id"], descending=[True, False]).head(tree.scored[BOTTOM]).collect()
    own = pl.col("product_id").is_in(largest["product_id"].implode())
    return lines.with_columns(product_id=pl.when(own).then("product_id").otherwise(pl.lit(REST)))


def summary(rows: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    head = f"{'':38}{'alone':>8}{'adding up':>11}{'80 %':>7}{'95 %':>7}\n"
    return head + "".join(
        f"{row['tree']:20}{row['level']:18}{row['base_wape']:8.4f}{row['wape']:11.4f}"
        f"{row['coverage80']:7.3f}{row['coverage95']:7.3f}\n"
        for row in rows
    )


if __name__ == "__main__":
    say(summary(run()))
