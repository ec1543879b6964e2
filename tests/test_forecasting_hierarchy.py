"""Hierarchies: what adds up, forecasts that add up, paths that add up."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.optimize import nnls

from mercurios.errors import ModelError
from mercurios.forecasting import Grain, Panel
from mercurios.forecasting.hierarchy import Hierarchy
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.least_squares import closest
from mercurios.forecasting.reconciliation import Coherent, reconcile

MONDAY = date(2024, 1, 1)
LEVELS = ((), ("branch",), ("department",), ("branch", "department"))
Array = np.ndarray[Any, np.dtype[np.float64]]


def crossed(series: int = 12) -> Hierarchy:
    rows = [(f"article-{n:02}", str(n % 3), "food" if n % 2 else "home") for n in range(series)]
    return Hierarchy.of(pl.DataFrame(rows, schema=["unique_id", "branch", "department"], orient="row"), LEVELS)


def days(first: int, count: int) -> list[date]:
    return [MONDAY + timedelta(days=first + n) for n in range(count)]


def frame(hierarchy: Hierarchy, ds: list[date], **columns: Array) -> pl.DataFrame:
    """Nodes × periods as rows."""
    told = {name: values.ravel() for name, values in columns.items()}
    ids = hierarchy.nodes["unique_id"]
    return pl.DataFrame({"unique_id": ids.repeat_by(len(ds)).explode(), "ds": ds * len(ids), **told})


def world(
    hierarchy: Hierarchy, *, horizon: int = 28, folds: int = 3, seed: int = 3
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Poisson sales with a weekly pattern, forecast node by node with noise: base, errors, and what came."""
    random = np.random.default_rng(seed)
    ds = days(0, horizon * (folds + 1))
    level = random.gamma(2, 4, hierarchy.bottom)[:, None] * (1 + 0.5 * np.sin(np.arange(len(ds)) * 2 * np.pi / 7))
    y = hierarchy.summing @ random.poisson(level).astype(float)
    mean = np.maximum(hierarchy.summing @ level * random.normal(1, 0.1, y.shape), 0)
    rows = frame(hierarchy, ds, y=y, mean=mean)
    rows = rows.with_columns(fold=(pl.col("ds") - MONDAY).dt.total_days() // horizon)
    last = pl.col("fold") == folds
    return rows.filter(last).select("unique_id", "ds", "mean"), rows.filter(~last), rows.filter(last)


def gap(hierarchy: Hierarchy, forecast: pl.DataFrame) -> float:
    means = hierarchy.matrix(forecast, "mean", forecast["ds"].unique().sort())
    return float(np.abs(means - hierarchy.summing @ means[-hierarchy.bottom :]).max())


class TestHierarchy:
    def test_series_are_summed_by_every_level_also_where_levels_cross(self) -> None:
        hierarchy = crossed(4)
        told = dict(zip(hierarchy.nodes["unique_id"], hierarchy.summing.toarray().tolist(), strict=True))
        assert told == {
            "total": [1, 1, 1, 1],
            "branch=0": [1, 0, 0, 1],
            "branch=1": [0, 1, 0, 0],
            "branch=2": [0, 0, 1, 0],
            "department=food": [0, 1, 0, 1],
            "department=home": [1, 0, 1, 0],
            "branch/department=0/food": [0, 0, 0, 1],
            "branch/department=0/home": [1, 0, 0, 0],
            "branch/department=1/food": [0, 1, 0, 0],
            "branch/department=2/home": [0, 0, 1, 0],
            "article-00": [1, 0, 0, 0],
            "article-01": [0, 1, 0, 0],
            "article-02": [0, 0, 1, 0],
            "article-03": [0, 0, 0, 1],
        }
        assert hierarchy.nodes.filter(pl.col("level") == "branch/department")["branch"].to_list() == [
            "0",
            "0",
            "1",
            "2",
        ]

    def test_the_order_of_the_series_does_not_matter(self) -> None:
        series = pl.DataFrame({"unique_id": ["b", "a"], "branch": ["1", "2"]})
        one, other = (Hierarchy.of(rows, ((), ("branch",))) for rows in (series, series.reverse()))
        assert_frame_equal(one.nodes, other.nodes)
        assert (one.summing != other.summing).nnz == 0
        assert one.keys == ("a", "b")

    def test_a_panel_of_all_nodes_begins_with_the_first_series_of_each(self) -> None:
        hierarchy = crossed(4)
        ds = days(0, 3)
        rows = [(key, day, 1.0 + n, True) for n, key in enumerate(hierarchy.keys) for day in ds[n % 2 :]]
        bottom = Panel(
            pl.DataFrame(rows, schema=["unique_id", "ds", "y", "is_open"], orient="row"),
            pl.DataFrame({"ds": ds, "is_open": [True] * 3}),
            Grain.DAY,
        )
        panel = hierarchy.panel(bottom)
        sold = {key: part["y"].to_list() for (key,), part in panel.rows.group_by("unique_id", maintain_order=True)}
        assert set(sold) == set(hierarchy.nodes["unique_id"])
        assert sold["total"] == [4.0, 10.0, 10.0]
        assert sold["branch/department=1/food"] == [2.0, 2.0]
        by_day = hierarchy.panel(replace(bottom, grain=Grain.WEEK, days=bottom)).by_day
        assert_frame_equal(by_day.rows, panel.rows)

    def test_another_panel_is_refused(self) -> None:
        panel = Panel(
            pl.DataFrame({"unique_id": ["x"], "ds": [MONDAY], "y": [1.0], "is_open": [True]}),
            pl.DataFrame({"ds": [MONDAY], "is_open": [True]}),
            Grain.DAY,
        )
        with pytest.raises(
            ModelError, match="5 series are in the hierarchy or in the panel only, such as 'article-00'"
        ):
            crossed(4).panel(panel)

    @pytest.mark.parametrize(
        ("rows", "levels", "message"),
        [
            ({"unique_id": [], "branch": []}, LEVELS[:2], "at least one series"),
            ({"unique_id": ["a", "a"], "branch": ["1", "2"]}, LEVELS[:2], "'a' is there twice"),
            ({"unique_id": ["a"], "branch": ["1"]}, (("country",),), "unknown attribute 'country'"),
            ({"unique_id": ["a"], "branch": [None]}, LEVELS[:2], "'a' has no branch"),
            ({"unique_id": ["total"], "branch": ["1"]}, LEVELS[:2], "two nodes are called 'total'"),
            ({"unique_id": ["a"], "branch": ["1"]}, ((), ()), "two nodes are called 'total'"),
        ],
    )
    def test_bad_input_is_named(self, rows: dict[str, list[str]], levels: Any, message: str) -> None:
        frame = pl.DataFrame(rows, schema={"unique_id": pl.String, "branch": pl.String})
        with pytest.raises(ModelError, match=message):
            Hierarchy.of(frame, levels)


class TestClosest:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.sampled_from([0.0, 3.0, 7.0]))
    def test_it_is_the_least_squares_also_when_variances_lie_far_apart(
        self, seed: int, size: int, orders: float
    ) -> None:
        random = np.random.default_rng(seed)
        hierarchy = crossed(size)
        nodes = hierarchy.nodes.height
        deviations = 10 ** random.uniform(-orders / 2, orders / 2, nodes)
        means = random.normal(0, 1, (nodes, 2)) * 10 ** random.uniform(-2, 5)
        found = closest(hierarchy, means, deviations**2, np.zeros(size))
        assert found.min() >= 0
        deviations = np.maximum(deviations, 1e-5 * deviations.max())
        weighted = hierarchy.summing.toarray() / deviations[:, None]
        for period, mean in enumerate(means.T / deviations):
            _, best = nnls(weighted, mean)
            miss = np.linalg.norm(weighted @ found[:, period] - mean)
            assert miss <= best + 1e-6 * np.linalg.norm(mean)

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_what_adds_up_already_stays_as_it_is(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        hierarchy = crossed(6)
        bottom = random.gamma(1, 10, (6, 1))
        found = closest(hierarchy, hierarchy.summing @ bottom, random.gamma(1, 1, hierarchy.nodes.height), np.zeros(6))
        np.testing.assert_allclose(found, bottom, atol=1e-4)

    def test_a_node_that_errs_less_moves_less(self) -> None:
        hierarchy = Hierarchy.of(pl.DataFrame({"unique_id": ["a", "b"]}), ((),))
        bottom = closest(hierarchy, np.array([[12.0], [5.0], [5.0]]), np.array([1.0, 1.0, 8.0]), np.zeros(2))
        np.testing.assert_allclose(bottom.ravel(), [5.2, 6.6], atol=1e-5)

    def test_without_any_variance_all_nodes_weigh_alike(self) -> None:
        hierarchy = Hierarchy.of(pl.DataFrame({"unique_id": ["a", "b"]}), ((),))
        bottom = closest(hierarchy, np.array([[13.0], [5.0], [5.0]]), np.zeros(3), np.zeros(2))
        np.testing.assert_allclose(bottom.ravel(), [6.0, 6.0], atol=1e-5)


@pytest.fixture(scope="module")
def coherent() -> Coherent:
    base, errors, _ = world(crossed())
    return reconcile(crossed(), base, errors, grain=Grain.DAY)


class TestReconcile:
    def test_means_add_up_and_bounds_lie_in_order_and_above_zero(self, coherent: Coherent) -> None:
        hierarchy, forecast = crossed(), coherent.forecast
        assert forecast.columns == ["unique_id", "ds", "mean", *BOUNDS]
        assert forecast.height == hierarchy.nodes.height * 28
        assert gap(hierarchy, forecast) < 1e-6
        for low, high in (("lo95", "lo80"), ("lo80", "mean"), ("mean", "hi80"), ("hi80", "hi95")):
            assert (forecast[low] <= forecast[high]).all()
        assert forecast["lo95"].min() >= 0  # type: ignore[operator]
        assert (forecast["hi80"] > forecast["mean"]).all()

    def test_it_is_deterministic_and_blind_to_the_order_of_rows(self, coherent: Coherent) -> None:
        base, errors, _ = world(crossed())
        again = reconcile(crossed(), base.reverse(), errors.sample(fraction=1, shuffle=True, seed=1), grain=Grain.DAY)
        assert_frame_equal(again.forecast, coherent.forecast)

    def test_it_is_closer_to_what_came_than_forecasts_made_one_by_one(self, coherent: Coherent) -> None:
        base, _, came = world(crossed())
        told = coherent.forecast.join(base.rename({"mean": "base"}), on=["unique_id", "ds"]).join(
            came.select("unique_id", "ds", "y"), on=["unique_id", "ds"]
        )
        sums = told.filter(~pl.col("unique_id").str.starts_with("article"))
        errors = sums.select((pl.col(name) - pl.col("y")).abs().sum() for name in ("mean", "base")).row(0)
        assert errors[0] < 0.95 * errors[1]

    def test_intervals_cover_what_they_promise(self) -> None:
        hierarchy = crossed(30)
        inside = []
        for seed in range(4):
            base, errors, came = world(hierarchy, seed=seed)
            told = reconcile(hierarchy, base, errors, grain=Grain.DAY).forecast
            inside.append(
                told.join(came.select("unique_id", "ds", "y"), on=["unique_id", "ds"]).select(
                    (pl.col("y").is_between(pl.col(f"lo{share}"), pl.col(f"hi{share}"))).mean().alias(share)
                    for share in ("80", "95")
                )
            )
        covered = pl.concat(inside).mean()
        assert covered["80"].item() == pytest.approx(0.8, abs=0.04)
        assert covered["95"].item() == pytest.approx(0.95, abs=0.02)

    def test_every_path_adds_up_and_none_is_negative(self, coherent: Coherent) -> None:
        hierarchy = crossed()
        told = coherent.paths.of(tuple(hierarchy.nodes["unique_id"]))
        wide = told.pivot("unique_id", index=["ds", "path"], values="value").select(
            hierarchy.nodes["unique_id"].to_list()
        )
        values = wide.to_numpy().T
        assert told["value"].min() >= 0  # type: ignore[operator]
        np.testing.assert_allclose(values, hierarchy.summing @ values[-hierarchy.bottom :], atol=1e-9)
        assert told.filter(pl.col("unique_id") == "total").group_by("path").agg(pl.col("value").sum()).n_unique() > 100

    def test_paths_keep_what_series_have_in_common(self) -> None:
        """Two series that err alike: the total's interval is twice theirs, not the root of two."""
        hierarchy = Hierarchy.of(pl.DataFrame({"unique_id": ["a", "b"]}), ((),))
        shock = np.tile(np.random.default_rng(0).normal(0, 10, 84), (2, 1))
        y = hierarchy.summing @ (100 + shock)
        errors = frame(hierarchy, days(0, 84), y=y, mean=hierarchy.summing @ np.full((2, 84), 100.0))
        errors = errors.with_columns(fold=(pl.col("ds") - MONDAY).dt.total_days() // 28)
        base = frame(hierarchy, days(84, 7), mean=hierarchy.summing @ np.full((2, 7), 100.0))
        told = reconcile(hierarchy, base, errors, grain=Grain.DAY).forecast
        width = dict(told.group_by("unique_id").agg((pl.col("hi80") - pl.col("lo80")).mean()).rows())
        assert width["total"] == pytest.approx(width["a"] + width["b"], rel=0.15)

    def test_a_series_with_returns_may_go_down_to_its_floor_and_no_further(self) -> None:
        hierarchy = Hierarchy.of(pl.DataFrame({"unique_id": ["a", "b"]}), ((),))
        _, errors, _ = world(hierarchy)
        base = frame(hierarchy, days(84, 7), mean=np.outer([-20.0, -9.0, 1.0], np.ones(7)))
        floors = pl.DataFrame({"unique_id": ["a"], "floor": [-4.0]})
        told = reconcile(hierarchy, base, errors, grain=Grain.DAY, traits=floors).forecast
        assert gap(hierarchy, told) < 1e-6
        least = dict(told.group_by("unique_id").agg(pl.col("lo95").min()).rows())
        assert least == pytest.approx({"total": -4.0, "a": -4.0, "b": 0.0})
        means = dict(told.group_by("unique_id").agg(pl.col("mean").mean()).rows())
        assert means["a"] == pytest.approx(-4.0, abs=1e-4)

    def test_closed_days_stay_at_zero(self) -> None:
        hierarchy = crossed()
        base, errors, _ = world(hierarchy)
        sunday = pl.col("ds").dt.weekday() == 7
        base = base.with_columns(mean=pl.when(sunday).then(0.0).otherwise("mean"))
        told = reconcile(hierarchy, base, errors.filter(~sunday), grain=Grain.DAY).forecast
        assert told.filter(sunday).select("mean", *BOUNDS).to_numpy().any() is np.False_
        assert told.filter(~sunday)["hi95"].min() > 0  # type: ignore[operator]

    def test_weeks_have_no_weekdays(self) -> None:
        hierarchy = crossed()
        base, errors, _ = world(hierarchy, horizon=4, folds=5)
        weekly = [rows.with_columns(ds=MONDAY + (pl.col("ds") - MONDAY) * 7) for rows in (base, errors)]
        assert gap(hierarchy, reconcile(hierarchy, *weekly, grain=Grain.WEEK).forecast) < 1e-6

    def test_a_series_without_a_past_errs_by_its_forecast(self) -> None:
        hierarchy = crossed()
        base, errors, _ = world(hierarchy)
        told = reconcile(hierarchy, base, errors.filter(pl.col("unique_id") != "article-00"), grain=Grain.DAY).forecast
        new = told.filter(pl.col("unique_id") == "article-00")
        assert gap(hierarchy, told) < 1e-6
        assert (new["hi80"] > 1.5 * new["mean"]).all()

    def test_nothing_sold_and_nothing_forecast_stays_nothing(self) -> None:
        hierarchy = crossed()
        base, errors, _ = world(hierarchy)
        nothing = errors.with_columns(y=0.0, mean=0.0)
        told = reconcile(hierarchy, base.with_columns(mean=0.0), nothing, grain=Grain.DAY).forecast
        assert not told.select("mean", *BOUNDS).to_numpy().any()

    def test_bad_input_is_named(self) -> None:
        hierarchy = crossed()
        base, errors, _ = world(hierarchy)
        total, stranger = pl.col("unique_id") == "total", pl.lit("branch=9").alias("unique_id")
        cases = [
            (base.filter(~total), errors, r"no base forecast of 'total' for 2024-03-25 \(28 in all\)"),
            (base.clear(), errors, "no base forecast"),
            (pl.concat([base, base.head(1)]), errors, "'total' is there twice for 2024-03-25"),
            (pl.concat([base, base.head(1).with_columns(stranger)]), errors, "'branch=9' is no node"),
            (base, errors.head(1).with_columns(stranger), "'branch=9' is no node"),
            (base, errors.clear(), "at least one past window, got none"),
            (
                base,
                errors.with_columns(fold=pl.when(total).then(0).otherwise("fold")),
                "two past windows share a period",
            ),
            (base, errors.filter(pl.col("ds").dt.weekday() < 7), "no past error of a Sunday"),
        ]
        for odd in (None, float("nan"), float("inf")):
            mean = pl.when(total).then(pl.lit(odd, pl.Float64)).otherwise("mean")
            cases.append((base.with_columns(mean=mean), errors, "'total' on 2024-03-25: mean is no number"))
            cases.append((base, errors.with_columns(mean=mean), "'total' on 2024-01-01: mean is no number"))
        for rows, past, message in cases:
            with pytest.raises(ModelError, match=message):
                reconcile(hierarchy, rows, past, grain=Grain.DAY)

    def test_paths_of_an_unknown_node_are_refused(self, coherent: Coherent) -> None:
        with pytest.raises(ModelError, match="'branch=9' is no node"):
            coherent.paths.of(("total", "branch=9"))
