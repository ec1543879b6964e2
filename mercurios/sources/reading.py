"""Reading: a field's JSON values become typed ones, a column at once or one by one. Both ways accept the same.

read_column(field, [1, 2.0, None])     # pl.Series of Int64; raises Breach
read(field, 2.0)                       # 2; raises Breach
list(reasons(field, record))           # everything that is wrong with the field
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType
from typing import Any

import orjson
import polars as pl

from mercurios.sources.contracts import Contract, Field, Kind

DAY = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
MOMENT = DAY + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
EXACT = 2**53
"""Up to here a double holds every whole number; an identifier beyond it has lost digits on its way."""
_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER})
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
_MOMENT_OR_DAY = re.compile(f"{MOMENT}|{DAY}")  # a day alone is its midnight
_MICROSECONDS = len("2025-03-01T10:11:12.123456")
_MOST_BITS_TOLD = 128
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)
_ALIKE = 10
"""So many values to a different one make it worth to read those that differ one by one."""
_Column = Sequence[Any]


class Breach(Exception):
    """A column or a value that is not what the contract says."""


def read_column(field: Field, values: _Column) -> pl.Series:
    """The values of a field as a typed column; raises Breach when one of them is not what the contract says."""
    kinds = set(map(type, values))
    if NoneType in kinds and not field.is_nullable:
        raise Breach
    if field.is_key and "" in values:
        raise Breach
    column = _at_once(field, values, kinds - {NoneType})
    if column is None:
        column = pl.Series([None if value is None else read(field, value) for value in values], dtype=field.kind.dtype)
    return column.alias(field.column)


def _at_once(field: Field, values: _Column, kinds: set[type]) -> pl.Series | None:
    """The whole column at once, or None when its values have to be looked at one by one."""
    if not kinds <= _EXPECTED[field.kind]:
        return None
    try:
        return _COLUMNS[field.kind](values, kinds)
    except (TypeError, ValueError, OverflowError, pl.exceptions.InvalidOperationError):
        return None


def _texts(values: _Column, _kinds: set[type]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def _booleans(values: _Column, _kinds: set[type]) -> pl.Series:
    return pl.Series(values, dtype=pl.Boolean)


def _numbers(values: _Column, _kinds: set[type]) -> pl.Series | None:
    column = pl.Series(values, dtype=pl.Float64)
    return column if math.isfinite(column.sum()) else None


def _integers(values: _Column, kinds: set[type]) -> pl.Series | None:
    if kinds != {float}:
        return pl.Series(values, dtype=pl.Int64)
    column = pl.Series(values, dtype=pl.Float64)
    whole = column.cast(pl.Int64)
    is_exact = whole.is_between(-EXACT, EXACT).all() and (whole == column).all()
    return whole if is_exact else None


def _moments(values: _Column, _kinds: set[type]) -> pl.Series | None:
    distinct = set(values)
    if len(distinct) < len(values) // _ALIKE:
        return _moments_of_few(values, distinct - {None})
    text = pl.col("moment").str
    moments = text.slice(0, _MICROSECONDS).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
    frame = pl.DataFrame({"moment": values}, {"moment": pl.String})
    frame = frame.select(moments, is_sound=text.contains(f"^{MOMENT}$").all())  # one query: each has its price
    return frame["moment"] if frame["is_sound"].all() else None


def _moments_of_few(values: _Column, distinct: set[str]) -> pl.Series | None:
    """Days of business and times that were never set: each is read once."""
    try:
        known = {text: (_moment(text) - _EPOCH) // _MICROSECOND for text in distinct}
    except Breach:
        return None
    return pl.Series([known.get(text) for text in values], dtype=pl.Int64).cast(pl.Datetime("us"))


_EXPECTED: Mapping[Kind, set[type]] = {
    Kind.TEXT: {str},
    Kind.CODE: {str},
    Kind.INTEGER: {int, float},
    Kind.NUMBER: {int, float},
    Kind.BOOLEAN: {bool},
    Kind.TIMESTAMP: {str},
    Kind.RECORDS: set(),
}
_COLUMNS: Mapping[Kind, Callable[[_Column, set[type]], pl.Series | None]] = {
    Kind.TEXT: _texts,
    Kind.CODE: _texts,
    Kind.INTEGER: _integers,
    Kind.NUMBER: _numbers,
    Kind.BOOLEAN: _booleans,
    Kind.TIMESTAMP: _moments,
    Kind.RECORDS: _texts,
}


def read(field: Field, value: object) -> object:
    """One value that is not null; raises Breach."""
    return _records(field.of, value) if field.of else _READERS[field.kind](value)


def _records(contract: Contract, value: object) -> str:
    """Records as JSON: the fields their contract keeps, typed, by name, without those that are null."""
    if type(value) is not list:
        raise Breach
    return orjson.dumps([_record(contract, item) for item in value], option=orjson.OPT_SORT_KEYS).decode()


def _record(contract: Contract, item: object) -> dict[str, object]:
    if type(item) is not dict:
        raise Breach
    record = {}
    for field in contract.kept:
        value = item.get(field.name)
        if value is not None:
            record[field.name] = read(field, value)
        elif not field.is_nullable:
            raise Breach
    return record


def _text(value: object) -> str:
    if type(value) is not str or not is_unicode(value):
        raise Breach
    return value


def is_unicode(text: str) -> bool:
    """Whether a text can be stored: half of a surrogate pair is no character."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _code(value: object) -> str:
    return _text(value) if type(value) is str else str(_integer(value))


def _integer(value: object) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise Breach


def _number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise Breach
    try:
        number = float(value)
    except OverflowError as error:
        raise Breach from error
    if not math.isfinite(number):
        raise Breach
    return number


def _boolean(value: object) -> bool:
    if type(value) is not bool:
        raise Breach
    return value


def _moment(value: object) -> datetime:
    if type(value) is not str or not _MOMENT_OR_DAY.fullmatch(value):
        raise Breach
    try:
        return datetime.fromisoformat(value[:_MICROSECONDS])
    except ValueError as error:
        raise Breach from error


_READERS: Mapping[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.CODE: _code,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMP: _moment,
}


def reasons(field: Field, record: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Everything that is wrong with one field of a record; `path` leads to the record. Repeats numbers, never texts."""
    name = path + field.name
    value = record.get(field.name)
    if value is None:
        if not field.is_nullable:
            yield f"{name}: expected {field.kind.value}, got {'null' if field.name in record else 'nothing'}"
    elif field.is_key and value == "":
        yield f"{name}: expected {field.kind.value}, got empty text"
    elif field.of and type(value) is list:
        for place, item in enumerate(value):
            yield from _reasons_inside(field.of, item, f"{name}[{place}]")
    elif not is_sound(field, value):
        yield f"{name}: expected {field.kind.value}, got {_ambiguous(field, value) or told(value)}"


def _ambiguous(field: Field, value: object) -> str | None:
    """A number that is written in a way that says two, in words; a text of no more than seven digits tells nothing."""
    if field.kind not in _NUMERIC or type(value) is not str or not _EITHER.fullmatch(value.strip()):
        return None
    plain, digits = re.sub("[.,]", ".", value.strip()), re.sub("[.,]", "", value.strip())
    return (
        f"number {value.strip()}, which may be {plain} or {digits}; "
        f"write {digits} or {value.strip()}0, or another number of that column that can be read one way only"
    )


def _reasons_inside(contract: Contract, item: object, path: str) -> Iterator[str]:
    if type(item) is not dict:
        yield f"{path}: expected object, got {told(item)}"
        return
    for field in contract.kept:
        yield from reasons(field, item, f"{path}.")


def is_sound(field: Field, value: object) -> bool:
    """Whether a value that is not null is what the contract says."""
    try:
        read(field, value)
    except Breach:
        return False
    return True


def told(value: object) -> str:
    """A value without its content, which may be anything; only numbers are told, as they are what is wrong."""
    if type(value) is int and value.bit_length() > _MOST_BITS_TOLD:
        return f"number of {value.bit_length()} bits"
    if type(value) in {int, float}:
        return f"number {value}"
    if type(value) is str:
        return "other text" if is_unicode(value) else "text that is no Unicode"
    return json_kind(value)


def json_kind(value: object) -> str:
    """What a value is called in JSON."""
    return _JSON_KINDS.get(type(value), "something else")


_JSON_KINDS: Mapping[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    NoneType: "null",
}
