"""Possible futures of a whole hierarchy, drawn from past errors, and intervals read off them.

An error of a sum is the sum of its series' errors on the same day, so errors are drawn for all series together. They
are drawn in blocks of a week, weekday for weekday: a path keeps what a week's errors have in common.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.hierarchy import Hierarchy
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.series import Grain

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]

_SHARES = {"lo80": 0.1, "hi80": 0.9, "lo95": 0.025, "hi95": 0.975}
_SIDES = np.array([-1.0 if bound.startswith("lo") else 1.0 for bound in BOUNDS])
_FEW_ERRORS = 20


@dataclass(frozen=True, eq=False)
class Paths:
    """Possible futures of all nodes at once; in each of them every sum is the sum of its series.

    means: bottom series × periods; errors: bottom series × past periods, the last column zero; drawn: periods × paths,
    the past period whose errors are added; floors: of each bottom series, nothing goes below.
    """

    hierarchy: Hierarchy
    ds: tuple[date, ...]
    means: Matrix
    errors: Matrix
    drawn: Places
    floors: Matrix

    def of(self, keys: Sequence[str]) -> pl.DataFrame:
        """The paths of some nodes: unique_id, ds, path, value. Raises ModelError for a node that is not there."""
        ids = self.hierarchy.nodes["unique_id"]
        if unknown := sorted(set(keys) - set(ids)):
            raise ModelError(f"{unknown[0]!r} is no node of the hierarchy; expected one of `hierarchy.nodes`")
        places = ids.is_in(list(keys)).arg_true()
        summing = self.hierarchy.summing[places.to_numpy()]
        numbers = range(self.drawn.shape[1])
        return (
            pl.DataFrame({"unique_id": ids[places]})
            .join(pl.DataFrame({"ds": self.ds}), how="cross", maintain_order="left_right")
            .join(pl.DataFrame({"path": numbers}), how="cross", maintain_order="left_right")
            .with_columns(value=np.stack([summing @ bottom for bottom in self._bottom()], axis=1).ravel())
        )

    def spreads(self) -> Matrix:
        """Nodes × periods: root mean square of how far the paths lie from the mean; one sided errors spread too."""
        summing = self.hierarchy.summing
        away = [bottom - self.means[:, [at]] for at, bottom in enumerate(self._bottom())]
        return np.stack([np.sqrt(np.square(summing @ moved).mean(axis=1)) for moved in away], axis=1)

    def _bottom(self) -> Iterator[Matrix]:
        for at, drawn in enumerate(self.drawn):
            yield np.maximum(self.means[:, [at]] + self.errors[:, drawn], self.floors[:, None])


@dataclass(frozen=True, eq=False)
class Calendar:
    """Past periods that errors are known of: their dates, their windows, and how a season (a week of days) repeats."""

    ds: tuple[date, ...]
    folds: Places
    grain: Grain

    def draw(self, ds: Sequence[date], paths: int, usable: Places) -> Places:
        """Periods × paths: for each future period one of the usable past ones, -1 on a weekday that none of them had.

        A week of a path is a week of the past; what a holiday cut out of it comes from the week before or after.
        """
        table = self._blocks(usable)
        season, slots = self._season, [self._slot(day) for day in ds]
        picked = np.random.default_rng(0).integers(len(table), size=(-(-len(ds) // season), paths))
        return np.stack([table[picked[at // season], slot] for at, slot in enumerate(slots)])

    @property
    def _season(self) -> int:
        return 7 if self.grain is Grain.DAY else 1

    def _slot(self, day: date) -> int:
        return day.weekday() % self._season

    def _blocks(self, usable: Places) -> Places:
        """Blocks × slots, places of past periods; a slot without any is -1."""
        days = [(int(self.folds[place]), self.ds[place].toordinal() - 1, place) for place in usable]
        names = sorted({(fold, day // 7) for fold, day, _ in days})
        table = np.full((len(names), self._season), -1)
        for fold, day, place in days:
            table[names.index((fold, day // 7)), day % 7 if self._season == 7 else 0] = place
        return _filled(table)


def _filled(table: Places) -> Places:
    every = pl.all().replace(-1, None).forward_fill().backward_fill().fill_null(-1)
    filled: Places = pl.DataFrame(table).select(every).to_numpy()
    return filled


def bounds(means: Matrix, spread: Matrix, scale: Matrix, floors: Matrix) -> Matrix:
    """Nodes × bounds: the mean and its scaled spreads; lo95 ≤ lo80 ≤ mean ≤ hi80 ≤ hi95, nothing below the floor.

    spread: of each node, from `Paths.spreads`; scale: nodes × bounds, from `scales`.
    """
    placed = np.maximum(means[:, None] + _SIDES * scale * spread[:, None], floors[:, None])
    told = dict(zip(BOUNDS, placed.T, strict=True))
    told["lo95"] = np.minimum(told["lo80"], told["lo95"])
    told["hi95"] = np.maximum(told["hi80"], told["hi95"])
    return np.stack([told[bound] for bound in BOUNDS], axis=1)


def scales(errors: Matrix, spreads: Matrix, known: Places, groups: Sequence[str]) -> Matrix:
    """Nodes × bounds: how many spreads of its paths a bound lies from the mean, by split conformal prediction.

    errors, spreads and known (which of them count): nodes × past periods. The quantile is over all nodes of a group,
    and over all nodes where a group has few errors.
    """
    without = np.where(errors == 0, 0.0, np.copysign(np.inf, errors))
    beyond = np.divide(errors, spreads, out=without, where=spreads > 0)
    names, table = np.array(groups), np.tile(_conformal(beyond[known]), (len(groups), 1))
    for name in sorted(set(groups)):
        own = known & (names == name)[:, None]
        if own.sum() >= _FEW_ERRORS:
            table[names == name] = _conformal(beyond[own])
    return table


def _conformal(beyond: Matrix) -> Matrix:
    """One number a bound; errors of nodes that had never erred count as larger than all others."""
    places = [max(share, 1 - share) * (len(beyond) + 1) for share in _SHARES.values()]
    told = []
    for side, place in zip(_SIDES, places, strict=True):
        finite = np.sort(side * beyond[np.isfinite(beyond) | (side * beyond < 0)])
        told.append(max(0.0, finite[min(math.ceil(place), len(finite)) - 1]) if len(finite) else 0.0)
    return np.array(told)
