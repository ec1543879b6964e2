"""The forecast benchmarks' own judgement: the measure of the M3, and a small assortment that adds up."""

import numpy as np
import polars as pl
import pytest

from benchmarks import forecast_scale, m3
from mercurios.forecasting import LevelSpec

SPEC = LevelSpec.model_validate(
    {
        "grain": "week",
        "horizon": 4,
        "folds": 2,
        "min_periods_sold": 40,
        "active_periods": 4,
        "tail_periods": 8,
        "baseline": "SeasonalNaive",
        "tail": "RecentMean",
        "candidates": {"SeasonalNaive": {"season_length": 4}, "RecentMean": {"periods": 8}},
    }
)


def test_smape_is_twice_the_error_over_both_in_per_cent() -> None:
    frame = pl.DataFrame({"y": [100.0, 50.0], "mean": [100.0, 150.0]})
    assert frame.select(error=m3.smape(pl.col("y"), pl.col("mean")))["error"].to_list() == [0.0, 100.0]


def test_the_m3_is_scored_by_series_and_by_period() -> None:
    results = m3.run(every=300, workers="1")
    assert results["series"] == 11
    assert set(results["frequencies"]) == set(m3.FREQUENCIES)
    weighted = [results["frequencies"][name]["smape"] for name in m3.FREQUENCIES]
    assert min(weighted) < results["smape"] < max(weighted)
    assert results["smape"] != results["theta_smape"]
    assert "ensemble" in m3.summary(results)


def test_an_assortment_is_the_same_twice_and_its_forecasts_add_up() -> None:
    results = forecast_scale.run(60, "1", SPEC)
    again = forecast_scale.run(60, "1", SPEC)
    assert results["series"] == sum(results["classes"].values()) == 60
    assert results["classes"]["intermittent"] > 20
    assert results["wape"] == again["wape"]
    assert results["coherence_error"] < 1e-6
    assert results["least"] >= 0
    assert "60 series" in forecast_scale.summary(results)


def test_incoherence_is_found() -> None:
    hierarchy, panel = forecast_scale.assortment(30)
    forecast = hierarchy.panel(panel).rows.select("unique_id", "ds", mean="y")
    assert forecast_scale.incoherence(hierarchy, forecast) == pytest.approx(0, abs=1e-6)
    wrong = pl.when(pl.col("unique_id") == "total").then(pl.col("mean") + 3).otherwise("mean")
    assert forecast_scale.incoherence(hierarchy, forecast.with_columns(mean=wrong)) == pytest.approx(3)


def test_no_row_of_the_assortment_is_negative_or_fuel() -> None:
    weeks, products = forecast_scale._weekly()
    assert weeks.shape == (products.height, 51)
    assert np.isfinite(weeks).all()
    assert weeks.min() == 0
    assert weeks.max() < 10_000
