"""Fitting: rows from outside made to match the columns of a listing's frame.

frame, rows = aligned(SHAPES["branch"], frame, table([{"number": 7, "opened": "2025-03-01"}]))
"""

from collections.abc import Mapping, Sequence

import polars as pl

from mercurios.errors import BadRequest
from mercurios.sandbox.pages import neutral, plain
from mercurios.sandbox.selection import parsed
from mercurios.sandbox.shapes import Shape


def table(rows: pl.DataFrame | Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Records as a frame; raises BadRequest when a field holds values of several types."""
    if isinstance(rows, pl.DataFrame):
        return rows
    try:
        return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        raise BadRequest("expected records whose fields hold values of one type each") from None


def aligned(
    shape: Shape, frame: pl.DataFrame, rows: pl.DataFrame, *, fills: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with columns of the same types; those of `frame` in their order, then new ones.

    A field that one of them lacks holds its neutral value there, or null where that would be a lie. fills: whether
    `rows` gets the columns that only `frame` has. Raises BadRequest when a value does not fit its column.
    """
    new = [name for name in rows.columns if name not in frame.columns]
    untyped = [name for name in rows.columns if frame.schema.get(name) == pl.Null]
    frame = frame.with_columns(
        *(_missing(shape, name, rows.schema[name]) for name in new),
        *(pl.col(name).cast(rows.schema[name]) for name in untyped),
    )
    rows = rows.with_columns(fitted(rows[name], frame.schema[name]) for name in rows.columns)
    if not fills:
        return frame, rows
    lacking = [name for name in frame.columns if name not in rows.columns]
    rows = rows.with_columns(_missing(shape, name, frame.schema[name]) for name in lacking)
    return frame, rows.select(frame.columns)


def fitted(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The same values as `dtype`; times become the API's texts and texts times. Raises BadRequest when one cannot."""
    try:
        return _cast(column, dtype)
    except pl.exceptions.PolarsError:
        raise BadRequest(f"{column.name}: expected values of type {dtype}, got {column.dtype}") from None


def _cast(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    frame = column.to_frame()
    if dtype == pl.String and column.dtype.is_temporal():
        return frame.select(plain(column.name, column.dtype)).to_series()
    if column.dtype == pl.String and isinstance(dtype, pl.Datetime | pl.Date):
        moments = frame.select(parsed(pl.col(column.name))).to_series()
        if moments.null_count() != column.null_count():
            raise BadRequest(f"{column.name}: expected times such as 2025-03-01T00:00:00")
        return moments.cast(dtype)
    return column.cast(dtype)


def _missing(shape: Shape, name: str, dtype: pl.DataType) -> pl.Expr:
    field = shape.fields.get(name)
    if field is None or field.is_fact or field.neutral is None:
        return pl.lit(None, dtype=dtype).alias(name)
    held = pl.lit(field.neutral).str.to_datetime() if field.kind == "never" and dtype.is_temporal() else neutral(field)
    return held.cast(dtype, strict=False).alias(name)
