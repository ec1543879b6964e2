"""Adopting: Parquet files that somebody else wrote into the lake's folders become files of a table.

    files = adopt(table, folder)

No row is read, only the footers. A file without Iceberg's field ids is read by the names of its columns, so these and
their types have to be exactly the table's: what differs a little would be found by the first reader.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import TableProperties

from mercurios.errors import LakeError
from mercurios.lake.conflicts import committing
from mercurios.lake.partitions import Partition
from mercurios.lake.storage import stored
from mercurios.lake.writing import described, partition_of


def adopt(table: IcebergTable, folder: str) -> list[tuple[Partition, DataFile]]:
    """Describe the files of a folder, each of one partition; raises LakeError, naming file and column, that do not fit.

    They are part of the table once they are committed.
    """
    _name_columns(table)
    return list(_adopted(table, folder))


def _name_columns(table: IcebergTable) -> None:
    if table.name_mapping() is None:
        mapping = table.schema().name_mapping.model_dump_json()
        with committing(table.name()[-1]), table.transaction() as change:
            change.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})


def _adopted(table: IcebergTable, folder: str) -> Iterator[tuple[Partition, DataFile]]:
    columns = parquet_path_to_id_mapping(table.schema())
    plan = compute_statistics_plan(table.schema(), table.properties)
    for file in stored(table.io, folder):
        with table.io.new_input(file.location).open() as stream:
            footer = pq.read_metadata(stream)
        if not footer.num_rows:
            continue
        place = f"{table.name()[-1]}, unloaded file {file.place.rpartition('/')[2]}"
        _check_columns(place, table, footer.schema.to_arrow_schema())
        statistics = data_file_statistics_from_parquet_metadata(footer, plan, columns)
        _check_nulls(place, table, statistics.null_value_counts, footer.num_rows)
        try:
            partition = statistics.partition(table.spec(), table.schema())
        except ValueError as error:
            raise LakeError(f"{place}: expected rows of one partition: {error}") from error
        yield partition_of(table.spec(), partition), described(table, file.location, file.bytes, partition, statistics)


def _check_columns(place: str, table: IcebergTable, there: pa.Schema) -> None:
    for field in schema_to_pyarrow(table.schema(), include_field_ids=False):
        found = there.field(field.name).type if field.name in there.names else None
        if found != field.type and not (found == pa.string() and field.type == pa.large_string()):
            raise LakeError(f"{place}: expected column {field.name} as {field.type}, found {found or 'none'}")


def _check_nulls(place: str, table: IcebergTable, nulls: dict[int, int], rows: int) -> None:
    """Keys are never null; a day is so in all rows of a partition or in none."""
    days = {field.source_id for field in table.spec().fields}
    for field in table.schema().fields:
        count = nulls.get(field.field_id)
        if count is None and (field.required or field.field_id in days):
            raise LakeError(f"{place}: the file does not tell how often {field.name} is null")
        if (field.required and count) or (field.field_id in days and count not in {0, rows}):
            raise LakeError(f"{place}: {count} of {rows} rows have no {field.name}")
