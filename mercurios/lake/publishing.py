"""Publishing one table: what changed is written, what did not stays as it is.

    pinned = publish_rows(catalog, "forecasts", rows, tenants=("north",), pinned=pinned)
    pinned, report = publish_source(catalog, "fct_sale_lines", source, pinned=pinned)

`pinned` is the table of the release to start from, None where that holds none of the name.
"""

from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable

from mercurios.errors import LakeError
from mercurios.lake.adopting import adopt
from mercurios.lake.evolving import open_table
from mercurios.lake.partitions import (
    Partition,
    Source,
    TableReport,
    check_tenants,
    chosen,
    compare,
    day_column,
    ordered,
    partitions,
)
from mercurios.lake.releases import ReleaseTable
from mercurios.lake.writing import commit, files_of, shaped, write
from mercurios.tables import TABLES

_Files = list[tuple[Partition, DataFile]]


@dataclass(frozen=True)
class _Replacement:
    """Files of a table: those there are, those of them that go, and those that come."""

    there: _Files
    gone: _Files
    added: _Files

    def report(self, done: ReleaseTable) -> TableReport:
        before, lost, written = ({partition for partition, _ in files} for files in (self.there, self.gone, self.added))
        size = sum(file.file_size_in_bytes for _, file in self.added)
        return TableReport(done.name, done.rows, len(written), len(before - lost), len(lost - written), size)


def publish_rows(
    catalog: Catalog, name: str, rows: pa.Table, tenants: tuple[str, ...] | None, pinned: ReleaseTable | None
) -> ReleaseTable:
    """Make `rows` all that the table holds, or all that it holds of `tenants`."""
    _check_name(name)
    batches = rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
    ready = ordered(pa.Table.from_batches([shaped(name, batch) for batch in batches]), day_column(name))
    found = ready["tenant_id"].unique().to_pylist()
    check_tenants(found)
    if tenants and (strangers := set(found) - set(tenants)):
        raise LakeError(f"{name} holds rows of {', '.join(sorted(strangers))}, which this publication does not replace")
    table = open_table(catalog, name)
    there = _files_there(table, pinned)
    gone = [part for part in there if not (pinned and tenants) or part[0].tenant_id in tenants]
    return _commit(table, pinned, _Replacement(there, gone, list(write(table, ready.to_batches(), day_column(name)))))


def publish_source(
    catalog: Catalog, name: str, source: Source, pinned: ReleaseTable | None
) -> tuple[ReleaseTable, TableReport]:
    """Make what `source` holds all that the table holds; only partitions that changed are read and written.

    Raises LakeError when other rows come than the source's contents told.
    """
    _check_name(name)
    table = open_table(catalog, name)
    before = _contents(table, pinned)
    changes = compare(before, source.contents)
    if pinned and before is not None and changes.is_nothing:
        return pinned, TableReport(name, pinned.rows, kept=len(changes.kept))
    wanted = chosen(source.contents, changes.written)
    added = _fetch(catalog, table, source, wanted) if wanted.num_rows else []
    _check_rows(name, wanted, added)
    there = _files_there(table, pinned)
    gone = [part for part in there if part[0] not in changes.kept]
    replacement = _Replacement(there, gone, added)
    done = _commit(table, pinned, replacement, _write_contents(table, source.contents))
    return done, replacement.report(done)


def _fetch(catalog: Catalog, table: IcebergTable, source: Source, wanted: pa.Table) -> _Files:
    """Files with the rows of these partitions: unloaded by whoever has them, or else written here."""
    name = table.name()[-1]
    folder, place = f"{table.location()}/data", f"unloaded-{uuid4().hex}"
    if source.unload(wanted, folder.removeprefix(catalog.properties["warehouse"].rstrip("/") + "/"), place):
        tenants = sorted(set(wanted["tenant_id"].to_pylist()))
        return [file for tenant_id in tenants for file in adopt(table, f"{folder}/tenant_id={tenant_id}/{place}")]
    return list(write(table, (shaped(name, batch) for batch in source.read(wanted)), day_column(name)))


def _commit(
    table: IcebergTable, pinned: ReleaseTable | None, replacement: _Replacement, contents: str = ""
) -> ReleaseTable:
    gone, added = ([file for _, file in files] for files in (replacement.gone, replacement.added))
    snapshot = commit(table, pinned.snapshot_id if pinned else None, gone, added)
    rows = int((snapshot.summary and snapshot.summary["total-records"]) or 0)
    return ReleaseTable(table.name()[-1], snapshot.snapshot_id, rows, contents)


def _files_there(table: IcebergTable, pinned: ReleaseTable | None) -> _Files:
    snapshot_id = pinned.snapshot_id if pinned else table.metadata.current_snapshot_id
    return [] if snapshot_id is None else files_of(table, snapshot_id)


def _contents(table: IcebergTable, pinned: ReleaseTable | None) -> pa.Table | None:
    """What the pinned snapshot holds by partition; None when nobody told, or when it has other columns."""
    snapshot = table.snapshot_by_id(pinned.snapshot_id) if pinned else None
    if pinned is None or snapshot is None or not pinned.contents or snapshot.schema_id != table.schema().schema_id:
        return None
    try:
        with table.io.new_input(pinned.contents).open() as stream:
            return pq.read_table(pa.BufferReader(stream.read()))
    except (FileNotFoundError, pa.ArrowInvalid):  # lost or damaged: all is written anew
        return None


def _write_contents(table: IcebergTable, contents: pa.Table) -> str:
    location = f"{table.location()}/contents/{uuid4().hex}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(contents, sink)
    with table.io.new_output(location).create() as stream:
        stream.write(sink.getvalue().to_pybytes())
    return location


def _check_name(name: str) -> None:
    if name not in TABLES:
        raise LakeError(f"{name!r} is no published table; those are: {', '.join(TABLES)}")


def _check_rows(name: str, wanted: pa.Table, added: _Files) -> None:
    told = {partition: rows for partition, (rows, _) in partitions(wanted).items()}
    came: Counter[Partition] = Counter()
    for partition, file in added:
        came[partition] += file.record_count
    if came != told:
        raise LakeError(
            f"{name}: expected {sum(told.values())} rows in {len(told)} partitions, {came.total()} came in "
            f"{len(came)}; the mart changed while it was read, run the export again"
        )
