"""ABC/XYZ: how much of the revenue an item earns, and how evenly it sells."""

import polars as pl

_A, _B = 0.8, 0.95
_X, _Y = 0.5, 1.0


def service_classes(history: pl.DataFrame) -> pl.DataFrame:
    """One row per item: unique_id, service_class (AX to CZ).

    history: unique_id, ds, y in units, price in money; one row per item and period, zeros included. A: the items that
    earn the first 80 % of the revenue, B: up to 95 %, C: the rest. X: the coefficient of variation of the periods is at
    most 0.5, Y: at most 1, Z: above it or nothing sold.
    """
    y = pl.col("y")
    items = history.group_by("unique_id").agg(revenue=(y * pl.col("price")).sum(), variation=y.std(ddof=0) / y.mean())
    before = (pl.col("revenue").cum_sum() - pl.col("revenue")) / pl.col("revenue").sum()
    value = pl.when(before < _A).then(pl.lit("A")).when(before < _B).then(pl.lit("B")).otherwise(pl.lit("C"))
    variation = pl.col("variation")
    even = pl.when(variation <= _X).then(pl.lit("X")).when(variation <= _Y).then(pl.lit("Y")).otherwise(pl.lit("Z"))
    ranked = items.sort(["revenue", "unique_id"], descending=[True, False])
    return ranked.select("unique_id", service_class=value + even).sort("unique_id")
