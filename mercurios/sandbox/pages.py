"""Pages of an entity as the API words them: JSON made of a slice of a frame, in a few milliseconds.

    listing = Listing(SHAPES["branch"], frame, salt="north")
    listing.page(number=1, size=100)     # b'[{"id": ...}]'

Frames keep only what differs from row to row, in whatever type is small. The rest of the shape is filled in here:
numbers become the API's floats, dates its naive texts, and fields without a column their neutral value.
"""

import io
import json

import polars as pl

from mercurios.sandbox.identity import keys_of, uuids
from mercurios.sandbox.shapes import Field, Shape

_TICKS = 27  # .NET writes at most seven fractional digits


class Listing:
    """All rows of one entity of one merchant, in the order the API lists them. Shape: one JSON object a row."""

    def __init__(self, shape: Shape, frame: pl.DataFrame, *, salt: str) -> None:
        self.shape = shape
        self._frame = frame if "id" in frame.columns else _identified(shape, frame, salt)
        self._wording = worded(shape, self._frame.schema)

    @property
    def rows(self) -> int:
        """Number of rows over all pages."""
        return self._frame.height

    def page(self, number: int, size: int) -> bytes:
        """JSON array of page `number` (from 1) at `size` rows a page; `[]` past the end."""
        return self._json(self._frame.slice((number - 1) * size, size))

    def record(self, record_id: str) -> bytes | None:
        """JSON object of the row with that id; None when there is none."""
        found = self._frame.filter(pl.col("id").cast(pl.String) == record_id).head(1)
        return self._json(found)[1:-1] if found.height else None

    def _json(self, rows: pl.DataFrame) -> bytes:
        target = io.BytesIO()
        rows.select(self._wording).write_json(target)
        return target.getvalue()


def worded(shape: Shape, schema: pl.Schema) -> list[pl.Expr]:
    """Expressions that turn a frame into the API's fields: the shape's in its order, then columns it does not know."""
    known = [_field(field, schema.get(name)) for name, field in shape.fields.items()]
    extra = [_plain(name, dtype) for name, dtype in schema.items() if name not in shape.fields]
    return [expression for expression in known if expression is not None] + extra


def _field(field: Field, dtype: pl.DataType | None) -> pl.Expr | None:
    if dtype is None:
        return None if field.is_fact else _constant(field)
    column = pl.col(field.name)
    if field.kind == "float" and dtype.is_numeric():
        return column.cast(pl.Float64)
    return _plain(field.name, dtype)


def _constant(field: Field) -> pl.Expr:
    value = pl.lit([], dtype=pl.List(pl.String)) if field.kind == "list" else pl.lit(field.neutral)
    return value.alias(field.name)


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Date:
        return column.dt.to_string("%Y-%m-%dT00:00:00")
    if isinstance(dtype, pl.Datetime):
        text = column.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.slice(0, _TICKS)
        return text.str.strip_chars_end("0").str.strip_chars_end(".")
    if dtype == pl.Time:
        return column.dt.hour().cast(pl.Int64) * 3600 + column.dt.minute().cast(pl.Int64) * 60 + column.dt.second()
    if dtype.is_decimal():
        return column.cast(pl.Float64)
    return column.cast(pl.String) if dtype in (pl.Categorical, pl.Enum) else column


def _identified(shape: Shape, frame: pl.DataFrame, salt: str) -> pl.DataFrame:
    """Give every row an id made of its key; of its place when the key is incomplete or repeated."""
    keys = frame.select(name for name in shape.key if name in frame.columns)
    if keys.width < len(shape.key) or keys.is_duplicated().any():
        keys = frame.select(pl.int_range(pl.len()))
    texts = (json.dumps(key, default=str) for key in keys.iter_rows())
    return frame.with_columns(uuids(f"{salt}/{shape.entity}", keys_of(texts)))
