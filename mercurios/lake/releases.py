"""Releases: what a reader sees, and the table that lists them.

    log = ReleaseLog(catalog)
    log.newest()

A release is a row of `lake.releases`: it pins a snapshot of every table and the place of every file. Rows are appended
and, when they are expired, taken out; none is ever changed. Of two writers at the same moment the second fails.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.io import FileIO
from pyiceberg.table import Table as IcebergTable

from mercurios.errors import LakeError, NoRelease
from mercurios.lake.conflicts import PublishConflict, committing, reached
from mercurios.tables import UTC as UTC_TIMESTAMP

NAMESPACE = "lake"
RELEASES = f"{NAMESPACE}.releases"
PROPERTIES = {
    "commit.retry.num-retries": "0",  # of two writers the second has to fail, not to be put on top of the first
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
_NEWEST = "newest-release"
_TRIES = 5
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("at", UTC_TIMESTAMP, nullable=False),
        pa.field("as_of", UTC_TIMESTAMP, nullable=False),
        pa.field("tables", pa.string(), nullable=False),
        pa.field("files", pa.string(), nullable=False),
        pa.field("rollback_of", pa.string()),
    ]
)


@dataclass(frozen=True)
class ReleaseTable:
    """One table of a release: its pinned snapshot and its rows over all tenants.

    contents: place of what the snapshot holds by partition; empty when nobody told.
    """

    name: str
    snapshot_id: int
    rows: int
    contents: str = ""


@dataclass(frozen=True)
class Release:
    """A consistent, immutable state of every table and file; `as_of` is the moment the data speaks for.

    rollback_of: id of the older release that this one brought back, None for one that was published.
    """

    id: str
    number: int
    at: datetime
    as_of: datetime
    tables: tuple[ReleaseTable, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    rollback_of: str | None = None

    def table(self, name: str) -> ReleaseTable:
        """The pinned table; raises LakeError when this release does not hold it."""
        for table in self.tables:
            if table.name == name:
                return table
        raise LakeError(f"release {self.id} holds no table {name!r}; run the verb that makes it and publish again")

    def holds(self, name: str) -> bool:
        """Whether the release pins a table of that name."""
        return any(table.name == name for table in self.tables)


def release_id(number: int) -> str:
    """The id of the n-th release."""
    return f"r{number:06d}"


class ReleaseLog:
    """The table of releases."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> tuple[Release, ...]:
        """Every release that was not expired, oldest first."""
        try:
            with reached("the table of releases", damaged=True):
                return _releases(self._catalog.load_table(RELEASES))
        except NoSuchTableError:
            return ()

    def newest(self) -> Release | None:
        """The newest release, or None when nothing was published yet; reads one row."""
        try:
            with reached("the table of releases", damaged=True):
                return _newest(self._catalog.load_table(RELEASES))
        except NoSuchTableError:
            return None

    def io(self) -> FileIO:
        """What reads the files of releases; raises NoRelease before the first one."""
        try:
            return self._catalog.load_table(RELEASES).io
        except NoSuchTableError as error:
            raise NoRelease("the lake holds no release yet; run `mercurios export` first") from error

    def append(self, release: Release) -> None:
        """Make `release` the newest; raises PublishConflict when it does not follow the one that is newest now.

        Raises NoRelease when it brings back one that is expired: what that one pinned may be gone.
        """

        def add(table: IcebergTable) -> None:
            newest = _newest(table)
            if release.number != (newest.number if newest else 0) + 1:
                raise PublishConflict(f"{newest.id if newest else 'none'} was published meanwhile; run this one again")
            old = release.rollback_of
            if old and old not in {there.id for there in _releases(table)}:
                raise NoRelease(f"release {old} was expired meanwhile; `mercurios release list` shows those there are")
            table.append(_rows([release]), snapshot_properties={_NEWEST: str(release.number)})

        self._change(add)

    def take_out(self, chosen: Callable[[tuple[Release, ...]], Iterable[Release]]) -> tuple[Release, ...]:
        """Take out the releases that `chosen` names of all there are; returns those that stay, oldest first."""
        stay: tuple[Release, ...] = ()

        def rewrite(table: IcebergTable) -> None:
            nonlocal stay
            there = _releases(table)
            gone = {release.id for release in chosen(there)}
            stay = tuple(release for release in there if release.id not in gone)
            if gone:
                newest = {_NEWEST: str(stay[-1].number)}
                table.overwrite(_rows(stay), snapshot_properties=newest)

        self._change(rewrite)
        return stay

    def table(self) -> IcebergTable:
        """The table, made if missing."""
        with committing("the table of releases"):
            try:
                table = self._catalog.load_table(RELEASES)
            except NoSuchTableError:
                make_namespace(self._catalog)
                return self._catalog.create_table_if_not_exists(RELEASES, schema=_SCHEMA, properties=PROPERTIES)
            if set(_SCHEMA.names) - set(table.schema().column_names):
                with table.update_schema() as update:
                    update.union_by_name(_SCHEMA)
        return table

    def _change(self, change: Callable[[IcebergTable], None]) -> None:
        """Change the table; once more where another change, which `change` does not mind, came in between."""
        for left in reversed(range(_TRIES)):
            try:
                with committing("the table of releases"):
                    return change(self.table())
            except PublishConflict as error:
                if error.__cause__ is None or not left:  # what `change` itself refuses
                    raise


def make_namespace(catalog: Catalog) -> None:
    """Make the lake's namespace if it is missing; on Glue `mercurios lake apply` has made it, and writers may not."""
    if not catalog.namespace_exists(NAMESPACE):
        with reached("the lake's namespace is not there (on Glue `mercurios lake apply` makes it)"):
            catalog.create_namespace_if_not_exists(NAMESPACE)


def _newest(table: IcebergTable) -> Release | None:
    snapshot = table.current_snapshot()
    number = snapshot.summary.get(_NEWEST) if snapshot and snapshot.summary else None
    if number is None:  # written before the number was kept beside the rows
        releases = _releases(table)
        return releases[-1] if releases else None
    rows = table.scan(row_filter=EqualTo("number", int(number))).to_arrow()  # type: ignore[call-arg, arg-type, misc]
    return _release(rows.to_pylist()[0])


def _releases(table: IcebergTable) -> tuple[Release, ...]:
    return tuple(_release(row) for row in table.scan().to_arrow().sort_by("number").to_pylist())


def _release(row: Mapping[str, Any]) -> Release:
    tables = tuple(ReleaseTable(**table) for table in json.loads(row["tables"]))
    files = json.loads(row["files"])
    return Release(row["id"], row["number"], row["at"], row["as_of"], tables, files, row.get("rollback_of"))


def _rows(releases: Iterable[Release]) -> pa.Table:
    rows = [
        {
            "id": release.id,
            "number": release.number,
            "at": release.at,
            "as_of": release.as_of,
            "tables": json.dumps([vars(table) for table in release.tables]),
            "files": json.dumps(dict(release.files)),
            "rollback_of": release.rollback_of,
        }
        for release in releases
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
