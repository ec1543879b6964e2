"""Where methods run: one core, several and Ray, with equal results."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from mercurios import wiring
from mercurios.errors import ConfigError
from mercurios.forecasting.engine import Workers, forecast_each, on


@pytest.mark.parametrize(
    ("text", "workers"),
    [("1", Workers()), ("3", Workers(3)), ("all", Workers(-1)), ("ray", Workers(-1, ray=True))],
)
def test_workers_are_read(text: str, workers: Workers) -> None:
    assert Workers.parse(text) == workers


@pytest.mark.parametrize("text", ["0", "-1", "", "two", "²", "1.5"])
def test_what_is_no_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number from 1 on"):
        Workers.parse(text)


def test_one_core_many_and_ray_give_equal_forecasts() -> None:
    import ray
    from statsforecast.models import AutoETS

    random, days = np.random.default_rng(0), [date(2024, 1, 1) + timedelta(days=n) for n in range(20)]
    units = random.poisson(random.gamma(1, 5, 230)[:, None], (230, 20)).astype(float)
    units[7] = 0.0
    ids = pl.Series([f"s{n:03}" for n in range(230)]).repeat_by(20).explode()
    rows = pl.DataFrame({"unique_id": ids, "ds": days * 230, "y": units.ravel()})
    method = AutoETS(season_length=1, model="ANN")
    alone = forecast_each(method, rows, every="1d", horizon=3)
    assert alone.columns == ["unique_id", "ds", "mean"]
    assert alone.height == 230 * 3
    try:
        for workers in (Workers(2), Workers(2, ray=True)):
            with on(workers):
                assert_frame_equal(forecast_each(method, rows, every="1d", horizon=3), alone, check_exact=True)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize(("told", "workers"), [("1", Workers()), ("all", Workers(-1)), ("ray", Workers(-1, ray=True))])
def test_the_setting_says_where(told: str, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCURIOS_FORECAST_WORKERS", told)
    assert wiring.forecast_workers() == workers


def test_a_setting_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCURIOS_FORECAST_WORKERS", "0")
    with pytest.raises(ValidationError, match="forecast_workers"):
        wiring.forecast_workers()
