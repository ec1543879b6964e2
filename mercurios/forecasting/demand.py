"""Demand classes: what a series' demand is like, and so which methods suit it.

    demand_classes(panel)     # unique_id, demand_class

The four classes of regular demand are those of Syntetos, Boylan and Croston (2005): how far apart demands are (average
demand interval, in open periods) against how much their sizes vary (squared coefficient of variation). Before them come
series too young or too quiet to tell.
"""

from enum import StrEnum

import polars as pl

from mercurios.forecasting.series import Panel

_LONG_INTERVAL = 1.32
_VARIED_SIZE = 0.49
_NEW_DAYS = 13 * 7
_ENDED_DAYS = 8 * 7


class DemandClass(StrEnum):
    """How a series is sold."""

    SMOOTH = "smooth"
    ERRATIC = "erratic"
    INTERMITTENT = "intermittent"
    LUMPY = "lumpy"
    NEW = "new"  # its first sale is less than a quarter ago
    ENDED = "ended"  # without a sale in the last eight weeks


def demand_classes(panel: Panel) -> pl.DataFrame:
    """One row per series, sorted: unique_id, demand_class. Closed periods count for nothing."""
    days = panel.grain.days
    sold, y = pl.col("y") != 0, pl.col("y")
    sizes = y.filter(sold)
    variation = sizes.std(ddof=0) / sizes.mean()
    told = (
        panel.rows.filter("is_open")
        .sort("unique_id", "ds")
        .group_by("unique_id")
        .agg(
            periods=pl.len(),
            interval=pl.len() / sold.sum(),
            variation=(variation * variation).fill_null(0.0),
            sold_of_late=sold.tail(_ENDED_DAYS // days).any(),
        )
    )
    return told.select("unique_id", demand_class=_judged(_NEW_DAYS // days)).sort("unique_id")


def _judged(new: int) -> pl.Expr:
    seldom, varied = pl.col("interval") >= _LONG_INTERVAL, pl.col("variation") >= _VARIED_SIZE
    return (
        pl.when(~pl.col("sold_of_late"))
        .then(pl.lit(DemandClass.ENDED))
        .when(pl.col("periods") < new)
        .then(pl.lit(DemandClass.NEW))
        .when(seldom & varied)
        .then(pl.lit(DemandClass.LUMPY))
        .when(seldom)
        .then(pl.lit(DemandClass.INTERMITTENT))
        .when(varied)
        .then(pl.lit(DemandClass.ERRATIC))
        .otherwise(pl.lit(DemandClass.SMOOTH))
    )
