"""Iceberg tables as `mercurios.tables` declares them: made when missing, brought up to date when it changed.

    table = open_table(catalog, "fct_sale_lines")

All are partitioned by tenant, and those with a day column by its month.
"""

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.table.update.spec import UpdateSpec
from pyiceberg.transforms import IdentityTransform, MonthTransform
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
                _partition(spec, set(), day_column(name))
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
    fields = {field.name for field in change.table_metadata.spec().fields}
    if {"tenant_id", *_month_field(day_column(name))} - fields:
        with change.update_spec() as spec:
            _partition(spec, fields, day_column(name))


def _update(change: Transaction) -> UpdateSchema:
    return change.update_schema(allow_incompatible_changes=True)  # what is there is written anew


def _partition(spec: UpdateSpec, there: set[str], day: str | None) -> None:
    if "tenant_id" not in there:
        spec.add_field("tenant_id", IdentityTransform(), "tenant_id")
    for field in _month_field(day):
        if field not in there:
            spec.add_field(str(day), MonthTransform(), field)


def _month_field(day: str | None) -> tuple[str, ...]:
    return (f"{day}_month",) if day else ()


def _decimal(kind: pa.DataType) -> DecimalType:
    return DecimalType(kind.precision, kind.scale)


def file_schema(table: IcebergTable) -> pa.Schema:
    """The Arrow schema of the table's files, with Iceberg's field ids."""
    return schema_to_pyarrow(table.schema(), include_field_ids=True)
