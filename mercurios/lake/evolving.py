"""Iceberg tables as `mercurios.tables` declares them: made when missing, brought up to date when it changed.

    table = open_table(catalog, "fct_sale_lines")

All are partitioned by tenant, and those with a day column by its month.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.table.update.spec import UpdateSpec
from pyiceberg.transforms import IdentityTransform, MonthTransform, Transform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    PrimitiveType,
    StringType,
    TimestamptzType,
)

from mercurios.lake.conflicts import committing
from mercurios.lake.partitions import day_column
from mercurios.lake.releases import NAMESPACE, PROPERTIES, make_namespace
from mercurios.tables import TABLES, UTC

_Transform: TypeAlias = Transform[Any, Any]
_TYPES: dict[pa.DataType, PrimitiveType] = {
    pa.string(): StringType(),
    pa.int64(): LongType(),
    pa.float64(): DoubleType(),
    pa.bool_(): BooleanType(),
    pa.date32(): DateType(),
    UTC: TimestamptzType(),
}


def open_table(catalog: Catalog, name: str) -> IcebergTable:
    """Load a table, made or evolved as needed; a changed table has another schema than its snapshots."""
    identifier = f"{NAMESPACE}.{name}"
    with committing(name):
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            schema = TABLES[name].schema
            make_namespace(catalog)
            with (
                catalog.create_table_transaction(identifier, schema=schema, properties=PROPERTIES) as making,
                making.update_spec() as spec,
            ):
                _partition(spec, _fields(name))
            return catalog.load_table(identifier)
        with table.transaction() as change:
            _evolve(change, name)
    return table


def _evolve(change: Transaction, name: str) -> None:
    declared = {field.name: _TYPES.get(field.type) or _decimal(field.type) for field in TABLES[name].schema}
    stored = {field.name: field.field_type for field in change.table_metadata.schema().fields}
    # A column of another type is another column: promotion would keep what the rewrite brings anyway.
    stale = [column for column, kind in stored.items() if declared.get(column) != kind]
    if stale:
        with _update(change) as update:
            for column in stale:
                update.delete_column(column)
    fresh = [column for column, kind in declared.items() if stored.get(column) != kind]
    if fresh:
        with _update(change) as update:
            for column in fresh:
                update.add_column(column, declared[column])
    there = {field.name for field in change.table_metadata.spec().fields}
    if missing := {field: how for field, how in _fields(name).items() if field not in there}:
        with change.update_spec() as spec:
            _partition(spec, missing)


def _update(change: Transaction) -> UpdateSchema:
    return change.update_schema(allow_incompatible_changes=True)  # what is there is written anew


def _fields(name: str) -> dict[str, tuple[str, _Transform]]:
    """Fields of the partition of a table: of which column, and how."""
    day = day_column(name)
    months: dict[str, tuple[str, _Transform]] = {f"{day}_month": (day, MonthTransform())} if day else {}
    return {"tenant_id": ("tenant_id", IdentityTransform()), **months}


def _partition(spec: UpdateSpec, fields: Mapping[str, tuple[str, _Transform]]) -> None:
    for field, (column, transform) in fields.items():
        spec.add_field(column, transform, field)


def _decimal(kind: pa.DataType) -> DecimalType:
    return DecimalType(kind.precision, kind.scale)


def file_schema(table: IcebergTable) -> pa.Schema:
    """The Arrow schema of the table's files, with Iceberg's field ids."""
    return schema_to_pyarrow(table.schema(), include_field_ids=True)
