"""Daily forecasts that add up: what is served of the levels total, department, branch and branch × department.

    served = add_up({"total": base, "department": base, "branch": base, "branch_department": base})
    served.rows["branch"], served.why_not

Methods are judged, put to the gate and shadowed by what they forecast alone; what is served of the champions is
reconciled. Weekly categories stay by themselves: their weeks do not end with the last day that is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting import Grain
from mercurios.forecasting.hierarchy import Hierarchy
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.reconciliation import reconcile

BOTTOM = "branch_department"
_NODES: Mapping[str, pl.Expr] = {
    "total": pl.lit("total"),
    "department": pl.format("department={}", "key"),
    "branch": pl.format("branch={}", "key"),
    BOTTOM: pl.col("key"),
}
TREE = tuple(_NODES)
"""The levels that add up, as the specification names them."""
_NUMBERS = ("mean", *BOUNDS)


@dataclass(frozen=True)
class Base:
    """What a level's champion forecasts alone.

    rows: in the columns of the table `forecasts`, without the tenant. windows: its past windows, as a backtest's
    `scored` has them, those of the tail as well.
    """

    rows: pl.DataFrame
    windows: pl.DataFrame


@dataclass(frozen=True)
class Served:
    """Rows by level; why_not: why they do not add up, empty when they do."""

    rows: Mapping[str, pl.DataFrame]
    why_not: str = ""


def add_up(bases: Mapping[str, Base]) -> Served:
    """Reconcile the levels of TREE, whatever others there are; those stay as they are.

    Periods that not every level forecasts, and keys with nothing below them, stay as they are, too: a champion that was
    rolled back may have been fitted on another day. Without one of the levels nothing adds up, and why_not says so.
    """
    alone = {level: base.rows for level, base in bases.items()}
    if missing := [level for level in TREE if level not in bases]:
        return Served(alone, f"there is no forecast by {', '.join(missing)}")
    tree = pl.concat([_named(bases[level].rows, level) for level in TREE])
    shared = tree.group_by("ds").agg(pl.col("level").n_unique()).filter(level=len(TREE))
    tree = tree.join(shared.select("ds"), on="ds", how="semi")
    if tree.is_empty():
        return Served(alone, "no period is forecast by every level")
    hierarchy = _hierarchy(tree.filter(level=BOTTOM))
    nodes = hierarchy.nodes.select("unique_id")
    windows = _windows(bases).join(nodes, on="unique_id", how="semi")
    base = _complete(hierarchy, tree.join(nodes, on="unique_id", how="semi"))
    traits = windows.sort("ds").group_by("unique_id").agg(pl.col("floor", "demand_class").last())
    try:
        coherent = reconcile(hierarchy, base, windows, grain=Grain.DAY, traits=traits).forecast
    except ModelError as error:
        return Served(alone, str(error))
    told = _in_cents(hierarchy, coherent)
    return Served({level: _served(level, rows, told) if level in TREE else rows for level, rows in alone.items()})


def _named(rows: pl.DataFrame, level: str) -> pl.DataFrame:
    return rows.select("key", "ds", "mean", unique_id=_NODES[level], level=pl.lit(level))


def _hierarchy(bottom: pl.DataFrame) -> Hierarchy:
    place = pl.col("unique_id").str.splitn("/", 2)  # a department may hold a slash, the number of a branch does not
    series = bottom.select("unique_id").unique()
    series = series.with_columns(branch=place.struct.field("field_0"), department=place.struct.field("field_1"))
    return Hierarchy.of(series, levels=((), ("department",), ("branch",)))


def _windows(bases: Mapping[str, Base]) -> pl.DataFrame:
    """Past periods that every level was tried in, in the windows of the bottom level.

    A champion that was rolled back had windows of its own; its errors on the same days count all the same.
    """
    folds = bases[BOTTOM].windows.select("ds", "fold").unique("ds")
    parts = []
    for level in TREE:
        told = bases[level].windows.rename({"unique_id": "key"}).with_columns(unique_id=_NODES[level])
        parts.append(told.select("unique_id", "ds", "y", "mean", "floor", "demand_class"))
        folds = folds.join(told, on="ds", how="semi")
    return pl.concat(parts).join(folds, on="ds")


def _complete(hierarchy: Hierarchy, tree: pl.DataFrame) -> pl.DataFrame:
    """Every node and period; who was forecast by nobody is forecast by what lies below it."""
    ds = tree["ds"].unique().sort()
    every = hierarchy.nodes.select("unique_id", "level").join(
        pl.DataFrame({"ds": ds}), how="cross", maintain_order="left_right"
    )
    below = hierarchy.summing @ hierarchy.matrix(tree.filter(level=BOTTOM), "mean", ds)[-hierarchy.bottom :]
    summed = every.select("unique_id", "ds").with_columns(below=below.ravel())
    return (
        every.join(tree.select("unique_id", "ds", "mean"), on=["unique_id", "ds"], how="left")
        .join(summed, on=["unique_id", "ds"])
        .select("unique_id", "ds", mean=pl.coalesce("mean", "below"))
    )


def _in_cents(hierarchy: Hierarchy, coherent: pl.DataFrame) -> pl.DataFrame:
    """Series in whole cents, sums as the sums of those; bounds around them."""
    ds = coherent["ds"].unique().sort()
    cents = coherent.select("unique_id", "ds", *(pl.col(name).round(2) for name in _NUMBERS))
    means = hierarchy.summing @ hierarchy.matrix(cents, "mean", ds)[-hierarchy.bottom :]
    every = hierarchy.nodes.select("unique_id").join(pl.DataFrame({"ds": ds}), how="cross", maintain_order="left_right")
    summed = every.with_columns(mean=pl.Series(means.ravel()).round(2))
    lower = [pl.min_horizontal(name, "mean").alias(name) for name in ("lo80", "lo95")]
    upper = [pl.max_horizontal(name, "mean").alias(name) for name in ("hi80", "hi95")]
    return cents.drop("mean").join(summed, on=["unique_id", "ds"]).with_columns(*lower, *upper)


def _served(level: str, rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    named = rows.with_columns(unique_id=_NODES[level])
    joined = named.join(told, on=["unique_id", "ds"], how="left", suffix="_served", maintain_order="left")
    numbers = [pl.coalesce(f"{name}_served", name).alias(name) for name in _NUMBERS]
    return joined.with_columns(numbers).select(rows.columns)
