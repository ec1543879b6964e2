"""Any merchant's data from a folder of Parquet files: `sale.parquet`, `article.parquet`, one an entity.

    entities = load_folder(Path("shop"), time_zone="Europe/Berlin")

Columns carry the API's field names. An entity without a file is empty; a field without a column gets its neutral
value, unless it is a fact (see `shapes`), then it is left out; a column the API does not know is passed through.
"""

from pathlib import Path

import polars as pl
import polars.selectors as cs
import structlog

from mercurios.errors import ConfigError
from mercurios.sandbox.merchant import Entities
from mercurios.sandbox.places import ordered
from mercurios.sandbox.shapes import SHAPES, Shape


def load_folder(path: Path, *, time_zone: str = "Europe/Berlin") -> Entities:
    """Return frames by entity, sorted as the API lists them; times with a zone become local to `time_zone`.

    Raises ConfigError when the folder is missing or holds no known entity, and naming the file that cannot be used.
    """
    if not path.is_dir():
        raise ConfigError(f"no folder at {path}; expected a folder with files such as sale.parquet")
    files = {file.stem.lower(): file for file in sorted(path.glob("*.parquet"))}
    known = {entity: file for entity, file in files.items() if entity in SHAPES}
    if not known:
        found = ", ".join(file.name for file in files.values()) or "no Parquet file"
        expected = ", ".join(f"{entity}.parquet" for entity in sorted(SHAPES))
        raise ConfigError(f"{path} holds {found}; expected at least one of {expected}; rename the files")
    if ignored := sorted(file.name for entity, file in files.items() if entity not in SHAPES):
        structlog.get_logger().warning("sandbox files without an entity are ignored", files=ignored)
    return {entity: _read(file, SHAPES[entity], time_zone) for entity, file in known.items()}


def _read(file: Path, shape: Shape, time_zone: str) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{file} cannot be read as Parquet: {error}; write it again") from error
    if not set(frame.columns) & set(shape.fields):
        raise ConfigError(
            f"{file} has none of the API's fields; expected names such as {', '.join(list(shape.fields)[:6])}, "
            f"got {', '.join(frame.columns[:6])}; rename the columns"
        )
    return ordered(shape, _whole(shape, _local(frame, time_zone)))


def _local(frame: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    zoned = cs.datetime(time_zone="*")
    return frame.with_columns(zoned.dt.convert_time_zone(time_zone).dt.replace_time_zone(None))


def _whole(shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
    """Turn float columns of whole-number fields into integers, as pandas writes floats where a value is missing."""
    names = [name for name, dtype in frame.schema.items() if dtype.is_float() and name in shape.fields]
    whole = [
        name
        for name in names
        if shape.fields[name].kind == "int" and frame.select((pl.col(name) % 1 == 0).all()).item()
    ]
    return frame.with_columns(pl.col(whole).cast(pl.Int64))
