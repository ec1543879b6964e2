"""Odd series among ordinary ones: a clear error, or a forecast of it that spoils nobody else's."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mercurios.config import ROOT
from mercurios.errors import ModelError
from mercurios.forecasting import FittedLevel, ForecastSpec, LevelSpec, backtest, fit_part, score_windows, split_series

FIRST = date(2023, 1, 2)
DAYS = 392
SPEC = ForecastSpec.parse((ROOT / "models" / "forecast.yaml").read_text())
QUICK = (
    "SeasonalNaive",
    "RecentMean",
    "ADIDA",
    "ColdStart",
    "AutoETS",
    "LightGBM",
    "CalendarRegression",
    "WeightedEnsemble",
)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def ordinary(key: str, seed: int) -> list[tuple[str, date, float]]:
    random = np.random.default_rng(seed)
    week = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.6, 0.4])
    return [(key, day(n), round(float(100 * week[n % 7] * random.gamma(20, 0.05)), 2)) for n in range(DAYS)]


def sales(rows: list[tuple[str, date, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"key": pl.String, "sold_on": pl.Date, "revenue": pl.Float64}, orient="row")


ODD: Mapping[str, list[tuple[str, date, float]]] = {
    "three days": [("odd", day(DAYS - n), 40.0) for n in (1, 3, 5)],
    "one sale": [("odd", day(DAYS - 1), 40.0)],
    "all zeros": [("odd", day(n), 0.0) for n in range(DAYS)],
    "a gap of a year": [("odd", day(n), 50.0) for n in (*range(10), *range(DAYS - 10, DAYS))],
    "returns only": [("odd", day(n), -5.0) for n in range(0, DAYS, 3)],
    "one huge day": [*[("odd", day(n), 5.0) for n in range(DAYS - 1)], ("odd", day(DAYS - 1), 9e9)],
    "days told twice": [("odd", day(n), 10.0) for n in range(DAYS) for _ in range(2)],
    "ended half a year ago": [("odd", day(n), 10.0) for n in range(200)],
}


def level(name: str) -> LevelSpec:
    spec = SPEC.levels[name]
    return spec.model_copy(update={"candidates": {name: spec.candidates[name] for name in QUICK}})


def forecast(rows: list[tuple[str, date, float]], spec: LevelSpec, method: str) -> pl.DataFrame:
    split = split_series(sales(rows), spec.rules, until=day(DAYS - 1))
    modelled = fit_part(split.modelled, backtest(split.modelled, spec.candidates, spec.windows), method)
    tail = score_windows(split.tail, {spec.tail: spec.candidates[spec.tail]}, spec.windows)
    parts = [modelled]
    if split.tail.keys:
        parts.append(fit_part(split.tail, tail, spec.tail, fallback=modelled.bands))
    return FittedLevel(tuple(parts)).forecast(spec.horizon)


@pytest.fixture(scope="module")
def plain() -> list[tuple[str, date, float]]:
    return [row for n in range(4) for row in ordinary(f"plain {n}", n)]


@pytest.mark.parametrize("name", ["category", "branch"])
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_series_gets_finite_numbers_or_none_and_the_others_theirs(
    kind: str, name: str, plain: list[tuple[str, date, float]]
) -> None:
    spec = level(name)
    made = forecast([*plain, *ODD[kind]], spec, "WeightedEnsemble")
    values = made.select("mean", "lo80", "hi80", "lo95", "hi95").to_numpy()
    assert np.isfinite(values).all()
    assert {f"plain {n}" for n in range(4)} <= set(made["unique_id"])
    assert made.group_by("unique_id").len()["len"].unique().to_list() == [spec.horizon]
    assert (made["lo95"] <= made["lo80"]).all()
    assert (made["hi80"] <= made["hi95"]).all()
    if kind == "ended half a year ago":
        assert "odd" not in set(made["unique_id"]), "dormant"


def test_a_method_of_one_series_at_a_time_does_not_see_the_odd_one(plain: list[tuple[str, date, float]]) -> None:
    spec = level("branch")
    alone = forecast(plain, spec, "AutoETS").select("unique_id", "ds", "mean")
    beside = forecast([*plain, *ODD["all zeros"]], spec, "AutoETS").select("unique_id", "ds", "mean")
    assert_frame_equal(beside.filter(pl.col("unique_id") != "odd"), alone, check_exact=True)


def test_days_told_twice_add_up(plain: list[tuple[str, date, float]]) -> None:
    split = split_series(sales([*plain, *ODD["days told twice"]]), level("branch").rules, until=day(DAYS - 1))
    assert split.modelled.rows.filter(unique_id="odd")["y"].unique().to_list() == [20.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_none_is_named(bad: float, plain: list[tuple[str, date, float]]) -> None:
    rows = sales([*plain, ("odd", day(5), bad)])
    with pytest.raises(ModelError, match=rf"series 'odd' on {day(5)}: revenue {bad}, expected a finite number"):
        split_series(rows, level("branch").rules, until=day(DAYS - 1))
