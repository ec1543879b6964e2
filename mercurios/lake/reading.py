"""Reading: one tenant's rows of one release; other rows cannot be reached from here.

lake.reader("north", release).table("dim_branches")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import DataScan

from mercurios.errors import LakeError, NoRelease
from mercurios.lake.conflicts import advice, reached
from mercurios.lake.releases import NAMESPACE, Release, ReleaseLog
from mercurios.tables import TABLES


@dataclass(frozen=True)
class Reader:
    """One tenant's rows of one release. Raises NoRelease when the release is expired, in the middle of a read too."""

    _catalog: Catalog
    tenant_id: str
    release: Release

    def count(self, name: str) -> int:
        """Number of the tenant's rows, from metadata where Iceberg has it."""
        with self._reading(name):
            return self._scan(name).count()

    def table(self, name: str) -> pa.Table:
        """All rows of the tenant in the release's snapshot, in the columns of `mercurios.tables`.

        A column that was declared after the release was published is null.
        """
        return pa.Table.from_batches(self.batches(name), _readable(name))

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """The same rows, a batch in memory at a time."""
        schema = _readable(name)
        with self._reading(name):
            for batch in _batches(self._scan(name)):
                if pc.any(pc.not_equal(batch["tenant_id"], self.tenant_id)).as_py():
                    raise LakeError(f"a file of {name} holds rows of another tenant than it says; export again")
                yield _in_columns(batch, schema)

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """One column of the tenant's rows, without reading the others."""
        with self._reading(name):
            return self._scan(name, column).to_arrow()[column]

    def _scan(self, name: str, *columns: str) -> DataScan:
        pinned = self.release.table(name)
        table = self._catalog.load_table(f"{NAMESPACE}.{name}")
        if table.snapshot_by_id(pinned.snapshot_id) is None:
            raise FileNotFoundError(f"snapshot {pinned.snapshot_id} of {name}")
        fields = columns or ("*",)
        return table.scan(row_filter=_rows_of(self.tenant_id), selected_fields=fields, snapshot_id=pinned.snapshot_id)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        place = f"{name} of release {self.release.id}"
        with reached(place, damaged=True):
            try:
                yield
            except (FileNotFoundError, NoSuchTableError) as error:
                if self.release.id not in {release.id for release in ReleaseLog(self._catalog).all()}:
                    raise NoRelease(f"release {self.release.id} was expired; read the current one") from error
                raise LakeError(f"{place}: {advice(FileNotFoundError())}") from None


def _batches(scan: DataScan) -> Iterator[pa.RecordBatch]:
    """The rows of a scan, read in parallel; filtered only where whole files do not do, which takes as long again."""
    tasks = list(scan.plan_files())
    are_whole = all(task.residual == AlwaysTrue() for task in tasks)
    kept = AlwaysTrue() if are_whole else scan.row_filter
    return ArrowScan(scan.table_metadata, scan.io, scan.projection(), kept).to_record_batches(tasks)


def _rows_of(tenant_id: str) -> BooleanExpression:
    return In("tenant_id", (tenant_id,))  # type: ignore[misc, call-arg, arg-type]  # pyiceberg types its fields


def _readable(name: str) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in TABLES[name].schema])


def _in_columns(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    columns = [
        batch[field.name].cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
