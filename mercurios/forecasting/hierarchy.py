"""Series and what they add up to.

    hierarchy = Hierarchy.of(articles, levels=((), ("branch",), ("department",), ("branch", "department")))
    hierarchy.panel(bottom)     # the same periods for every node: total, branch=12, …, and the series themselves

Levels may cross: an article counts in its branch and in its department, and neither lies within the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.series import Panel

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BOTTOM = "bottom"
TOTAL = "total"


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Nodes and how they are summed.

    nodes: unique_id, level, and the attributes that make a node one (null where they do not); in the order of the
    rows of `summing`, sums first, bottom series last and sorted.
    members: unique_id of a bottom series, node it counts in; no series as its own node.
    """

    nodes: pl.DataFrame
    members: pl.DataFrame
    bottom: int

    @classmethod
    def of(cls, series: pl.DataFrame, levels: Sequence[tuple[str, ...]]) -> Self:
        """Sum series by their attributes.

        series: unique_id and attributes, one row per bottom series. levels: the attributes each level is summed by,
        () is the total; the series themselves need not be named.
        Raises ModelError for an unknown or missing attribute, a series that is there twice, and names that meet.
        """
        _check(series, levels)
        series = series.sort("unique_id")
        members = [_members(series, level) for level in levels]
        sums = [of_level.drop("unique_id").unique().sort("node") for of_level in members]
        own = series.select(node="unique_id", level=pl.lit(BOTTOM))
        nodes = pl.concat([*sums, own], how="diagonal").rename({"node": "unique_id"})
        if (twice := nodes.filter(pl.col("unique_id").is_duplicated())).height:
            raise ModelError(
                f"two nodes are called {twice['unique_id'][0]!r}; rename the series or the attribute's value"
            )
        joined = pl.concat([of_level.select("unique_id", "node") for of_level in members]) if members else _NOBODY
        return cls(nodes, joined, series.height)

    @property
    def keys(self) -> tuple[str, ...]:
        """Ids of the bottom series, sorted."""
        return tuple(self.nodes["unique_id"].tail(self.bottom).to_list())

    @cached_property
    def summing(self) -> "csr_matrix":
        """Nodes × bottom series: 1 where a series counts in a node."""
        from scipy.sparse import csr_matrix, eye, vstack

        sums = self.nodes.height - self.bottom
        rows = self._places(self.members["node"])
        columns = self._places(self.members["unique_id"]) - sums
        upper = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(sums, self.bottom))
        return vstack([upper, eye(self.bottom)], format="csr")

    def panel(self, bottom: Panel) -> Panel:
        """All nodes with the periods of their series; raises ModelError unless the panel holds exactly the bottom."""
        if bottom.keys != self.keys:
            odd = sorted(set(bottom.keys) ^ set(self.keys))
            raise ModelError(f"{len(odd)} series are in the hierarchy or in the panel only, such as {odd[0]!r}")
        ds, sums = bottom.calendar["ds"], self.nodes.height - self.bottom
        known = bottom.rows.with_columns(known=pl.lit(1.0))
        y, begun = (self.summing[:sums] @ self.matrix(known, name, ds)[sums:] for name in ("y", "known"))
        of_sums = (
            self.nodes.select("unique_id")
            .head(sums)
            .join(bottom.calendar, how="cross", maintain_order="left_right")
            .select("unique_id", "ds", pl.Series("y", y.ravel()), "is_open")
            .filter(begun.ravel() > 0)
        )
        rows = pl.concat([of_sums, bottom.rows]).sort("unique_id", "ds")
        return replace(bottom, rows=rows, days=bottom.days and self.panel(bottom.days))

    def matrix(self, frame: pl.DataFrame, value: str, ds: pl.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Nodes × periods of one column; zero where the frame has no row. Raises ModelError for an unknown node."""
        unknown = frame.filter(~pl.col("unique_id").is_in(self.nodes["unique_id"].implode()))
        if not unknown.is_empty():
            raise ModelError(f"{unknown['unique_id'][0]!r} is no node of the hierarchy; expected total, level=value, …")
        values = np.zeros((self.nodes.height, len(ds)))
        values[self._places(frame["unique_id"]), ds.search_sorted(frame["ds"]).to_numpy()] = frame[value].to_numpy()
        return values

    def _places(self, ids: pl.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
        places = pl.int_range(self.nodes.height, eager=True)
        return ids.replace_strict(self.nodes["unique_id"], places, return_dtype=pl.Int64).to_numpy()


_NOBODY = pl.DataFrame(schema={"unique_id": pl.String, "node": pl.String})


def _members(series: pl.DataFrame, level: tuple[str, ...]) -> pl.DataFrame:
    name = "/".join(level) or TOTAL
    value = pl.concat_str([pl.col(attribute).cast(pl.String) for attribute in level], separator="/") if level else None
    node = pl.lit(TOTAL) if value is None else pl.format(f"{name}={{}}", value)
    return series.select("unique_id", *level, node=node, level=pl.lit(name))


def _check(series: pl.DataFrame, levels: Sequence[tuple[str, ...]]) -> None:
    if series.is_empty():
        raise ModelError("a hierarchy needs at least one series, got none")
    if (twice := series.filter(pl.col("unique_id").is_duplicated())).height:
        raise ModelError(f"series {twice['unique_id'][0]!r} is there twice; expected one row per bottom series")
    for attribute in sorted({attribute for level in levels for attribute in level}):
        if attribute not in series.columns:
            raise ModelError(f"unknown attribute {attribute!r}; the series have {', '.join(series.columns)}")
        if (without := series.filter(pl.col(attribute).is_null())).height:
            raise ModelError(f"series {without['unique_id'][0]!r} has no {attribute}; give it one, e.g. 'other'")
