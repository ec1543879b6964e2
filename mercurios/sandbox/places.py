"""Places: where the API's order puts a row among the rows of a listing.

    places(SHAPES["branch"], frame, rows)     # [3, 3, 7]: before which row of `frame` each of `rows` comes

Masters come by key ascending; sales by branch, then receiptNumber descending, then position, never by date.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from mercurios.sandbox.shapes import Shape


@dataclass(frozen=True)
class By:
    """One column of an order."""

    name: str
    descending: bool = False


def order_of(shape: Shape, columns: list[str]) -> tuple[By, ...]:
    """By what the API sorts an entity, as far as there are columns."""
    names = ("branchNumber", "receiptNumber", "receiptPosition") if shape.entity == "sale" else shape.key
    return tuple(By(name, name == "receiptNumber") for name in names if name in columns)


def ordered(shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as the API lists them; rows that the order does not tell apart stay as they come."""
    order = order_of(shape, frame.columns)
    if not order:
        return frame
    return frame.sort([by.name for by in order], descending=[by.descending for by in order], maintain_order=True)


def is_ordered(shape: Shape, frame: pl.DataFrame) -> bool:
    """Whether the rows are as the API lists them."""
    follows = pl.lit(True)
    for by in reversed(order_of(shape, frame.columns)):
        column, before = pl.col(by.name), pl.col(by.name).shift(1)
        further = column < before if by.descending else column > before
        follows = further | ((column == before) & follows)
    return bool(frame.select(follows.slice(1).fill_null(False).all()).item()) if frame.height > 1 else True


def places(shape: Shape, frame: pl.DataFrame, rows: pl.DataFrame, *, in_order: bool) -> list[int]:
    """Before which row of `frame` each of `rows` comes: the first that the order puts after it.

    in_order: whether `frame` is ordered; if not, every row is looked at. `rows` have the columns of `frame`.
    """
    order = order_of(shape, frame.columns)
    values = rows.select(by.name for by in order).iter_rows()
    if not order:
        return [frame.height] * rows.height
    return list(_searched(frame, order, values) if in_order else _scanned(frame, order, values))


def _searched(frame: pl.DataFrame, order: tuple[By, ...], values: Iterator[tuple[Any, ...]]) -> Iterator[int]:
    known: dict[tuple[Any, ...], tuple[int, int]] = {(): (0, frame.height)}
    for row in values:
        for depth, by in enumerate(order):
            if row[: depth + 1] in known:
                continue
            low, high = known[row[:depth]]
            column = frame[by.name].slice(low, high - low)
            first = column.search_sorted(row[depth], "left", descending=by.descending)
            last = column.search_sorted(row[depth], "right", descending=by.descending)
            known[row[: depth + 1]] = (low + first, low + last)
        yield known[row][1]


def _scanned(frame: pl.DataFrame, order: tuple[By, ...], values: Iterator[tuple[Any, ...]]) -> Iterator[int]:
    for row in values:
        comes_after = pl.lit(False)
        for by, value in zip(reversed(order), reversed(row), strict=True):
            column = pl.col(by.name)
            further = column < value if by.descending else column > value
            comes_after = further | ((column == value) & comes_after)
        first = frame.select(comes_after.fill_null(False).arg_true().first()).item()
        yield frame.height if first is None else first
