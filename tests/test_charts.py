"""Charts: valid specifications, drawn without a network, in both languages."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from mercurios.charts import Labels, backtest_chart, dot_chart, forecast_chart, metric_chart, to_png

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(7)]
PAST = pl.DataFrame({"ds": DAYS, "y": [10.0, 12, 9, 11, 15, 20, 4]})
AHEAD = pl.DataFrame(
    {
        "ds": [day + timedelta(days=7) for day in DAYS],
        "mean": [10.0] * 7,
        "lo80": [8.0] * 7,
        "hi80": [13.0] * 7,
        "lo95": [5.0] * 7,
        "hi95": [19.0] * 7,
    }
)


def words(spec: Any) -> set[str]:
    """Every text anywhere in a specification."""
    if isinstance(spec, dict):
        return {word for value in spec.values() for word in words(value)}
    if isinstance(spec, list):
        return {word for value in spec for word in words(value)}
    return {spec} if isinstance(spec, str) else set()


def test_a_forecast_shows_both_intervals_past_and_future() -> None:
    spec = forecast_chart(PAST, AHEAD, Labels("Branch 367", unit="EUR")).to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "area", "line", "line"]
    assert {"lo95", "hi95", "lo80", "hi80", "mean", "y"} <= words(spec)
    assert {"Branch 367", "EUR", "80 % interval", "forecast"} <= words(spec)


def test_german_charts_speak_german() -> None:
    spec = forecast_chart(PAST, AHEAD, Labels("Filiale 367", unit="EUR", locale="de")).to_dict()
    assert {"Prognose", "Ist", "80-%-Intervall"} <= words(spec)
    assert not {"forecast", "actual"} & words(spec)


def test_a_backtest_sorts_the_best_first() -> None:
    scores = pl.DataFrame({"name": ["SeasonalNaive", "AutoETS"], "value": [0.8, 0.6]})
    for lower, order in ((True, "ascending"), (False, "descending")):
        spec = backtest_chart(scores, Labels("WAPE"), baseline="SeasonalNaive", lower_is_better=lower).to_dict()
        assert spec["layer"][0]["encoding"]["y"]["sort"]["order"] == order


def test_dots_keep_the_order_of_names_and_kinds() -> None:
    rows = pl.DataFrame({"level": ["z", "z", "a", "a"], "wape": [0.8, 0.6, 0.3, 0.2], "method": ["naive", "best"] * 2})
    spec = dot_chart(rows, Labels("Error"), x="wape", y="level", color="method").to_dict()
    assert (spec["encoding"]["y"]["sort"], spec["encoding"]["color"]["sort"]) == (["z", "a"], ["naive", "best"])


@pytest.mark.parametrize(
    ("rows", "x", "mark"),
    [
        (pl.DataFrame({"metric_time": DAYS, "revenue": [1.0] * 7}), "metric_time", "line"),
        (pl.DataFrame({"category": ["a", "b"], "revenue": [1.0, 2.0]}), "category", "bar"),
    ],
)
def test_a_metric_is_a_line_over_time_and_bars_over_names(rows: pl.DataFrame, x: str, mark: str) -> None:
    spec = metric_chart(rows, Labels("Revenue", unit="EUR"), x=x, y="revenue").to_dict()
    assert spec["mark"]["type"] == mark


def test_several_lines_are_told_apart_by_colour() -> None:
    rows = pl.DataFrame({"metric_time": DAYS * 2, "branch": ["1"] * 7 + ["2"] * 7, "revenue": [1.0] * 14})
    spec = metric_chart(rows, Labels("Revenue"), x="metric_time", y="revenue", color="branch").to_dict()
    assert spec["encoding"]["color"]["field"] == "branch"


@pytest.mark.parametrize("locale", ["de", "en"])
def test_a_picture_is_drawn(locale: Any) -> None:
    image = to_png(forecast_chart(PAST, AHEAD, Labels("Branch 367", locale=locale)), scale=1, locale=locale)
    assert image.startswith(b"\x89PNG")
    assert len(image) > 5_000
