"""The lake: Apache Iceberg tables, published as releases.

    lake = Lake.open("sqlite:///var/lake/catalog.db", "file:///srv/mercurios/lake")
    release = lake.publish({"dim_branches": branches}, as_of=as_of)
    lake.reader("north", release).table("dim_branches")

Every table is partitioned by `tenant_id`. `publish` commits the tables it is given, writes the files, then appends one
row to `lake.releases` that pins the snapshot of every table: until that row is there, readers see the old release, and
afterwards a consistent new one. Releases are never changed, so any of them can be read again.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlparse
from uuid import uuid4

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In
from pyiceberg.table import DataScan
from pyiceberg.table import Table as IcebergTable
from sqlalchemy.exc import SQLAlchemyError

from mercurios.errors import ConfigError, LakeError, NoRelease, Transient
from mercurios.tables import TABLES
from mercurios.tables import UTC as UTC_TIMESTAMP

Rows: TypeAlias = pa.Table | Callable[[], pa.Table]

NAMESPACE = "lake"
_RELEASES = f"{NAMESPACE}.releases"
# Of two publications at the same moment the second has to fail, not to be put on top of the first.
_NO_RETRIES = {"commit.retry.num-retries": "0"}
_RELEASES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("at", UTC_TIMESTAMP, nullable=False),
        pa.field("as_of", UTC_TIMESTAMP, nullable=False),
        pa.field("tables", pa.string(), nullable=False),
        pa.field("files", pa.string(), nullable=False),
    ]
)


class PublishConflict(LakeError, Transient):
    """Somebody else published at the same moment; nothing of this publication is visible."""


@dataclass(frozen=True)
class ReleaseTable:
    """One table of a release: its pinned snapshot and its rows over all tenants."""

    name: str
    snapshot_id: int
    rows: int


@dataclass(frozen=True)
class Release:
    """A consistent, immutable state of every table and file; `as_of` is the moment the data speaks for."""

    id: str
    number: int
    at: datetime
    as_of: datetime
    tables: tuple[ReleaseTable, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> ReleaseTable:
        """The pinned table; raises LakeError when this release does not hold it."""
        for table in self.tables:
            if table.name == name:
                return table
        raise LakeError(f"release {self.id} holds no table {name!r}; run the verb that makes it and publish again")

    def holds(self, name: str) -> bool:
        """Whether the release pins a table of that name."""
        return any(table.name == name for table in self.tables)


class Lake:
    """The only owner of pyiceberg. Open it once per process."""

    def __init__(self, catalog: Catalog, data_url: str) -> None:
        self._catalog = catalog
        self._data_url = data_url.rstrip("/")
        catalog.create_namespace_if_not_exists(NAMESPACE)

    @classmethod
    def open(cls, catalog_url: str, data_url: str, **properties: str) -> "Lake":
        """Open a lake; the catalog is `sqlite:///PATH` or `glue://`, the data `file:///PATH` or `s3://BUCKET/PREFIX`."""
        scheme = urlparse(catalog_url).scheme
        if scheme == "sqlite":
            Path(catalog_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            kind = {"type": "sql", "uri": catalog_url}
        elif scheme == "glue":
            kind = {"type": "glue"}
        else:
            raise ConfigError(f"lake catalog of scheme {scheme!r}: expected sqlite:///PATH or glue://")
        if urlparse(data_url).scheme not in {"file", "s3"}:
            given = urlparse(data_url).scheme
            raise ConfigError(f"lake data of scheme {given!r}: expected file:///PATH or s3://BUCKET/PREFIX")
        try:
            return cls(load_catalog("mercurios", warehouse=data_url, **kind, **properties), data_url)
        except (SQLAlchemyError, BotoCoreError, ClientError) as error:
            raise LakeError(f"the lake's catalog ({scheme}) cannot be opened: {str(error).splitlines()[0]}") from error

    def publish(
        self,
        tables: Mapping[str, Rows],
        *,
        as_of: datetime,
        files: Mapping[str, bytes] | None = None,
        tenants: tuple[str, ...] | None = None,
        base: Release | None = None,
    ) -> Release:
        """Commit `tables` and `files` and pin everything else as it was, as one new release.

        tables: rows of all tenants, or of `tenants` only, whose former rows they replace; or a function that fetches
        them when their turn comes. base: the release that was read to make them, when they were made from one.
        Raises LakeError when a table does not have the columns of `mercurios.tables` or is not written in full, and
        PublishConflict when somebody published since `base` or meanwhile; nothing is visible then.
        """
        releases = self._releases()
        before = self.current()
        if base is not None and (before is None or before.id != base.id):
            raise PublishConflict(
                f"release {base.id} was read and {before.id if before else 'none'} is current; run again"
            )
        number = before.number + 1 if before else 1
        release_id = f"r{number:06d}"
        pinned = {table.name: table for table in before.tables} if before else {}
        for name, rows in tables.items():
            pinned[name] = self._commit(name, _shape(name, rows, tenants), tenants, pinned.get(name))
            pa.default_memory_pool().release_unused()
        kept = dict(before.files) if before else {}
        kept |= {
            name: self._write(f"releases/{release_id}-{uuid4().hex[:8]}/{name}", body)
            for name, body in (files or {}).items()
        }
        ordered = tuple(pinned[name] for name in sorted(pinned))
        release = Release(release_id, number, datetime.now(UTC), as_of.astimezone(UTC), ordered, kept)
        self._append(releases, release)
        return release

    def current(self) -> Release | None:
        """The newest release, or None when nothing was published yet."""
        releases = self.releases()
        return releases[-1] if releases else None

    def require_current(self) -> Release:
        """The newest release; raises NoRelease with what to do when there is none."""
        release = self.current()
        if release is None:
            raise NoRelease("the lake holds no release yet; run `mercurios pipeline` (or `mercurios export`) first")
        return release

    def release(self, release_id: str) -> Release:
        """One release by id; raises NoRelease."""
        for release in self.releases():
            if release.id == release_id:
                return release
        raise NoRelease(f"the lake holds no release {release_id!r}; `mercurios status` shows the current one")

    def releases(self) -> tuple[Release, ...]:
        """Every release, oldest first."""
        try:
            rows = self._catalog.load_table(_RELEASES).scan().to_arrow().sort_by("number").to_pylist()
        except NoSuchTableError:
            return ()
        return tuple(_release(row) for row in rows)

    def reader(self, tenant_id: str, release: Release) -> "Reader":
        """Bind one tenant and one release."""
        return Reader(self._catalog, tenant_id, release)

    def _commit(
        self, name: str, rows: pa.Table, tenants: tuple[str, ...] | None, pinned: ReleaseTable | None
    ) -> ReleaseTable:
        """Write on top of what the release pins: a table may hold more, left by a publication that failed."""
        table = self._table(name)
        where = _rows_of(*tenants) if tenants and pinned else AlwaysTrue()
        try:
            if tenants and pinned and table.metadata.current_snapshot_id != pinned.snapshot_id:
                table.manage_snapshots().set_current_snapshot(pinned.snapshot_id).commit()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Delete operation did not match", category=UserWarning)
                table.overwrite(rows, overwrite_filter=where)
        except CommitFailedException as error:
            raise PublishConflict(f"another export wrote {name} at the same moment; run this one again") from error
        snapshot = table.current_snapshot()
        if snapshot is None:
            raise LakeError(f"table {name} has no snapshot after it was written")
        summary = snapshot.summary
        total = int(summary["total-records"] or 0) if summary else 0
        if where == AlwaysTrue() and total != rows.num_rows:
            raise LakeError(f"{name}: {rows.num_rows} rows were written and {total} are there; run the export again")
        return ReleaseTable(name, snapshot.snapshot_id, total)

    def _table(self, name: str) -> IcebergTable:
        identifier = f"{NAMESPACE}.{name}"
        if self._catalog.table_exists(identifier):
            return self._catalog.load_table(identifier)
        table = self._catalog.create_table(identifier, schema=TABLES[name].schema, properties=_NO_RETRIES)
        with table.update_spec() as spec:
            spec.add_identity("tenant_id")
        return table

    def _write(self, place: str, body: bytes) -> str:
        location = f"{self._data_url}/{place}"
        with self._releases().io.new_output(location).create(overwrite=True) as stream:
            stream.write(body)
        return location

    def read_file(self, release: Release, name: str) -> bytes:
        """The content of one file of a release; raises LakeError when the release does not hold it."""
        if name not in release.files:
            raise LakeError(f"release {release.id} holds no file {name!r}; run the verb that makes it")
        with self._releases().io.new_input(release.files[name]).open() as stream:
            return bytes(stream.read())

    def _releases(self) -> IcebergTable:
        return self._catalog.create_table_if_not_exists(_RELEASES, schema=_RELEASES_SCHEMA, properties=_NO_RETRIES)

    def _append(self, releases: IcebergTable, release: Release) -> None:
        tables = [{"name": t.name, "snapshot_id": t.snapshot_id, "rows": t.rows} for t in release.tables]
        row = {
            "id": release.id,
            "number": release.number,
            "at": release.at,
            "as_of": release.as_of,
            "tables": json.dumps(tables),
            "files": json.dumps(dict(release.files)),
        }
        try:
            releases.append(pa.Table.from_pylist([row], schema=_RELEASES_SCHEMA))
        except CommitFailedException as error:
            raise PublishConflict("another release was published at the same moment; run this one again") from error


@dataclass(frozen=True)
class Reader:
    """One tenant's rows of one release; other rows cannot be reached from here."""

    _catalog: Catalog
    tenant_id: str
    release: Release

    def count(self, name: str) -> int:
        """Number of the tenant's rows, from metadata where Iceberg has it."""
        return self._scan(name).count()

    def table(self, name: str) -> pa.Table:
        """All rows of the tenant in the release's snapshot, in the columns of `mercurios.tables`."""
        return self._scan(name).to_arrow().select(TABLES[name].schema.names).cast(TABLES[name].schema)

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """One column of the tenant's rows, without reading the others."""
        return self._scan(name, column).to_arrow()[column]

    def _scan(self, name: str, *columns: str) -> DataScan:
        pinned = self.release.table(name)
        table = self._catalog.load_table(f"{NAMESPACE}.{name}")
        fields = columns or ("*",)
        return table.scan(row_filter=_rows_of(self.tenant_id), selected_fields=fields, snapshot_id=pinned.snapshot_id)


def _rows_of(*tenants: str) -> BooleanExpression:
    return In("tenant_id", tenants)  # type: ignore[misc, call-arg, arg-type]  # pyiceberg types its fields, not __init__


def _release(row: Mapping[str, Any]) -> Release:
    tables = tuple(ReleaseTable(**table) for table in json.loads(row["tables"]))
    return Release(row["id"], row["number"], row["at"], row["as_of"], tables, json.loads(row["files"]))


def _shape(name: str, fetched: Rows, tenants: tuple[str, ...] | None) -> pa.Table:
    rows = fetched() if callable(fetched) else fetched
    if name not in TABLES:
        raise LakeError(f"{name!r} is no published table; those are: {', '.join(TABLES)}")
    schema = TABLES[name].schema
    missing = set(schema.names) - set(rows.column_names)
    if missing:
        raise LakeError(f"{name}: columns are missing: {', '.join(sorted(missing))}")
    try:
        shaped = rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise LakeError(f"{name}: a column does not fit mercurios.tables: {error}") from error
    for column in schema:
        if not column.nullable and shaped[column.name].null_count:
            raise LakeError(f"{name}.{column.name} is part of the key and holds {shaped[column.name].null_count} nulls")
    strangers = set(shaped["tenant_id"].unique().to_pylist()) - set(tenants or shaped["tenant_id"].unique().to_pylist())
    if strangers:
        raise LakeError(f"{name} holds rows of {', '.join(sorted(strangers))}, which this publication does not replace")
    return shaped
