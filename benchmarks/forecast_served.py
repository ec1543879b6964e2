"""What adding up does to what is served: each daily level of two merchants alone, and as `add_up` serves it.

    python -m benchmarks.forecast_served

The methods are those that win at these levels; weights and intervals of a window come from the windows before it.
"""

import time
from collections.abc import Iterator
from typing import Any

import polars as pl

from benchmarks.forecast_levels import public_holidays, sale_lines
from benchmarks.telling import say
from mercurios.forecasting import LevelSpec, Split, Windows, score_windows, split_series
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.scores import coverage, wape
from mercurios.jobs.retrain import Specs
from mercurios.jobs.retrain.coherent import BOTTOM, TREE, Base, add_up

KEYS = {
    "total": pl.lit("total"),
    "department": pl.col("department"),
    "branch": pl.col("store_id"),
    BOTTOM: pl.concat_str("store_id", pl.lit("/"), "department"),
}
METHODS = {"total": "WeightedEnsemble", "department": "WeightedEnsemble", "branch": "WeightedEnsemble"}
METHOD_BELOW = "CalendarRegressionSlow"
FOLDS, BEFORE, HORIZON = 3, 2, 28


def run() -> list[dict[str, Any]]:
    """One row per merchant and level."""
    return [row for parity, name in enumerate(("north", "south")) for row in _measured(name, parity)]


def _measured(merchant: str, parity: int) -> Iterator[dict[str, Any]]:
    levels, windows = Specs.load().forecast.levels, {}
    for level in TREE:
        windows[level] = _windows(_split(parity, level, levels[level]), level, levels[level])
    started, served = time.perf_counter(), []
    for fold in range(FOLDS):
        bases = {level: _base(rows, level, fold) for level, rows in windows.items()}
        together = add_up(bases)
        if together.why_not:
            raise RuntimeError(f"{merchant}, window {fold}: {together.why_not}")
        served += [rows.with_columns(level=pl.lit(level)) for level, rows in together.rows.items()]
    seconds = (time.perf_counter() - started) / FOLDS
    told = pl.concat(served)
    for level, rows in windows.items():
        own = told.filter(level=level).select(unique_id="key", ds="ds", **{f"{name}_served": name for name in _NUMBERS})
        both = rows.filter(pl.col("fold") >= 0).join(own, on=["unique_id", "ds"]).drop_nulls("hi80")
        yield {
            "merchant": merchant,
            "level": level,
            "series": both["unique_id"].n_unique(),
            "seconds": seconds,
            **_scores(both, "alone", ""),
            **_scores(both, "served", "_served"),
        }


_NUMBERS = ("mean", *BOUNDS)


def _scores(rows: pl.DataFrame, name: str, suffix: str) -> dict[str, float]:
    low, high = (lambda share: rows[f"lo{share}{suffix}"]), (lambda share: rows[f"hi{share}{suffix}"])
    return {
        f"{name}_wape": wape(rows["y"], rows[f"mean{suffix}"]),
        **{f"{name}_coverage{share}": coverage(rows["y"], low(share), high(share)) for share in (80, 95)},
    }


def _split(parity: int, level: str, spec: LevelSpec) -> Split:
    lines = sale_lines().filter(pl.col("store_id").cast(pl.Int64) % 2 == parity)
    lines = lines.with_columns(pl.col("department").fill_null("(unknown)"), pl.col("store_id").cast(pl.String))
    sales = lines.group_by("sold_on", key=KEYS[level]).agg(revenue=pl.col("sales_value").sum()).collect()
    return split_series(sales, spec.rules, until=sales["sold_on"].max(), holidays=public_holidays())


def _windows(split: Split, level: str, spec: LevelSpec) -> pl.DataFrame:
    windows, method = Windows(HORIZON, FOLDS, BEFORE), METHODS.get(level, METHOD_BELOW)
    parts = [(split.modelled, spec.candidates[method]), (split.tail, spec.candidates[spec.tail])]
    return pl.concat([score_windows(panel, {"method": one}, windows).scored for panel, one in parts if panel.keys])


def _base(windows: pl.DataFrame, level: str, fold: int) -> Base:
    rows = windows.filter(pl.col("fold") == fold).select(key="unique_id", ds="ds", **{name: name for name in _NUMBERS})
    return Base(rows, windows.filter(pl.col("fold") < fold))


def summary(rows: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    head = f"{'':36}{'WAPE alone':>12}{'served':>8}{'80 % alone':>12}{'served':>8}{'95 % alone':>12}{'served':>8}\n"
    lines = [
        f"{row['merchant']:8}{row['level']:20}{row['series']:6}  {row['alone_wape']:12.4f}{row['served_wape']:8.4f}"
        f"{row['alone_coverage80']:12.3f}{row['served_coverage80']:8.3f}"
        f"{row['alone_coverage95']:12.3f}{row['served_coverage95']:8.3f}\n"
        for row in rows
    ]
    return f"{head}{''.join(lines)}{max(row['seconds'] for row in rows):.1f} s a night to add up\n"


if __name__ == "__main__":
    say(summary(run()))
