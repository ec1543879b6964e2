"""Stands in for `fivetran_connector_sdk_core`, where it is not installed, so that the SDK's own checks run.

The package `fivetran_connector_sdk` 3 has the constructor, operations, name and type checks; the core holds the types
that they fill and a runner that writes to DuckDB. Only the types are here. Once the core is installed it is used.
"""

import sys
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.util import find_spec
from types import ModuleType
from typing import Any

IS_REAL = find_spec("fivetran_connector_sdk_core") is not None
_TYPES = (
    "UNSPECIFIED BOOLEAN SHORT INT LONG DECIMAL FLOAT DOUBLE NAIVE_DATE NAIVE_DATETIME UTC_DATETIME BINARY XML STRING "
    "JSON NAIVE_TIME"
)
_CELLS = ("CELL_NULL", "CELL_SCALAR", "CELL_JSON", "CELL_BINARY", "CELL_FLOAT", "CELL_DOUBLE")
DataType = IntEnum("DataType", _TYPES, start=0)  # type: ignore[misc]
RecordType = IntEnum("RecordType", "UPSERT UPDATE DELETE", start=0)  # type: ignore[misc]


@dataclass
class DecimalParams:
    precision: int = 0
    scale: int = 0


@dataclass
class Column:
    name: str
    type: Any = DataType.UNSPECIFIED
    primary_key: bool = False
    decimal: DecimalParams | None = None


@dataclass
class Table:
    name: str
    schema: str | None = None
    columns: list[Column] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    table: str
    type: Any
    data: dict[str, bytes]
    schema: str | None = None


@dataclass(frozen=True)
class Truncate:
    table: str
    schema: str | None = None
    deferred: bool = False


@dataclass(frozen=True)
class Checkpoint:
    state_json: str


@dataclass(frozen=True)
class Message:
    message: str


@dataclass(frozen=True)
class SchemaResult:
    tables: list[Table] = field(default_factory=list)
    not_supported: bool = False


def stand_in() -> None:
    """Put the stand-in where the SDK looks for its core, unless the core is installed."""
    if IS_REAL or "fivetran_connector_sdk_core" in sys.modules:
        return
    core, model, constants = (ModuleType(f"fivetran_connector_sdk_core{part}") for part in ("", ".model", ".constants"))
    types = {"Task": Message, "Warning": Message, "FileChunk": object}
    for one in (Checkpoint, Column, DataType, DecimalParams, Record, RecordType, Table, Truncate):
        types[one.__name__] = one
    vars(model).update(types)
    vars(constants).update({name: place for place, name in enumerate(_CELLS)})
    none: dict[str, object] = {"Level": IntEnum("Level", "INFO"), "Icon": IntEnum("Icon", "NONE"), "Sink": object}
    none |= {"ConnectorTask": type("ConnectorTask", (BaseException,), {}), "SchemaResult": SchemaResult}
    vars(core).update(none | {"set_logger": lambda _log: None, "model": model, "constants": constants, "__path__": []})
    sys.modules |= {module.__name__: module for module in (core, model, constants)}
