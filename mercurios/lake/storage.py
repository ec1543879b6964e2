"""Storage: the files that lie in the lake's folders, and those that an Iceberg table needs.

    {file.place for file in stored(io, table.location())} - set(needed(table))

A place is a path within the file system, for S3 with the bucket: locations that mean the same file are one place.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileSystem, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table as IcebergTable

from mercurios.errors import LakeError

_METADATA = ".metadata.json"
"""Iceberg removes the older of these itself."""


@dataclass(frozen=True)
class Stored:
    """A file of the storage."""

    location: str
    place: str
    bytes: int
    written_at: datetime


def place(location: str) -> str:
    """The place of a location."""
    return PyArrowFileIO.parse_location(location)[2]


def stored(io: FileIO, folder: str) -> Iterator[Stored]:
    """All files below a folder; none when there is no such folder."""
    root = place(folder)
    for found in _system(io, folder).get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        if found.type == FileType.File:
            location = folder + found.path.removeprefix(root)
            yield Stored(location, found.path, found.size, found.mtime.astimezone(UTC))


def needed(table: IcebergTable, dropped: Collection[int] = ()) -> Iterator[str]:
    """Places of all files that a table needs, but those that only the `dropped` snapshots do.

    Raises LakeError when a manifest cannot be read: then nobody can tell.
    """
    metadata = table.metadata
    yield place(table.metadata_location)
    yield from (place(entry.metadata_file) for entry in metadata.metadata_log)
    yield from (place(each.statistics_path) for each in (*metadata.statistics, *metadata.partition_statistics))
    seen: set[str] = set()
    for snapshot in table.snapshots():
        if snapshot.snapshot_id in dropped:
            continue
        yield place(snapshot.manifest_list)
        try:
            for manifest in snapshot.manifests(table.io):
                if manifest.manifest_path not in seen:
                    seen.add(manifest.manifest_path)
                    yield place(manifest.manifest_path)
                    yield from (place(entry.data_file.file_path) for entry in manifest.fetch_manifest_entry(table.io))
        except FileNotFoundError as error:
            raise LakeError(f"{table.name()[-1]}: a manifest is gone ({error}); nothing more is removed") from error


def check_found(io: FileIO, folder: str, places: Iterable[str], since: datetime) -> None:
    """Raise LakeError unless these files, which the list of the folders does not have, were written `since` then.

    An older one is gone, or is spelt another way in the list: then a needed file looks like one that is not.
    """
    for found in _system(io, folder).get_file_info([each for each in places if not each.endswith(_METADATA)]):
        if found.type != FileType.File or found.mtime.astimezone(UTC) < since:
            raise LakeError(f"expected {found.path} in the lake's folders, it is not; nothing is removed")


def remove(io: FileIO, files: Iterable[Stored]) -> None:
    """Remove files; one that is gone already is no error."""
    for file in files:
        with suppress(FileNotFoundError):
            _system(io, file.location).delete_file(file.place)


def _system(io: FileIO, location: str) -> FileSystem:
    if not isinstance(io, PyArrowFileIO):
        raise LakeError(f"expected files that Arrow reads, got {type(io).__name__}; nothing is removed")
    scheme, host, _ = PyArrowFileIO.parse_location(location)
    return io.fs_by_scheme(scheme, host)
