"""Selections: the part of a listing that query parameters ask for, where the rules name such parameters.

    selection = asked(Filters(changed_from="changedFrom"), {"changedFrom": "2025-03-01T00:00:00"}.get)
    selected(shape, frame, selection)

Nobody has seen the real API select anything (reference, section 1.1); this is what a server does that does.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import polars as pl

from mercurios.errors import BadRequest
from mercurios.sandbox.shapes import NEVER, Shape
from mercurios.tenancy import Filters

_EARLIEST, _LATEST = datetime(1700, 1, 1), datetime(2200, 1, 1)  # what 64 bits of nanoseconds can hold, and some air


@dataclass(frozen=True)
class Selection:
    """Bounds in the merchant's local time: lastChange from, `date` from, `date` until (excluded). None: no bound."""

    changed_from: datetime | None = None
    day_from: datetime | None = None
    day_until: datetime | None = None


EVERYTHING = Selection()


def asked(filters: Filters, argument: Callable[[str], str | None]) -> Selection:
    """What a request selects; `argument` gives a query parameter's value. Raises BadRequest for a value without time.

    Bounds are ISO 8601 dates or naive times.
    """
    names = ((bound.name, getattr(filters, bound.name)) for bound in fields(Selection))
    texts = ((bound, name, argument(name)) for bound, name in names if name)
    return Selection(**{bound: _moment(name, text) for bound, name, text in texts if text is not None})


def selected(shape: Shape, frame: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """The rows within the bounds, in the listing's order. A bound on a field the entity does not have is ignored."""
    bounds = (
        ("lastChange", operator.ge, selection.changed_from),
        ("date", operator.ge, selection.day_from),
        ("date", operator.lt, selection.day_until),
    )
    held = [_within(frame, name, is_held, bound) for name, is_held, bound in bounds if bound and name in shape.fields]
    return frame.filter(held) if held else frame


def parsed(column: pl.Expr) -> pl.Expr:
    """Times of the API's texts; null where a text is none."""
    return column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="ns")


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name}: expected a date or time such as 2025-03-01T00:00:00") from None
    if moment.tzinfo:
        raise BadRequest(f"{name}: expected local time without a zone")
    return min(max(moment, _EARLIEST), _LATEST)


def _within(frame: pl.DataFrame, name: str, is_held: Callable[[pl.Expr, pl.Expr], pl.Expr], bound: datetime) -> pl.Expr:
    """The bound in the column's own type, so that a large column need not be converted."""
    dtype = frame.schema.get(name)
    if dtype is None:
        unset = datetime.fromisoformat(NEVER) if name == "lastChange" else None
        return is_held(pl.lit(unset, dtype=pl.Datetime("ns")), pl.lit(bound, dtype=pl.Datetime("ns")))
    if dtype == pl.Date:
        return is_held(pl.col(name), pl.lit(bound.date() + timedelta(days=bound.time() != datetime.min.time())))
    if dtype == pl.String:
        return is_held(parsed(pl.col(name)), pl.lit(bound, dtype=pl.Datetime("ns")))
    return is_held(pl.col(name), pl.lit(bound, dtype=dtype))
