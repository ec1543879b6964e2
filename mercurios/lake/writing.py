"""Writing: rows become Parquet files, a file or more per partition, and files become a snapshot.

    files = write(table, batches, day="sold_on")
    snapshot = commit(table, base, dropped, files)

Batches are written as they come; what is in memory is a row group. A commit replaces whole partitions of the snapshot
that it is made from: pyiceberg's own overwrite reads and filters files where their statistics do not prove that all
of it goes, and takes no stream for a partitioned table.
"""

import itertools
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

import pyarrow as pa
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.io.pyarrow import ParquetFormatWriter
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionFieldValue, PartitionKey, PartitionSpec
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyiceberg.transforms import MonthTransform
from pyiceberg.typedef import Record

from mercurios.errors import LakeError
from mercurios.lake.conflicts import PublishConflict, committing
from mercurios.lake.evolving import file_schema
from mercurios.lake.partitions import Partition, runs
from mercurios.tables import TABLES

ROWS_A_GROUP = 100_000
GROUPS_A_FILE = 40
_TRIES = 3


def shaped(name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of `mercurios.tables` in their types; raises LakeError where one is missing or does not fit."""
    schema = TABLES[name].schema
    if missing := set(schema.names) - set(batch.schema.names):
        raise LakeError(f"{name}: columns are missing: {', '.join(sorted(missing))}")
    for column in schema:
        if not column.nullable and batch[column.name].null_count:
            raise LakeError(f"{name}.{column.name} is part of the key and holds {batch[column.name].null_count} nulls")
    try:
        return batch.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise LakeError(f"{name}: a column does not fit mercurios.tables: {error}") from error


def write(
    table: IcebergTable, batches: Iterable[pa.RecordBatch], day: str | None
) -> Iterator[tuple[Partition, DataFile]]:
    """Write shaped batches; a partition whose rows do not come one after the other gets more files."""
    pieces = (piece for batch in batches for piece in runs(batch, day))
    for partition, group in itertools.groupby(pieces, key=lambda piece: piece[0]):
        groups = _row_groups(table, (batch for _, batch in group))
        for first in groups:
            rest = itertools.islice(groups, GROUPS_A_FILE - 1)
            yield partition, _file(table, partition, itertools.chain([first], rest))


def _row_groups(table: IcebergTable, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    schema = file_schema(table)
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch.select(schema.names).cast(schema))
        if sum(piece.num_rows for piece in waiting) >= ROWS_A_GROUP:
            yield pa.Table.from_batches(waiting, schema)
            waiting.clear()
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _file(table: IcebergTable, partition: Partition, groups: Iterable[pa.Table]) -> DataFile:
    key = _partition_key(table, partition)
    output = table.io.new_output(table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet", key))
    with ParquetFormatWriter(output, table.schema(), table.properties) as writer:
        for group in groups:
            writer.write(group)
    return described(table, output.location, len(output), key.partition, writer.result())


def described(
    table: IcebergTable, location: str, size: int, partition: Record, statistics: DataFileStatistics
) -> DataFile:
    """What a manifest says of a Parquet file."""
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size,
        sort_order_id=None,
        spec_id=table.spec().spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _partition_key(table: IcebergTable, partition: Partition) -> PartitionKey:
    values = [
        PartitionFieldValue(field, _months(partition.month) if _is_month(field) else partition.tenant_id)
        for field in table.spec().fields
    ]
    return PartitionKey(values, table.spec(), table.schema())


def _months(month: date | None) -> int | None:
    return None if month is None else (month.year - 1970) * 12 + month.month - 1


def _is_month(field: PartitionField) -> bool:
    return isinstance(field.transform, MonthTransform)


def partition_of(spec: PartitionSpec, record: Record) -> Partition:
    """The partition that a file's record names, by the specification it was written with."""
    tenant_id, month = "", None
    for place, field in enumerate(spec.fields):
        if not _is_month(field):
            tenant_id = record[place]
        elif (months := record[place]) is not None:
            month = date(1970 + months // 12, months % 12 + 1, 1)
    return Partition(tenant_id, month)


def files_of(table: IcebergTable, snapshot_id: int) -> list[tuple[Partition, DataFile]]:
    """The files of a snapshot."""
    files = [task.file for task in table.scan(snapshot_id=snapshot_id).plan_files()]
    return [(partition_of(table.specs()[file.spec_id], file.partition), file) for file in files]


def commit(table: IcebergTable, base: int | None, dropped: Collection[DataFile], added: Sequence[DataFile]) -> Snapshot:
    """Make a snapshot: that of `base` without some files and with others; raises PublishConflict.

    base: the snapshot to start from; the newest may be another, left by a publication that failed.
    """
    newest = table.metadata.current_snapshot_id
    for left in reversed(range(_TRIES)):
        try:
            with committing(table.name()[-1]), table.transaction() as change:
                _replace(change, base, dropped, added)
            break
        except PublishConflict:
            table.refresh()
            if table.metadata.current_snapshot_id != newest or not left:  # else only old snapshots were expired
                raise
    if (snapshot := table.current_snapshot()) is None:
        raise LakeError(f"table {table.name()[-1]} has no snapshot after it was written")
    return snapshot


def _replace(change: Transaction, base: int | None, dropped: Collection[DataFile], added: Sequence[DataFile]) -> None:
    if base is not None and change.table_metadata.current_snapshot_id != base:
        ManageSnapshots(change).set_current_snapshot(base)
    with change.update_snapshot().overwrite() as update:
        for file in dropped:
            update.delete_data_file(file)
        for file in added:
            update.append_data_file(file)
