"""The lake: Apache Iceberg tables, published as releases.

    lake = Lake.open("sqlite:///var/lake/catalog.db", "file:///srv/mercurios/lake")
    release = lake.publish({"dim_branches": branches}, as_of=as_of)
    lake.reader("north", release).table("dim_branches")

Every table is partitioned by `tenant_id`, the large ones by month too. `publish` commits the tables it is given, writes
the files, then appends one row to `lake.releases` that pins the snapshot of every table: until that row is there,
readers see the old release, and afterwards a consistent new one. Releases are never changed, so any of them can be read
again, brought back by `rollback`, and in the end taken out by `expire`.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlparse
from uuid import uuid4

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog

from mercurios.errors import BadRequest, ConfigError, LakeError, NoRelease
from mercurios.lake.conflicts import PublishConflict, committing, reached
from mercurios.lake.expiry import Expiring, Expiry, Policy
from mercurios.lake.partitions import CONTENTS, Source, TableReport, day_column
from mercurios.lake.publishing import publish_rows, publish_source
from mercurios.lake.reading import Reader
from mercurios.lake.releases import Release, ReleaseLog, ReleaseTable, release_id

__all__ = [
    "CONTENTS",
    "Expiry",
    "Lake",
    "Policy",
    "PublishConflict",
    "Reader",
    "Release",
    "ReleaseTable",
    "Rows",
    "Source",
    "TableReport",
    "day_column",
]

Rows: TypeAlias = pa.Table | Source | Callable[[], pa.Table | Source]


class Lake:
    """The only owner of pyiceberg. Open it once per process."""

    def __init__(self, catalog: Catalog, data_url: str) -> None:
        self._catalog = catalog
        self._data_url = data_url.rstrip("/")
        self._log = ReleaseLog(catalog)

    @classmethod
    def open(cls, catalog_url: str, data_url: str, **properties: str) -> "Lake":
        """Open a lake; the catalog is `sqlite:///PATH` or `glue://`, the data `file:///PATH` or `s3://BUCKET/PREFIX`.

        Nothing is made in it before something is published. Raises ConfigError and LakeError.
        """
        scheme, data_scheme = urlparse(catalog_url).scheme, urlparse(data_url).scheme
        kinds = {"sqlite": {"type": "sql", "uri": catalog_url}, "glue": {"type": "glue"}}
        if scheme not in kinds:
            raise ConfigError(f"lake catalog of scheme {scheme!r}: expected sqlite:///PATH or glue://")
        if data_scheme not in {"file", "s3"}:
            raise ConfigError(f"lake data of scheme {data_scheme!r}: expected file:///PATH or s3://BUCKET/PREFIX")
        with reached("the lake's catalog (MERCURIOS_CATALOG)"):
            alone = _alone(Path(catalog_url.removeprefix("sqlite:///")).parent) if scheme == "sqlite" else nullcontext()
            with alone:
                return cls(load_catalog("mercurios", warehouse=data_url, **kinds[scheme], **properties), data_url)

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

        tables: rows of all tenants, or of `tenants` only, whose former rows they replace; or a Source of all rows, of
        which only partitions that changed are read; or a function that gives either when its turn comes.
        base: the release that was read to make them, when they were made from one.
        Raises LakeError when a table does not have the columns of `mercurios.tables` or is not written in full, and
        PublishConflict when somebody published since `base` or meanwhile; nothing is visible then.
        """
        _check_zone(as_of)
        before = self.current()
        if base is not None and (before is None or before.id != base.id):
            raise PublishConflict(
                f"release {base.id} was read and {before.id if before else 'none'} is current; run again"
            )
        pinned = {table.name: table for table in before.tables} if before else {}
        for name, rows in tables.items():
            pinned[name] = self._put(name, rows, tenants, pinned.get(name))
            pa.default_memory_pool().release_unused()
        number = before.number + 1 if before else 1
        release = Release(
            release_id(number),
            number,
            datetime.now(UTC),
            as_of.astimezone(UTC),
            tuple(pinned[name] for name in sorted(pinned)),
            self._files(number, before, files or {}),
        )
        self._log.append(release)
        return release

    def rollback(self, old: str) -> Release:
        """Make an older release current again, as a new release that pins the same; no rows are moved.

        Raises NoRelease when it is expired, PublishConflict when somebody published meanwhile.
        """
        found, newest = self.release(old), self.require_current()
        number = newest.number + 1
        again = replace(found, id=release_id(number), number=number, at=datetime.now(UTC), rollback_of=found.id)
        self._log.append(again)
        return again

    def expire(self, policy: Policy, *, now: datetime, pinned: Collection[str] = (), dry_run: bool = False) -> Expiry:
        """Take out the releases that the policy does not keep, and remove what no kept release needs.

        pinned: ids of releases to keep whatever their age. With `dry_run` nothing is changed and the same is told.
        Raises LakeError, before a file is removed, when one that is needed is not found.
        """
        _check_zone(now)
        expiring = Expiring(self._catalog, self._data_url, policy, now, frozenset(pinned))
        with reached("the expiry did not get to its end", damaged=True):
            return expiring.plan() if dry_run else expiring.run()

    def current(self) -> Release | None:
        """The newest release, or None when nothing was published yet."""
        return self._log.newest()

    def require_current(self) -> Release:
        """The newest release; raises NoRelease with what to do when there is none."""
        release = self.current()
        if release is None:
            raise NoRelease("the lake holds no release yet; run `mercurios pipeline` (or `mercurios export`) first")
        return release

    def release(self, wanted: str) -> Release:
        """One release by id; raises NoRelease."""
        for release in self.releases():
            if release.id == wanted:
                return release
        raise NoRelease(f"the lake holds no release {wanted[:40]!r}; `mercurios release list` shows those there are")

    def release_at(self, moment: datetime) -> Release:
        """The release that was current at a moment; raises NoRelease when there was none or it is expired."""
        _check_zone(moment)
        releases = self.releases()
        before = [release for release in releases if release.at <= moment]
        after = releases[len(before)].number if len(before) < len(releases) else None
        if not before or after not in {None, before[-1].number + 1}:  # else one in between was expired
            raise NoRelease(
                f"the lake holds no release that was current at {moment.isoformat()}: nothing was published yet, or it "
                "was expired; `mercurios release list` shows those there are"
            )
        return before[-1]

    def releases(self) -> tuple[Release, ...]:
        """Every release that was not expired, oldest first."""
        return self._log.all()

    def reader(self, tenant_id: str, release: Release) -> Reader:
        """Bind one tenant and one release."""
        return Reader(self._catalog, tenant_id, release)

    def read_file(self, release: Release, name: str) -> bytes:
        """The content of one file of a release; raises LakeError when the release does not hold it."""
        if name not in release.files:
            raise LakeError(f"release {release.id} holds no file {name!r}; run the verb that makes it")
        content = self._content(release, name)
        if content is None:
            self.release(release.id)  # NoRelease where it was expired meanwhile
            raise LakeError(f"file {name!r} of release {release.id} is gone; run the verb that makes it")
        return content

    def _put(self, name: str, rows: Rows, tenants: tuple[str, ...] | None, pinned: ReleaseTable | None) -> ReleaseTable:
        given = rows() if callable(rows) else rows
        with committing(name):
            if not isinstance(given, Source):
                return publish_rows(self._catalog, name, given, tenants, pinned)
            done, report = publish_source(self._catalog, name, given, pinned)
        given.told(report)
        return done

    def _content(self, release: Release, name: str) -> bytes | None:
        """None when the file is gone."""
        with reached(f"file {name!r} of release {release.id}"):
            try:
                with self._log.io().new_input(release.files[name]).open() as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def _files(self, number: int, before: Release | None, files: Mapping[str, bytes]) -> dict[str, str]:
        """Places of all files of the release; what is as it was stays where it is, what is lost is written again."""
        kept = dict(before.files) if before else {}
        folder = f"{self._data_url}/releases/{release_id(number)}-{uuid4().hex[:8]}"
        for name, body in files.items():
            if {"", ".", ".."} & set(name.split("/")):
                raise LakeError(f"file {name!r} would not lie in the folder of its release; give it another name")
            if before is None or name not in kept or self._content(before, name) != body:
                kept[name] = f"{folder}/{name}"
                self._write(name, kept[name], body)
        return kept

    def _write(self, name: str, location: str, body: bytes) -> None:
        with committing(f"file {name!r}"):
            output = self._log.table().io.new_output(location)
            with output.create(overwrite=True) as stream:
                stream.write(body)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several processes that open a new SQLite catalog at once one makes its tables, and the others wait."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _check_zone(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise BadRequest(f"expected a moment with its time zone, got {moment.isoformat()} without; add one, e.g. Z")
