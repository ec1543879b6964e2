"""Lead times: what was observed from order to receipt, else a stated mean and spread, else a default."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from scipy.stats import gamma

from mercurios.errors import ModelError
from mercurios.replenishment.protection import Floats
from mercurios.replenishment.settings import StockSettings


class LeadTimeBasis(StrEnum):
    """What an item's lead times rest on."""

    OBSERVED = "observed"
    STATED = "stated"  # a gamma distribution with the item's own mean and standard deviation
    DEFAULT = "default"  # the mean of the settings, without spread


def draw_lead_times(
    items: pl.DataFrame, lead_times: pl.DataFrame, settings: StockSettings
) -> tuple[Floats, list[LeadTimeBasis]]:
    """Items × samples in whole periods, at least one, and what each item's rest on.

    items: unique_id, and if known lead_days_mean, lead_days_sd, and late_days that come on top. lead_times: unique_id,
    lead_days; one row per receipt.
    An order of lead days that end within a period is there when the next one begins. A stated mean that is no number
    above zero counts as none.
    Raises ModelError for lead times that are negative or no number.
    """
    wrong = lead_times.filter(~(pl.col("lead_days").is_finite() & (pl.col("lead_days") >= 0)).fill_null(False))
    if not wrong.is_empty():
        key, days = wrong.select("unique_id", "lead_days").row(0)
        raise ModelError(
            f"item {key!r}: expected lead_days of 0 or more, got {days}; leave orders not yet received out"
        )
    observed = dict(lead_times.group_by("unique_id").agg(pl.col("lead_days").cast(pl.Float64).sort()).iter_rows())
    stated = items.select("unique_id", *(_or_null(items, name) for name in ("lead_days_mean", "lead_days_sd")))
    draws = _Draws(settings, np.random.default_rng((settings.seed, 1)).random(settings.samples), {})
    drawn = [draws.of(observed.get(key, []), mean, sd) for key, mean, sd in stated.iter_rows()]
    late = items.select(_or_null(items, "late_days").fill_null(0.0)).to_numpy()
    days = np.array([one for one, _ in drawn]).reshape(len(drawn), settings.samples) + late
    return np.maximum(np.ceil(days / settings.grain.days), 1.0), [basis for _, basis in drawn]


def _or_null(items: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64) if name in items.columns else pl.lit(None, pl.Float64).alias(name)


@dataclass(frozen=True)
class _Draws:
    """Lead times in days at the same ranks for all; those of one stated mean and spread are made once."""

    settings: StockSettings
    ranks: Floats
    made: dict[tuple[float, float], Floats]

    def of(self, observed: list[float], mean: float | None, sd: float | None) -> tuple[Floats, LeadTimeBasis]:
        """Samples of one item and what they rest on."""
        if len(observed) >= self.settings.min_receipts:
            return np.array(observed)[(self.ranks * len(observed)).astype(np.int64)], LeadTimeBasis.OBSERVED
        if mean and mean > 0:
            return self._stated(mean, sd or 0.0), LeadTimeBasis.STATED
        return np.full(len(self.ranks), self.settings.default_lead_days), LeadTimeBasis.DEFAULT

    def _stated(self, mean: float, sd: float) -> Floats:
        if (mean, sd) not in self.made:
            spread = gamma.ppf(self.ranks, (mean / sd) ** 2, scale=sd * sd / mean) if sd > 0 else mean
            self.made[mean, sd] = np.broadcast_to(spread, self.ranks.shape)
        return self.made[mean, sd]
