"""Demand classes of series."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercurios.forecasting.demand import DemandClass, demand_classes
from mercurios.forecasting.series import Grain, Panel

MONDAY = date(2024, 1, 1)
Values = dict[str, list[float]]


def weeks(series: Values, closed: frozenset[int] = frozenset()) -> Panel:
    """Series that all end in the same week; `closed` counts from the first week of the longest."""
    length = max(len(values) for values in series.values())
    days = [MONDAY + timedelta(weeks=n) for n in range(length)]
    calendar = pl.DataFrame({"ds": days, "is_open": [n not in closed for n in range(length)]})
    rows = [
        (key, days[length - len(values) + n], value, length - len(values) + n not in closed)
        for key, values in series.items()
        for n, value in enumerate(values)
    ]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y", "is_open"], orient="row")
    return Panel(frame.with_columns(pl.col("y").cast(pl.Float64)), calendar, Grain.WEEK)


def classes(series: Values, closed: frozenset[int] = frozenset()) -> dict[str, str]:
    return dict(demand_classes(weeks(series, closed)).rows())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10.0, 12.0] * 20, DemandClass.SMOOTH),
        ([1.0, 30.0, 2.0, 1.0] * 10, DemandClass.ERRATIC),
        ([10.0, 0.0] * 20, DemandClass.INTERMITTENT),
        ([1.0, 0.0, 40.0, 0.0] * 10, DemandClass.LUMPY),
        ([10.0] * 12, DemandClass.NEW),
        ([10.0] * 32 + [0.0] * 8, DemandClass.ENDED),
        ([0.0] * 40, DemandClass.ENDED),
        ([5.0] + [0.0] * 7, DemandClass.NEW),
        ([0.0] * 30 + [7.0] + [0.0] * 7, DemandClass.INTERMITTENT),
    ],
    ids=["smooth", "erratic", "intermittent", "lumpy", "new", "ended", "never", "one sale", "one sale long ago"],
)
def test_a_series_is_classed_by_how_often_and_how_evenly_it_sells(values: list[float], expected: DemandClass) -> None:
    assert classes({"a": values}) == {"a": expected}


def test_closed_periods_are_no_gaps_of_demand() -> None:
    values, closed = [10.0, 0.0] * 20, frozenset(range(1, 40, 2))
    assert classes({"a": values}) == {"a": DemandClass.INTERMITTENT}
    assert classes({"a": values}, closed) == {"a": DemandClass.SMOOTH}


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 3.0, 1e6]))
def test_the_unit_and_the_neighbours_of_a_series_do_not_matter(seed: int, unit: float) -> None:
    random = np.random.default_rng(seed)
    series = {
        str(n): (random.lognormal(0, 1, size) * (random.random(size) < random.random())).tolist()
        for n, size in enumerate(random.integers(1, 60, 4))
    }
    together = classes(series)
    assert set(together) == set(series)
    for key, values in series.items():
        assert classes({key: [value * unit for value in values]})[key] == together[key]
