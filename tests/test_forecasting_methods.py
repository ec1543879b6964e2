"""Methods for seldom sold and new series, and networks: the libraries' own numbers, and how new series are told."""

import logging
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mercurios.errors import ConfigError
from mercurios.forecasting import FittedLevel, Panel, Split, Windows, fit_part, score_windows, split_series
from mercurios.forecasting.candidates import ADIDA, Candidate, RecentMean, build
from mercurios.forecasting.cold import ColdStart
from mercurios.forecasting.intervals import Bands, Quantiles
from mercurios.forecasting.neural import MLP, NHITS
from mercurios.forecasting.series import Grain, Rules

MONDAY = date(2024, 1, 1)
WEEKS = 40
WEEKLY = Rules(Grain.WEEK, min_periods_sold=30, active_periods=4, tail_periods=8)
COLD = ColdStart(periods=8, members=(RecentMean(periods=8),))
Values = dict[str, list[float]]


def sales(values: Values, parents: dict[str, str] | None = None) -> pl.DataFrame:
    """One row per key and week in which it sold, every series ending in week 40; with parents, where they are told."""
    rows = [
        (key, MONDAY + timedelta(weeks=WEEKS - len(series) + week), value)
        for key, series in values.items()
        for week, value in enumerate(series)
        if value
    ]
    frame = pl.DataFrame(rows, schema={"key": pl.String, "sold_on": pl.Date, "revenue": pl.Float64}, orient="row")
    return frame if parents is None else frame.with_columns(parent=pl.col("key").replace_strict(parents, default=None))


def split(values: Values, parents: dict[str, str] | None = None) -> Split:
    """As of the end of week 40, among one series that was always there."""
    always = {"always": [50.0] * WEEKS}
    return split_series(sales(always | values, parents), WEEKLY, until=MONDAY + timedelta(weeks=WEEKS, days=-1))


def means(candidate: Candidate, panel: Panel) -> dict[str, float]:
    return dict(candidate.forecast(panel, 1).select("unique_id", "mean").rows())


def elders(sold: int, count: int = 10, name: str = "elder") -> Values:
    """Series of 20 weeks that sold in `sold` of the seven weeks after their first."""
    return {f"{name} {n}": [10.0, *([10.0] * sold), *([0.0] * (7 - sold)), *[10.0] * 12] for n in range(count)}


class TestColdStart:
    def test_a_series_of_one_week_sells_as_often_as_others_did(self) -> None:
        level = split({**elders(1, 6), **elders(5, 6, "other"), "new": [80.0]})
        # Six sold in 1/7 of the weeks after their first and six in 5/7: in 3/7 on average.
        assert means(COLD, level.tail)["new"] == pytest.approx(80 * 3 / 7)
        assert means(RecentMean(periods=8), level.tail)["new"] == pytest.approx(80 / 8)

    def test_what_it_sold_itself_soon_outweighs_the_others(self) -> None:
        level = split({**elders(0, 6), **elders(7, 6, "other"), "busy": [20.0] * 5, "once": [20.0, 0, 0, 0, 0]})
        told = means(COLD, level.tail)
        # Peers that sell always or never tell by their own weeks alone which they are.
        assert told["busy"] == pytest.approx(20.0)
        assert told["once"] == pytest.approx(0.0)

    def test_peers_that_are_all_alike_are_believed(self) -> None:
        level = split({**elders(2, 12), "busy": [20.0] * 5})
        assert means(COLD, level.tail)["busy"] == pytest.approx(20 * 2 / 7)

    def test_those_of_the_same_parent_count_more(self) -> None:
        values = {**elders(1, 20, "rare"), **elders(5, 20, "usual"), "a": [70.0], "b": [70.0], "c": [70.0]}
        parents = {key: key.split()[0] for key in values} | {"a": "rare", "b": "usual"}
        told = means(COLD, split(values, parents).tail)
        # Twenty of one's own weigh as much as all forty together, which sold in 3/7 of the weeks.
        assert told["a"] == pytest.approx(70 * (1 / 7 + 3 / 7) / 2)
        assert told["b"] == pytest.approx(70 * (5 / 7 + 3 / 7) / 2)
        assert told["c"] == pytest.approx(70 * 3 / 7)

    def test_all_others_are_the_members(self) -> None:
        level = split({**elders(3, 12), "new": [80.0]})
        told, member = means(COLD, level.tail), means(RecentMean(periods=8), level.tail)
        assert {key for key in told if told[key] != member[key]} == {"new"}
        modelled = level.modelled
        assert_frame_equal(COLD.forecast(modelled, 4), RecentMean(periods=8).forecast(modelled, 4))

    def test_with_few_peers_nobody_is_new(self) -> None:
        level = split({**elders(3, 9), "new": [80.0]})
        assert means(COLD, level.tail)["new"] == 10.0

    def test_what_may_have_sold_before_the_tenant_came_is_neither_new_nor_a_peer(self) -> None:
        early = {f"early {n}": [10.0, *[0.0] * 30, *[10.0] * 8] for n in range(30)}  # they begin in week 2
        level = split({**elders(3, 12), **early, "new": [80.0]})
        assert means(COLD, level.tail)["new"] == pytest.approx(80 * 3 / 7)
        young = level.tail.before(WEEKS - 5)
        assert_frame_equal(COLD.forecast(young, 4), RecentMean(periods=8).forecast(young, 4))

    def test_what_peers_did_after_the_cutoff_is_not_seen(self) -> None:
        values = {**elders(3, 12), "new": [0.0] * 3 + [80.0] * 6}
        level = split(values).tail
        assert level.peers is not None
        changed = pl.when(pl.col("ds") > level.before(4).last_period).then(pl.col("y") * 9 + 1).otherwise("y")
        other = replace(level, rows=level.rows.with_columns(y=changed), peers=level.peers.with_columns(y=changed))
        assert_frame_equal(COLD.forecast(level.before(4), 4), COLD.forecast(other.before(4), 4))
        assert not COLD.forecast(level, 4).equals(COLD.forecast(other, 4))

    def test_read_back_it_knows_its_peers(self, tmp_path: Path) -> None:
        level = split({**elders(3, 12), "new": [80.0] * 3})
        trial = score_windows(level.tail, {"it": COLD}, Windows(2, 2))
        fitted = FittedLevel((fit_part(level.tail, trial, "it", fallback=Bands(Quantiles(-1, 1, -2, 2, 1))),))
        fitted.save(tmp_path)
        again = FittedLevel.load(tmp_path).forecast(4)
        assert_frame_equal(again, fitted.forecast(4), check_exact=True)
        assert again.filter(unique_id="new")["mean"][0] == pytest.approx(80 * 3 / 7, abs=0.01)

    def test_dormant_series_are_peers_too(self) -> None:
        gone = {f"gone {n}": [10.0, *[0.0] * 19] for n in range(12)}
        level = split({**elders(7, 12), **gone, "new": [80.0]})
        assert set(level.dormant) == set(gone)
        assert means(COLD, level.tail)["new"] == pytest.approx(80 / 2)

    @pytest.mark.parametrize("members", [[], [RecentMean(periods=8)] * 2], ids=["none", "two"])
    def test_it_has_one_member(self, members: list[Candidate]) -> None:
        with pytest.raises(ConfigError, match=f"expected one member.*got {len(members)}"):
            build("ColdStart", {"periods": 8, "members": members})

    @given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 100.0, 1e5]))
    def test_the_unit_does_not_matter_and_no_forecast_is_odd(self, seed: int, unit: float) -> None:
        random = np.random.default_rng(seed)
        values = {
            f"{n:02}": [1.0, *(random.lognormal(0, 1, size) * (random.random(size) < random.random()) - (n == 3))]
            for n, size in enumerate(random.integers(0, 30, 30))
        }
        values = {key: [round(value, 2) * 100 for value in series] for key, series in values.items()}
        scaled = {key: [value * unit for value in series] for key, series in values.items()}
        one, two = (means(COLD, split(of).tail) for of in (values, scaled))
        assert np.isfinite(list(one.values())).all()
        assert {key: value * unit for key, value in one.items()} == pytest.approx(two, rel=1e-4, abs=unit)


def noisy(keys: int = 3, weeks: int = 60) -> Panel:
    random = np.random.default_rng(3)
    days = [MONDAY + timedelta(weeks=week) for week in range(weeks)]
    rows = [(str(key), ds, float(random.poisson(0.6) * 10), True) for key in range(keys) for ds in days]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y", "is_open"], orient="row")
    return Panel(frame, pl.DataFrame({"ds": days, "is_open": True}), Grain.WEEK)


class TestTheLibrariesOwnNumbers:
    def test_adida_is_that_of_statsforecast(self) -> None:
        from statsforecast.models import ADIDA as Theirs

        panel = noisy()
        ours = ADIDA().forecast(panel, 3).sort("unique_id", "ds")
        theirs = [Theirs().forecast(y=panel.rows.filter(unique_id=key)["y"].to_numpy(), h=3)["mean"] for key in "012"]
        assert ours["mean"].to_list() == pytest.approx(np.concatenate(theirs).tolist())

    @pytest.mark.parametrize(
        ("ours", "shape"),
        [
            (MLP(input_size=8, max_steps=4, hidden=16, layers=3), {"num_layers": 3, "hidden_size": 16}),
            (
                NHITS(input_size=8, max_steps=4, hidden=16, downsample=(2, 1, 1)),
                {"mlp_units": [[16, 16]] * 3, "n_freq_downsample": [2, 1, 1], "n_pool_kernel_size": [2, 2, 1]},
            ),
        ],
        ids=["MLP", "NHITS"],
    )
    @pytest.mark.filterwarnings("ignore")
    def test_networks_are_those_of_neuralforecast(self, ours: Candidate, shape: dict[str, object]) -> None:
        import neuralforecast.models
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MQLoss

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        panel = noisy()
        theirs = getattr(neuralforecast.models, ours.name)(
            h=3,
            input_size=8,
            max_steps=4,
            loss=MQLoss(quantiles=[share / 20 for share in range(1, 20, 2)]),
            windows_batch_size=128,
            scaler_type="identity",
            start_padding_enabled=True,
            random_seed=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **shape,
        )
        network = NeuralForecast(models=[theirs], freq="1w")
        network.fit(panel.rows.select("unique_id", "ds", "y"), val_size=0)
        quantiles = network.predict().sort("unique_id", "ds").drop("unique_id", "ds")
        made = ours.forecast(panel, 3).sort("unique_id", "ds")
        assert made["mean"].to_numpy() == pytest.approx(quantiles.to_numpy().mean(axis=1), rel=1e-4)


@pytest.mark.parametrize("candidate", [ADIDA(), COLD, ColdStart(periods=8, members=(ADIDA(),))], ids=lambda c: c.name)
def test_a_tail_without_a_series_is_no_trouble(candidate: Candidate) -> None:
    level = split({})
    assert level.tail.keys == ()
    assert candidate.forecast(level.tail, 4).is_empty()
    assert score_windows(level.tail, {"it": candidate}, Windows(4, 2)).scored.is_empty()
