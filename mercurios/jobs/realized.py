"""Realized accuracy: how the versions of a model did once the truth had come, as champion or beside it.

    realized("north.forecast.branch", lake)     # one row per version and role

This is what a shadow is for: a challenger stands beside the champion on the very same forecasts.
"""

import polars as pl

from mercurios.forecasting.scores import bias, coverage, wape
from mercurios.lake import Lake
from mercurios.registry import CHAMPION

SCORED = "mart_forecast_accuracy"
_SAME = ["key", "ds", "cutoff"]


def realized(name: str, lake: Lake) -> pl.DataFrame:
    """One row per model_version and role of TENANT.forecast.LEVEL in the current release.

    forecasts: how many are scored; wape, bias, coverage80: fractions, null where nothing was sold or nothing is known.
    rivals, rival_wape: how many of them the champion made as well, of the same periods from the same cutoff, and its
    error on those; 0 and null for a champion. Empty for other models, and before the first truth has come.
    """
    tenant_id, _, level = name.partition(".forecast.")
    release = lake.require_current()
    if not (level and release.holds(SCORED)):
        return pl.DataFrame()
    scored = pl.DataFrame(lake.reader(tenant_id, release).table(SCORED)).filter(level=level)
    rows = scored.with_columns(pl.col("y").cast(pl.Float64))
    champions = rows.filter(role=CHAMPION).select(*_SAME, rival="mean")
    told = [
        {"model_version": version, "role": role, **_accuracy(own, champions if role != CHAMPION else champions.clear())}
        for (version, role), own in sorted(rows.partition_by("model_version", "role", as_dict=True).items())
    ]
    return pl.DataFrame(told, infer_schema_length=None).fill_nan(None)


def _accuracy(own: pl.DataFrame, champions: pl.DataFrame) -> dict[str, object]:
    banded, shared = own.drop_nulls(["lo80", "hi80"]), own.join(champions, on=_SAME)
    return {
        "forecasts": own.height,
        "wape": wape(own["y"], own["mean"]),
        "bias": bias(own["y"], own["mean"]),
        "coverage80": coverage(banded["y"], banded["lo80"], banded["hi80"]),
        "rivals": shared.height,
        "rival_wape": wape(shared["y"], shared["rival"]) if shared.height else None,
    }
