"""The gate: what each check finds, what it rests on, and whom it lets through."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from benchmarks.gate import FLAWS, Contest, contests
from mercurios.errors import ModelError
from mercurios.forecasting.evidence import (
    INTERVAL,
    Evidence,
    TrainingData,
    diebold_mariano,
    difference,
    digest,
    leak,
    noise_share,
    perturbed,
)
from mercurios.forecasting.gate import Decision, GateRules, decide
from mercurios.forecasting.intervals import BOUNDS

MONDAY = date(2025, 1, 6)
NOW = datetime(2025, 6, 30, 4, tzinfo=UTC)
RULES = GateRules()
OWN = TrainingData("north", "r000007", NOW - timedelta(hours=2), "0123456789abcdef")
FOLDS, HORIZON = 4, 14
CHECKS = Counter(
    [
        "the same windows",
        "better than the champion",
        "by more than chance",
        "no tenant worse",
        "no level worse",
        "no demand class worse",
        "better than the baseline",
        "80 % intervals hold",
        "95 % intervals hold",
        "intervals as sharp",
        "no leakage",
        "a plausible error",
        "fresh data",
        "the data that were named",
        "reproducible",
        "not rolled back",
    ]
)


def windows(noise: float, *, seed: int = 1, series: int = 6, error: float = 10.0) -> pl.DataFrame:
    """Rows as the gate is told of them: truth moves by `error`, the forecast misses its middle by `noise` more."""
    truth, own = np.random.default_rng(1), np.random.default_rng(seed + 100)
    days = FOLDS * HORIZON
    parts = []
    for number in range(series):
        y = 100 + truth.normal(0, error, days)
        spread = math.hypot(error, noise)
        mean = 100 + own.normal(0, noise, days)
        rows = {"ds": [MONDAY + timedelta(days=day) for day in range(days)], "fold": np.arange(days) // HORIZON}
        bounds = {name: mean + z * spread for name, z in zip(BOUNDS, (-1.2816, 1.2816, -1.96, 1.96), strict=True)}
        tenant = ("north", "south")[number % 2]
        named = {"tenant_id": tenant, "level": "category", "unique_id": str(number), "demand_class": "smooth"}
        frame = pl.DataFrame({**rows, "y": y, "mean": mean, "scale": np.full(days, error), **bounds})
        judged = [pl.when(pl.col("fold") > 0).then(name).alias(name) for name in BOUNDS]
        parts.append(frame.with_columns(*judged, **{name: pl.lit(value) for name, value in named.items()}))
    return pl.concat(parts)


def good(**changes: object) -> Evidence:
    """A challenger that nothing is wrong with."""
    evidence = Evidence(
        "ETS",
        windows(2.0),
        baseline=windows(12.0, seed=9),
        asked=(OWN,),
        used=(OWN,),
        judged_at=NOW,
        leak=0.0,
        reproduced=0.0,
    )
    return replace(evidence, **changes)  # type: ignore[arg-type]


CHAMPION = Evidence("Theta", windows(7.0, seed=5))


def refused(decision: Decision) -> set[str]:
    return {check.name for check in decision.refused_by}


class TestDecide:
    def test_a_better_one_is_promoted_with_a_reason_per_check(self) -> None:
        decision = decide(good(), CHAMPION, RULES)
        assert decision.promoted, decision.told
        assert Counter(check.name for check in decision.checks) == CHECKS
        assert len(decision.told.splitlines()) == CHECKS.total()
        assert all(check.told for check in decision.checks)

    def test_the_first_one_needs_no_champion(self) -> None:
        decision = decide(good(), None, RULES)
        assert decision.promoted, decision.told
        assert {check.name for check in decision.checks} == set(CHECKS) - {
            "the same windows",
            "better than the champion",
            "by more than chance",
            "no tenant worse",
            "no level worse",
            "no demand class worse",
        }
        worse = good(scored=windows(12.0, seed=9), baseline=windows(2.0))
        assert "better than the baseline" in refused(decide(worse, None, RULES))

    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            ({"leak": None}, {"no leakage"}),
            ({"leak": 0.01}, {"no leakage"}),
            ({"leak": math.inf}, {"no leakage"}),
            ({"reproduced": None}, {"reproducible"}),
            ({"reproduced": 0.01}, {"reproducible"}),
            ({"withdrawn": "version 3 of this method was rolled back: too high"}, {"not rolled back"}),
            ({"judged_at": NOW + timedelta(days=4)}, {"fresh data"}),
            ({"judged_at": None}, {"fresh data"}),
            ({"used": ()}, {"fresh data", "the data that were named"}),
            ({"asked": ()}, {"the data that were named"}),
            ({"used": (replace(OWN, digest="f" * 16),)}, {"the data that were named"}),
            ({"used": (replace(OWN, tenant_id="south"),)}, {"the data that were named"}),
            ({"used": (replace(OWN, release="r000006"),)}, {"the data that were named"}),
            ({"baseline": windows(0.5)}, {"better than the baseline"}),
        ],
        ids=lambda told: next(iter(told)) if isinstance(told, dict) else "",
    )
    def test_each_thing_that_is_wrong_is_named_and_nothing_else(
        self, changes: dict[str, object], names: set[str]
    ) -> None:
        decision = decide(good(**changes), CHAMPION, RULES)
        assert not decision.promoted
        assert refused(decision) == names, decision.told

    @pytest.mark.parametrize(
        ("column", "value"), [("tenant_id", "south"), ("level", "branch"), ("demand_class", "lumpy")]
    )
    def test_one_part_may_not_pay_for_the_others(self, column: str, value: str) -> None:
        part, bad = pl.col("unique_id") == "1", windows(15.0, seed=3)
        mixed = pl.concat([windows(2.0).filter(~part), bad.filter(part)])
        others = "north" if column == "tenant_id" else column
        ours, theirs, baseline = (
            frame.with_columns(pl.when(part).then(pl.lit(value)).otherwise(pl.lit(others)).alias(column))
            for frame in (mixed, CHAMPION.scored, windows(18.0, seed=9))
        )
        decision = decide(good(scored=ours, baseline=baseline), replace(CHAMPION, scored=theirs), RULES)
        assert f"no {column.removesuffix('_id').replace('_', ' ')} worse" in refused(decision), decision.told
        assert f"worse for {value}" in decision.told

    def test_a_small_class_may_be_worse_and_a_small_tenant_not(self) -> None:
        part, bad = pl.col("unique_id") == "1", windows(30.0, seed=3)
        mixed = pl.concat([windows(2.0).filter(~part), bad.filter(part)])
        small = (
            pl.when(part)
            .then(pl.col("y", "mean", "scale", *BOUNDS) * 0.01)
            .otherwise(pl.col("y", "mean", "scale", *BOUNDS))
        )

        def shrunk(frame: pl.DataFrame, column: str) -> pl.DataFrame:
            return frame.with_columns(small, pl.when(part).then(pl.lit("tiny")).otherwise(column).alias(column))

        for column, names in (("demand_class", set()), ("tenant_id", {"no tenant worse"})):
            ours, theirs, baseline = (shrunk(f, column) for f in (mixed, CHAMPION.scored, windows(12.0, seed=9)))
            decision = decide(good(scored=ours, baseline=baseline), replace(CHAMPION, scored=theirs), RULES)
            assert refused(decision) - {"intervals as sharp"} == names, decision.told

    def test_hardly_better_is_not_enough(self) -> None:
        same = decide(good(scored=windows(7.0, seed=5)), CHAMPION, RULES)
        assert refused(same) == {"better than the champion", "by more than chance"}
        lucky = decide(good(scored=windows(6.9, seed=8, series=6)), CHAMPION, replace(RULES, most_p=1e-12))
        assert "by more than chance" in refused(lucky)

    @pytest.mark.parametrize(
        ("width", "names"),
        [
            (0.0, {"80 % intervals hold", "95 % intervals hold", "intervals as sharp"}),
            (0.5, {"80 % intervals hold", "95 % intervals hold", "intervals as sharp"}),
            (1.0, set()),
            (6.0, {"80 % intervals hold", "intervals as sharp"}),
        ],
    )
    def test_intervals_have_to_hold_and_to_be_of_use(self, width: float, names: set[str]) -> None:
        scored = windows(2.0).with_columns(
            (pl.col("mean") + width * (pl.col(name) - pl.col("mean"))).alias(name) for name in BOUNDS
        )
        assert refused(decide(good(scored=scored), CHAMPION, RULES)) == names

    def test_a_backtest_without_intervals_is_no_evidence_of_any(self) -> None:
        bare = windows(2.0).with_columns(pl.lit(None, pl.Float64).alias(name) for name in BOUNDS)
        names = {"80 % intervals hold", "95 % intervals hold", "intervals as sharp"}
        assert refused(decide(good(scored=bare), CHAMPION, RULES)) == names

    def test_an_error_below_noise_is_not_believed(self) -> None:
        known = windows(2.0).with_columns(mean=0.3 * pl.col("mean") + 0.7 * pl.col("y"))
        assert "a plausible error" in refused(decide(good(scored=known), CHAMPION, RULES))

    def test_who_was_measured_elsewhere_cannot_be_compared(self) -> None:
        fewer = good(scored=windows(2.0).filter(pl.col("fold") > 0))
        assert refused(decide(fewer, CHAMPION, RULES)) == {"the same windows"}
        moved = good(scored=windows(2.0).with_columns(pl.col("y") + 1))
        assert "the same windows" in refused(decide(moved, CHAMPION, RULES))

    def test_what_is_no_evidence_is_an_error_that_says_so(self) -> None:
        with pytest.raises(ModelError, match="expected scored windows and the baseline"):
            decide(replace(good(), baseline=None), None, RULES)
        with pytest.raises(ModelError, match="expected scored windows"):
            decide(good(scored=windows(2.0).clear()), CHAMPION, RULES)
        with pytest.raises(ModelError, match="demand_class missing"):
            Evidence("ETS", windows(2.0).drop("demand_class"))
        with pytest.raises(ModelError, match="some come twice"):
            Evidence("ETS", pl.concat([windows(2.0), windows(2.0).head(1)]))


class TestDigest:
    ROWS = pl.DataFrame({"unique_id": ["a", "a", "b"], "y": [1.0, 2.5, 3.0]})

    def test_it_is_bound_to_tenant_and_release(self) -> None:
        told = {digest(self.ROWS, tenant_id=tenant, release=release) for tenant in "ns" for release in ("r1", "r2")}
        assert len(told) == 4

    @given(st.permutations(range(3)), st.permutations(["unique_id", "y"]))
    def test_order_does_not_matter(self, rows: list[int], columns: list[str]) -> None:
        again = self.ROWS[rows].select(columns)
        assert digest(again, tenant_id="n", release="r") == digest(self.ROWS, tenant_id="n", release="r")

    @given(st.integers(0, 2), st.floats(0.01, 1e6))
    def test_a_cent_matters(self, row: int, more: float) -> None:
        there = pl.int_range(pl.len()) == row
        other = self.ROWS.with_columns(pl.when(there).then(pl.col("y") + more).otherwise("y").alias("y"))
        assert digest(other, tenant_id="n", release="r") != digest(self.ROWS, tenant_id="n", release="r")


class TestLeak:
    CUTOFF = MONDAY + timedelta(days=20)
    ROWS = pl.DataFrame(
        {
            "unique_id": ["a"] * 28 + ["b"] * 28,
            "ds": [MONDAY + timedelta(days=day) for day in range(28)] * 2,
            "y": [float(10 + day % 7) for day in range(56)],
            "footfall": list(range(56)),
            "rain": [day % 3 == 0 for day in range(56)],
            "mood": [f"mood {day}" for day in range(56)],
            "promotion": [day % 5 == 0 for day in range(56)],
        }
    )
    KNOWN = ("unique_id", "promotion")

    def _with(self, column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """A forecaster that adds what a column says of the day to the mean of the past."""

        def forecaster(rows: pl.DataFrame) -> pl.DataFrame:
            past = rows.filter(pl.col("ds") <= self.CUTOFF).group_by("unique_id").agg(mean=pl.col("y").mean())
            ahead = rows.filter(pl.col("ds") > self.CUTOFF).join(past, on="unique_id")
            seen = pl.col(column).cast(pl.String).hash() % 97
            return ahead.select("unique_id", "ds", mean=pl.col("mean") + 0.01 * seen)

        return forecaster

    @pytest.mark.parametrize("column", ["y", "footfall", "rain", "mood"])
    def test_a_forecast_that_follows_the_future_is_found_out(self, column: str) -> None:
        assert leak(self._with(column), self.ROWS, cutoff=self.CUTOFF, time="ds", known=self.KNOWN) > RULES.most_change

    @pytest.mark.parametrize("column", ["promotion", "ds"])
    def test_what_is_planned_may_be_known(self, column: str) -> None:
        assert leak(self._with(column), self.ROWS, cutoff=self.CUTOFF, time="ds", known=self.KNOWN) == 0.0

    def test_a_plan_that_was_not_declared_is_none(self) -> None:
        undeclared = leak(self._with("promotion"), self.ROWS, cutoff=self.CUTOFF, time="ds", known=("unique_id",))
        assert undeclared > RULES.most_change

    def test_only_the_future_is_changed_and_all_of_it(self) -> None:
        other = perturbed(self.ROWS, cutoff=self.CUTOFF, time="ds", known=self.KNOWN)
        past, plan = pl.col("ds") <= self.CUTOFF, ["unique_id", "ds", "promotion"]
        assert_frame_equal(other.filter(past), self.ROWS.filter(past))
        assert_frame_equal(other.select(plan), self.ROWS.select(plan))
        for column in ("y", "footfall", "rain"):
            assert (other.filter(~past)[column] != self.ROWS.filter(~past)[column]).all(), column
        assert other.filter(~past)["y"].min() > 0  # type: ignore[operator]

    def test_a_difference_is_a_share_of_the_forecasts_size(self) -> None:
        one = self.ROWS.select("unique_id", "ds", mean="y")
        size = float(one["mean"].mean())  # type: ignore[arg-type]
        assert difference(one, one.reverse()) == 0.0
        assert difference(one, one.with_columns(pl.col("mean") + 0.5)) == pytest.approx(0.5 / size)
        assert difference(one, one.with_columns(pl.col("mean") + 0.01), step=0.01) == 0.0
        assert difference(one, one.with_columns(pl.col("mean") + 0.02), step=0.01) > 0.0
        assert difference(one, one.head(3)) == math.inf
        assert difference(one, one.with_columns(mean=math.nan)) == math.inf


class TestMeasures:
    def test_chance_is_taken_for_more_as_often_as_is_stated(self) -> None:
        """Two forecasts equally good, whose errors go together within a window and over all series."""
        found = 0
        for seed in range(400):
            random = np.random.default_rng(seed)
            one, other = (windows(0.0, series=2) for _ in range(2))
            moved = [_wandering(random, frame) for frame in (one, other)]
            found += diebold_mariano(*moved).p_value <= 0.05
        assert 0.01 <= found / 400 <= 0.08

    def test_a_clear_advantage_is_seen_and_its_opposite_is_not(self) -> None:
        better, worse = windows(2.0), windows(7.0, seed=5)
        assert diebold_mariano(better, worse).p_value < 0.01
        assert diebold_mariano(worse, better).p_value > 0.99
        assert diebold_mariano(better, worse).periods == FOLDS * HORIZON

    def test_no_difference_is_no_advantage_and_a_constant_one_is_certain(self) -> None:
        rows = windows(2.0)
        assert diebold_mariano(rows, rows).p_value == 1.0
        flat = rows.with_columns(mean=pl.col("y") + 1.0)
        assert diebold_mariano(flat, rows.with_columns(mean=pl.col("y") + 2.0)).p_value == 0.0

    def test_the_best_that_can_be_had_is_about_noise(self) -> None:
        assert noise_share(windows(0.0)) == pytest.approx(1.0, abs=0.1)
        assert math.isnan(noise_share(windows(0.0, error=0.0)))

    def test_an_interval_that_misses_pays_for_it(self) -> None:
        row = windows(2.0).tail(1).with_columns(lo80=90.0, hi80=110.0, lo95=80.0, hi95=120.0, scale=10.0)
        inside, outside = (row.with_columns(y=y).select(INTERVAL).item() for y in (100.0, 130.0))
        assert inside == pytest.approx((20 + 40) / 2 / 10)
        assert outside == pytest.approx((20 + 20 * 10 + 40 + 10 * 40) / 2 / 10)


def _wandering(random: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    """Forecasts whose error drifts from day to day within a window, the same for all series."""
    drift = np.concatenate([np.cumsum(random.normal(0, 2, HORIZON)) for _ in range(FOLDS)])
    by_day = pl.DataFrame({"ds": frame["ds"].unique().sort(), "drift": drift})
    return frame.join(by_day, on="ds").with_columns(pl.col("mean") + pl.col("drift")).drop("drift")


@pytest.fixture(scope="module")
def fought() -> list[Contest]:
    return contests()


class TestChallengers:
    @pytest.mark.parametrize("flaw", FLAWS)
    def test_none_of_ten_with_a_flaw_is_promoted_though_all_look_better(self, fought: list[Contest], flaw: str) -> None:
        own = [one for one in fought if one.kind == flaw]
        assert len(own) == 10
        for one in own:
            assert one.gain >= 0.03, "else nothing is shown"
            assert not one.decision.promoted, one.seed

    def test_what_refuses_them_is_their_flaw(self, fought: list[Contest]) -> None:
        """Nearly always nothing else: without the flaw they would have been promoted."""
        found = {
            "leaked feature": {"no leakage", "a plausible error"},
            "stale release": {"fresh data", "the data that were named"},
            "swapped tenants": {"the data that were named", "the same windows"},
            "flat intervals": {"80 % intervals hold", "95 % intervals hold", "intervals as sharp"},
            "one tenant worse": {"no tenant worse"},
        }
        bad = [one for one in fought if one.kind in found]
        assert all(refused(one.decision) & found[one.kind] for one in bad)
        assert sum(refused(one.decision) <= found[one.kind] for one in bad) >= 45

    def test_at_least_nineteen_of_twenty_better_ones_are_promoted(self, fought: list[Contest]) -> None:
        better = [one for one in fought if one.kind == "better"]
        assert len(better) == 20
        assert sum(one.decision.promoted for one in better) >= 19, [one.decision.told for one in better]
