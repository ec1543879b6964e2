"""Pages of an entity as the API words them: JSON made of a slice of a frame, in a few milliseconds.

    view = View(SHAPES["branch"], frame)
    view.json(first=0, count=100)     # b'[{"id": ...}]'

Frames keep only what differs from row to row, in whatever type is small. The rest of the shape is filled in here:
numbers become the API's floats, dates its naive texts, and fields without a column their neutral value.
"""

import io

import polars as pl

from mercurios.sandbox.shapes import Field, Shape

_TICKS = 27  # .NET writes at most seven fractional digits


class View:
    """Rows of one entity as they are listed at one moment; they never change. `frame` has a column `id`."""

    def __init__(self, shape: Shape, frame: pl.DataFrame) -> None:
        self.shape = shape
        self.frame = frame
        self._wording = worded(shape, frame.schema)

    @property
    def rows(self) -> int:
        """Number of rows over all pages."""
        return self.frame.height

    def json(self, first: int, count: int) -> bytes:
        """JSON array of `count` rows from row `first` on; `[]` past the end."""
        return self._json(self.frame.slice(first, count))

    def ids(self, first: int, count: int) -> list[str]:
        """Ids of the same rows."""
        return self.frame["id"].slice(first, count).to_list()

    def repeating(self, rows: int, *, before: int) -> "View":
        """The same with so many rows once more: those just before row `before`, from there on."""
        again = self.frame.slice(max(0, before - rows))
        return View(self.shape, pl.concat([self.frame.slice(0, before), again], rechunk=False))

    def record(self, record_id: str) -> bytes | None:
        """JSON object of the row with that id; None when there is none."""
        found = self.frame.filter(pl.col("id").cast(pl.String) == record_id).head(1)
        return self._json(found)[1:-1] if found.height else None

    def table(self) -> pl.DataFrame:
        """All rows with the API's fields, worded as the JSON words them."""
        return self.frame.select(self._wording)

    def _json(self, rows: pl.DataFrame) -> bytes:
        target = io.BytesIO()
        rows.select(self._wording).write_json(target)
        return target.getvalue()


def worded(shape: Shape, schema: pl.Schema) -> list[pl.Expr]:
    """Expressions that turn a frame into the API's fields: the shape's in its order, then columns it does not know."""
    known = [_field(field, schema.get(name)) for name, field in shape.fields.items()]
    extra = [plain(name, dtype) for name, dtype in schema.items() if name not in shape.fields]
    return [expression for expression in known if expression is not None] + extra


def neutral(field: Field) -> pl.Expr:
    """What a field without a column holds in every row."""
    value = pl.lit([], dtype=pl.List(pl.String)) if field.kind == "list" else pl.lit(field.neutral)
    return value.alias(field.name)


def plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column's values as JSON is to hold them: dates as naive texts, times as seconds, decimals as floats."""
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


def _field(field: Field, dtype: pl.DataType | None) -> pl.Expr | None:
    if dtype is None:
        return None if field.is_fact else neutral(field)
    if field.kind == "float" and dtype.is_numeric():
        return pl.col(field.name).cast(pl.Float64)
    return plain(field.name, dtype)
