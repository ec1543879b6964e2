"""Small neural networks over all series at once, of neuralforecast, on the CPU and silent.

MLP(input_size=8, max_steps=600).forecast(panel, horizon=4)     # unique_id, ds, mean
"""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
from pydantic import Field

from mercurios.errors import ModelError
from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.series import Panel

# Ten midpoints of ten equal shares: their mean is the mean of the distribution, where the median of branch days would
# lose a fifth of the revenue.
_QUANTILES = tuple(share / 20 for share in range(1, 20, 2))


class Neural(Candidate, ABC, frozen=True):
    """A network trained with quantile loss; the point forecast is the mean over its quantiles.

    In a backtest it is trained once, on the oldest panel, and rolled over the later ones without refitting. For the
    forecast that is published it is trained on everything.
    """

    input_size: int = Field(gt=0)
    max_steps: int = Field(gt=0)
    learning_rate: float = 1e-3
    hidden: int = Field(default=64, gt=0)
    seed: int = 1

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        return self.roll([panel], horizon)[0]

    def roll(self, panels: Sequence[Panel], horizon: int) -> list[pl.DataFrame]:
        """See `Candidate.roll`; trained on the first panel only."""
        from neuralforecast import NeuralForecast

        frames = [panel.rows.select("unique_id", "ds", "y") for panel in panels]
        with _silence(), _one_thread():
            network = NeuralForecast(models=[self._network(self._training(horizon))], freq=panels[0].grain.every)
            network.fit(frames[0], val_size=0)
            return [self._mean(network.predict(df=frame)) for frame in frames]

    @abstractmethod
    def _network(self, training: Mapping[str, Any]) -> Any:
        """The model of neuralforecast, made with these arguments and those of its shape."""

    def _training(self, horizon: int) -> dict[str, Any]:
        from neuralforecast.losses.pytorch import MQLoss

        return {
            "h": horizon,
            "input_size": self.input_size,
            "max_steps": self.max_steps,
            "val_check_steps": self.max_steps,
            "learning_rate": self.learning_rate,
            "loss": MQLoss(quantiles=list(_QUANTILES)),
            "windows_batch_size": 128,
            "scaler_type": "identity",
            "start_padding_enabled": True,
            "random_seed": self.seed,
            "alias": self.name,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }

    def _mean(self, quantiles: pl.DataFrame) -> pl.DataFrame:
        columns = [name for name in quantiles.columns if name.startswith(self.name)]
        if len(columns) != len(_QUANTILES):
            raise ModelError(
                f"{self.name}: expected {len(_QUANTILES)} quantiles, got {columns}; is neuralforecast a new one?"
            )
        # In numpy and in doubles: polars adds columns in whatever order its threads finish, and single floats show it.
        mean = quantiles.select(columns).to_numpy().astype("float64").mean(axis=1)
        return quantiles.select("unique_id", "ds", mean=pl.Series(mean))


class NHITS(Neural, frozen=True):
    """Stacked networks that look at the past at several resolutions (Challu et al. 2023)."""

    downsample: tuple[int, int, int] = (4, 2, 1)
    pooling: tuple[int, int, int] = (2, 2, 1)

    def _network(self, training: Mapping[str, Any]) -> Any:
        from neuralforecast.models import NHITS as Network

        return Network(
            mlp_units=[[self.hidden, self.hidden]] * 3,
            n_freq_downsample=list(self.downsample),
            n_pool_kernel_size=list(self.pooling),
            **training,
        )


class MLP(Neural, frozen=True):
    """Fully connected layers from the past to all quantiles of the horizon."""

    layers: int = Field(default=2, gt=0)

    def _network(self, training: Mapping[str, Any]) -> Any:
        from neuralforecast.models import MLP as Network

        return Network(num_layers=self.layers, hidden_size=self.hidden, **training)


@contextmanager
def _one_thread() -> Iterator[None]:
    # The network is too small to share, and one thread adds in the same order every time.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _silence() -> Iterator[None]:
    import neuralforecast

    assert neuralforecast
    for name in [name for name in logging.root.manager.loggerDict if "lightning" in name]:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        yield
