"""Values of a file's column, as the API would send them.

values_of(pl.Series(["1.234,56"]), contract_field, Separator.COMMA, zone)     # [1234.56]
"""

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson
import polars as pl

from mercurios.sources.contracts import Contract, Field, Kind
from mercurios.sources.german import Separator, moments, numbers, truths
from mercurios.sources.tabular import plain

_CODES = frozenset({Kind.TEXT, Kind.CODE})
_EPOCH = date(1970, 1, 1)


def values_of(column: pl.Series, field: Field | None, separator: Separator | None, zone: ZoneInfo) -> list[object]:
    """JSON values of a column; what does not fit its field comes as it is, or as the text it is.

    field: None for a column the contract does not name. separator: what stands before decimals that can be read both
    ways. zone: times with a zone become local to it.
    """
    kind = field.kind if field else None
    dtype = column.dtype
    if dtype.is_nested():
        return [_jsonable(value, field.of if field else None, zone) for value in column.to_list()]
    if isinstance(dtype, pl.Decimal):
        return _from_texts(column.cast(pl.String), kind, Separator.POINT, zone)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return _iso(column, zone).to_list()
    if dtype == pl.Float32:  # 12.34 as a double would be 12.340000152587891
        column = column.cast(pl.String).cast(pl.Float64)
    if column.dtype.is_numeric():
        return [_from_number(value, kind) for value in column.to_list()]
    if dtype in {pl.Boolean, pl.Null}:
        return column.to_list()
    text = _text(column)
    return _from_records(text, field, zone) if kind is Kind.RECORDS else _from_texts(text, kind, separator, zone)


def _text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Binary:
        return column.bin.encode("hex")
    return column.dt.to_string("iso") if column.dtype == pl.Duration else column.cast(pl.String)


def _from_texts(text: pl.Series, kind: Kind | None, separator: Separator | None, zone: ZoneInfo) -> list[object]:
    if kind is None or kind in _CODES:
        return text.to_list()
    text = text.set(text.str.strip_chars() == "", None)
    if kind is Kind.TIMESTAMP:
        return moments(text, zone)
    return truths(text) if kind is Kind.BOOLEAN else numbers(text, separator, whole=kind is Kind.INTEGER)


def _from_number(value: float | None, kind: Kind | None) -> object:
    if value is None:
        return None
    if kind in _CODES and math.isfinite(value):
        return str(int(value)) if float(value).is_integer() else str(value)
    return value == 1 if kind is Kind.BOOLEAN and value in {0, 1} else value


def _from_records(text: pl.Series, field: Field | None, zone: ZoneInfo) -> list[object]:
    """Arrays written as JSON."""
    values: list[object] = []
    for each in text.to_list():
        try:
            read = None if each is None or not each.strip() else orjson.loads(each)
            values.append(_jsonable(read, field.of if field else None, zone))
        except (orjson.JSONDecodeError, RecursionError):
            values.append(each)
    return values


def _iso(column: pl.Series, zone: ZoneInfo) -> pl.Series:
    """ISO texts, local time, without a fraction of zero; of what no calendar has, the number it is."""
    numbers_ = column.to_physical().cast(pl.Int64)
    is_known = numbers_.is_between(*_calendar(column.dtype))
    column = column.set(~is_known, None)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
        column = column.dt.convert_time_zone(zone.key).dt.replace_time_zone(None)
    texts = column.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f").str.strip_suffix(".000000")
    return texts.zip_with(is_known.fill_null(True), numbers_.cast(pl.String))


def _calendar(dtype: pl.DataType) -> tuple[int, int]:
    """First and last number of a date or moment that has a year of four digits, whatever the zone."""
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else None
    a_day = {None: 1, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[unit]
    first, last = ((day - _EPOCH).days * a_day for day in (date(1000, 1, 2), date(9999, 12, 30)))
    return max(first, -(2**63)), min(last, 2**63 - 1)


def _jsonable(value: object, contract: Contract | None, zone: ZoneInfo) -> object:
    """Nested values as JSON has them; names of a nested record become those of its contract."""
    if isinstance(value, Mapping):
        known = {plain(name): name for name in contract.known} if contract else {}
        nested = contract.nested if contract else {}
        named = {known.get(plain(str(name)), str(name)): each for name, each in value.items()}
        return {name: _jsonable(each, nested.get(name), zone) for name, each in named.items()}
    if isinstance(value, list):
        return [_jsonable(each, contract, zone) for each in value]
    if isinstance(value, datetime):
        return (value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00"
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | float | None) else str(value)
