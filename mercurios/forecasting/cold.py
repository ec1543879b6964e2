"""Cold start: what a series that has just begun will sell, told by how others began.

    ColdStart(periods=8, members=(RecentMean(periods=8),)).forecast(split.tail, horizon=4)    # unique_id, ds, mean

The first period of a series is there because something was sold in it, so it tells nothing of how often the series
sells. That is told by the periods after it and, as long as they are few, by those of its peers (`Panel.peers`): a
beta-binomial with the moments of their shares of periods sold. How much is sold at a time is the series' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from mercurios.forecasting.candidates import Candidate
from mercurios.forecasting.ensembles import Ensemble
from mercurios.forecasting.series import Matrix, Panel

_LEAST_PEERS = 10
_PARENT_PEERS = 20  # of one parent that weigh as much as all peers together


class ColdStart(Ensemble, frozen=True):
    """New series by what they sold since they began and how often their peers did; all others by the one member.

    periods: open periods through which a series is new. One that sold in as many first periods of the tenant may be
    old, so it is neither new nor a peer. With fewer than ten peers that have outgrown their beginnings, nobody is new.
    """

    periods: int = Field(ge=3)

    @field_validator("members")
    @classmethod
    def _one(cls, members: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if len(members) != 1:
            raise ValueError(f"expected one member, for the series that are not new, got {len(members)}")
        return members

    def _combined(self, made: Sequence[Sequence[pl.DataFrame]], panel: Panel, place: int) -> pl.DataFrame:
        [others] = made
        known = others[place].join(self._levels(panel), on="unique_id", how="left", maintain_order="left")
        return known.select("unique_id", "ds", mean=pl.coalesce("level", "mean"))

    def _levels(self, panel: Panel) -> pl.DataFrame:
        """One row per new series: unique_id, level."""
        lives = self._lives(panel)
        peers = lives.filter(pl.col("age") > self.periods)
        new = lives.filter(pl.col("age") <= self.periods, pl.col("unique_id").is_in(panel.keys))
        if peers.height < _LEAST_PEERS:
            return new.select("unique_id", level="size").clear()
        levels = new["size"].to_numpy() * _Habits.of(peers, self.periods - 1).shares(new)
        return new.select("unique_id", level=pl.Series(levels, dtype=pl.Float64))

    def _lives(self, panel: Panel) -> pl.DataFrame:
        """One row per series that is known to have begun, sorted: unique_id, parent, began, age in open periods.

        count: the open periods after its first one, at most `periods` - 1; share of them with sales; size of a sale.
        """
        rows = panel.rows.with_columns(parent=pl.lit("")) if panel.peers is None else panel.peers
        later = pl.col("y").slice(1, self.periods - 1)
        sizes = pl.when((later != 0).any()).then(later.filter(later != 0).mean()).otherwise(pl.col("y").first())
        lives = (
            rows.filter("is_open")
            .sort("unique_id", "ds")
            .group_by("unique_id", maintain_order=True)
            .agg(
                parent=pl.col("parent").first(),
                began=pl.col("ds").first(),
                age=pl.len(),
                count=later.len(),
                share=(later != 0).mean().fill_null(0.0),
                size=sizes.round(6),
            )
        )
        return lives.filter(pl.col("began") > panel.calendar["ds"].head(self.periods).item(-1))


@dataclass(frozen=True)
class _Habits:
    """How often peers sold after their first period: in all, by parent, and periods of its own that outweigh them."""

    everybody: float
    by_parent: pl.DataFrame
    weight: float

    @classmethod
    def of(cls, peers: pl.DataFrame, count: int) -> Self:
        """peers: of which `count` periods after the first are known."""
        shares = peers["share"].to_numpy()
        mean = float(shares.mean())
        between = float(shares.var() - (shares * (1 - shares)).mean() / (count - 1))
        weight = max(mean * (1 - mean) / between - 1, 0.0) if between > 0 else np.inf
        own = (pl.col("share").list.sum() + _PARENT_PEERS * mean) / (pl.col("share").list.len() + _PARENT_PEERS)
        by_parent = peers.group_by("parent", maintain_order=True).agg("share").select("parent", usual=own)
        return cls(mean, by_parent, weight)

    def shares(self, new: pl.DataFrame) -> Matrix:
        """The share of periods in which each new series is expected to sell."""
        known = new.join(self.by_parent, on="parent", how="left", maintain_order="left")
        usual, count = known["usual"].fill_null(self.everybody).to_numpy(), known["count"].to_numpy()
        own = np.divide(count, count + self.weight, out=np.zeros(len(new)), where=count > 0)
        share: Matrix = own * known["share"].to_numpy() + (1 - own) * usual
        return share
