"""Conversion: records of a page become typed columns, or quarantined records with every reason.

    converted = convert(SALE, page.records)
    converted.frame, converted.quarantined, converted.unknown

A page is read column by column (about 2 ms for 1,000 sale lines). Only where a column breaks its contract are its
values looked at one by one. Both ways accept the same values; a test holds them together.
"""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any

import orjson
import polars as pl

from mercurios.sources.contracts import Contract, Field, Kind

DAY = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
MOMENT = DAY + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
EXACT = 2**53
"""Up to here a double holds every whole number; an identifier beyond it has lost digits on its way."""
_MICROSECONDS = len("2025-03-01T10:11:12.123456")
_LARGEST_INTEGER = 2**64  # orjson reads larger ones as floats
_LONGEST_TEXT = 200
_Column = Sequence[Any]


@dataclass(frozen=True)
class Quarantined:
    """A record that broke its contract: its known, not personal fields as JSON, and what is wrong with each."""

    record: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Converted:
    """One page: sound records as a frame (columns as the contract has them), the others, and unknown field names."""

    frame: pl.DataFrame
    quarantined: tuple[Quarantined, ...]
    unknown: frozenset[str]


class _Breach(Exception):
    """A column or a value that is not what the contract says."""


def convert(contract: Contract, records: Sequence[object]) -> Converted:
    """Hold records against their contract. Every record ends in the frame or among the quarantined, in order."""
    objects = [record for record in records if type(record) is dict]
    strangers = [_stranger(record) for record in records if type(record) is not dict]
    unknown = frozenset(chain.from_iterable(objects)) - contract.known
    frame, broken = _columns(contract, objects)
    if not broken:
        return Converted(frame, tuple(strangers), unknown)
    reasons = _reasons(broken, objects)
    sound = [record for place, record in enumerate(objects) if place not in reasons]
    rejected = [_quarantined(contract, objects[place], why) for place, why in sorted(reasons.items())]
    return Converted(_columns(contract, sound)[0], (*strangers, *rejected), unknown)


def _columns(contract: Contract, records: list[dict[str, Any]]) -> tuple[pl.DataFrame, list[Field]]:
    """Typed columns of those fields that keep their contract, and the fields that do not."""
    series, broken = [], []
    for field, values in zip(contract.kept, _values(contract, records), strict=True):
        try:
            series.append(_series(field, values))
        except _Breach:
            broken.append(field)
    return pl.DataFrame(series), broken


def _values(contract: Contract, records: list[dict[str, Any]]) -> list[_Column]:
    names = [field.name for field in contract.kept]
    if records and len(names) > 1:
        with suppress(KeyError):  # the common case, in which no field is absent
            return list(zip(*map(itemgetter(*names), records), strict=True))
    return [[record.get(name) for record in records] for name in names]


def _series(field: Field, values: _Column) -> pl.Series:
    kinds = set(map(type, values))
    if NoneType in kinds and not field.is_nullable:
        raise _Breach
    if field.is_key and "" in values:
        raise _Breach
    column = _read_column(field, values, kinds - {NoneType})
    if column is None:
        column = pl.Series([None if value is None else _read(field, value) for value in values], dtype=field.kind.dtype)
    return column.alias(field.column)


def _read_column(field: Field, values: _Column, kinds: set[type]) -> pl.Series | None:
    """The whole column at once, or None when its values have to be looked at one by one."""
    if not kinds <= _EXPECTED[field.kind]:
        return None
    try:
        return _COLUMNS[field.kind](values, kinds)
    except (TypeError, OverflowError, pl.exceptions.InvalidOperationError):
        return None


def _texts(values: _Column, _kinds: set[type]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def _booleans(values: _Column, _kinds: set[type]) -> pl.Series:
    return pl.Series(values, dtype=pl.Boolean)


def _numbers(values: _Column, _kinds: set[type]) -> pl.Series | None:
    column = pl.Series(values, dtype=pl.Float64)
    return column if column.is_finite().all() else None


def _integers(values: _Column, kinds: set[type]) -> pl.Series | None:
    if kinds != {float}:
        return pl.Series(values, dtype=pl.Int64)
    column = pl.Series(values, dtype=pl.Float64)
    is_whole = (column == column.floor()) & (column.abs() <= EXACT)
    return column.cast(pl.Int64) if is_whole.all() else None


def _moments(values: _Column, _kinds: set[type]) -> pl.Series | None:
    column = pl.Series(values, dtype=pl.String)
    if not column.str.contains(f"^{MOMENT}$").all():
        return None
    return column.str.slice(0, _MICROSECONDS).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")


_EXPECTED: dict[Kind, set[type]] = {
    Kind.TEXT: {str},
    Kind.CODE: {str},
    Kind.INTEGER: {int, float},
    Kind.NUMBER: {int, float},
    Kind.BOOLEAN: {bool},
    Kind.TIMESTAMP: {str},
}
_COLUMNS: dict[Kind, Callable[[_Column, set[type]], pl.Series | None]] = {
    Kind.TEXT: _texts,
    Kind.CODE: _texts,
    Kind.INTEGER: _integers,
    Kind.NUMBER: _numbers,
    Kind.BOOLEAN: _booleans,
    Kind.TIMESTAMP: _moments,
}


def _read(field: Field, value: object) -> object:
    """One value that is not null; raises _Breach."""
    return _READERS[field.kind](value)


def _text(value: object) -> str:
    if type(value) is not str:
        raise _Breach
    return value


def _code(value: object) -> str:
    return value if type(value) is str else str(_integer(value))


def _integer(value: object) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise _Breach


def _number(value: object) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < _LARGEST_INTEGER:
        return float(value)
    raise _Breach


def _boolean(value: object) -> bool:
    if type(value) is not bool:
        raise _Breach
    return value


def _moment(value: object) -> datetime:
    if type(value) is not str or not re.fullmatch(f"{MOMENT}|{DAY}", value):  # a day alone is its midnight
        raise _Breach
    try:
        return datetime.fromisoformat(value[:_MICROSECONDS])
    except ValueError as error:
        raise _Breach from error


_READERS: dict[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.CODE: _code,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMP: _moment,
}


def _reasons(broken: list[Field], records: list[dict[str, Any]]) -> dict[int, list[str]]:
    """What is wrong with each record, by its place, over all fields that broke."""
    reasons: dict[int, list[str]] = {}
    for field in broken:
        for place, record in enumerate(records):
            if reason := _reason(field, record):
                reasons.setdefault(place, []).append(reason)
    return reasons


def _reason(field: Field, record: dict[str, Any]) -> str | None:
    value = record.get(field.name)
    if value is None:
        got = "null" if field.name in record else "nothing"
        return None if field.is_nullable else f"{field.name}: expected {field.kind.value}, got {got}"
    if field.is_key and value == "":
        return f"{field.name}: expected {field.kind.value}, got empty text"
    try:
        _read(field, value)
    except _Breach:
        return f"{field.name}: expected {field.kind.value}, got {_told(value)}"
    return None


def _told(value: object) -> str:
    """A value without its content, which may be anything; only numbers are told, as they are what is wrong."""
    if type(value) in {int, float}:
        return f"number {value}"
    names = {str: "other text", bool: "boolean", dict: "object", list: "array", NoneType: "null"}
    return names.get(type(value), "something else")


def _quarantined(contract: Contract, record: dict[str, Any], reasons: list[str]) -> Quarantined:
    kept = {field.name: _plain(record[field.name]) for field in contract.kept if field.name in record}
    return Quarantined(orjson.dumps(kept).decode(), tuple(reasons))


def _stranger(record: object) -> Quarantined:
    return Quarantined("null", (f"record: expected object, got {_told(record)}",))


def _plain(value: object) -> object:
    """What may be kept of a value: nested things could hold anything and are named only."""
    if type(value) in {dict, list}:
        return f"<{_told(value)}>"
    if type(value) is int and not -(2**63) <= value < 2**63:
        return str(value)
    return value[:_LONGEST_TEXT] if type(value) is str else value
