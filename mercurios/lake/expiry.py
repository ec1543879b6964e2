"""Expiry: releases that are too old are taken out, then the snapshots and files that no release needs any more.

    Expiring(catalog, "file:///srv/mercurios/lake", Policy(releases=30, days=90), now, frozenset()).plan().files

First the table of releases is written without those that go, all at once or not at all; from then on nobody can come
to read or to pin them. What they alone needed follows: a run that breaks off is finished by the next. Snapshots and
files that are young are left alone, whoever they belong to: an export that is under way has written them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.update.snapshot import ExpireSnapshots, ManageSnapshots

from mercurios.errors import BadRequest
from mercurios.lake.conflicts import PublishConflict, committing
from mercurios.lake.releases import NAMESPACE, Release, ReleaseLog
from mercurios.lake.storage import Stored, check_found, needed, place, remove, stored

_Releases: TypeAlias = tuple[Release, ...]
_Dropped: TypeAlias = Mapping[tuple[str, ...], frozenset[int]]
_MOST_DAYS = 36500
_NO_TIME, _MOST = timedelta(), timedelta(days=_MOST_DAYS)


@dataclass(frozen=True)
class Policy:
    """What is kept: the newest releases, and all that are younger than some days.

    young: of what no release needs, that which was written so short a time ago is left alone.
    """

    releases: int = 30
    days: int = 90
    young: timedelta = timedelta(days=3)

    def __post_init__(self) -> None:
        whole = type(self.releases) is int and type(self.days) is int
        if not whole or self.releases < 1 or not 0 <= self.days <= _MOST_DAYS or not _NO_TIME <= self.young <= _MOST:
            raise BadRequest(
                f"expected to keep at least 1 release, 0 to {_MOST_DAYS} whole days, and what is young no longer, "
                f"got {self.releases}, {self.days} and {self.young}; the current release is always kept"
            )

    def expired(self, releases: _Releases, now: datetime, pinned: Collection[str]) -> _Releases:
        """Those of all releases, oldest first, that are not kept."""
        return tuple(
            release
            for release in releases[: -self.releases]
            if now - release.at >= timedelta(days=self.days) and release.id not in pinned
        )


@dataclass(frozen=True)
class Expiry:
    """What was taken out, or with a dry run what would be; snapshots by table, bytes of the files.

    busy: tables that somebody else wrote to meanwhile; their snapshots go the next time.
    """

    releases: tuple[str, ...]
    kept: int
    snapshots: Mapping[str, int]
    files: int
    bytes: int
    busy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expiring:
    """One round of expiry; `pinned` are ids of releases that are kept whatever their age."""

    catalog: Catalog
    data_url: str
    policy: Policy
    now: datetime
    pinned: frozenset[str]

    def plan(self) -> Expiry:
        """Tell what a run would do."""
        releases = self._log.all()
        if not releases:
            return _told((), (), {}, [])
        gone = self._expired(releases)
        kept = tuple(release for release in releases if release not in gone)
        dropped = {table.name(): self._droppable(table, kept) for table in self._tables()}
        return _told(gone, kept, dropped, self._useless(kept, dropped))

    def run(self) -> Expiry:
        """Take out the releases, then what they alone needed."""
        gone, kept = self._take_out()
        if not kept:  # nothing was published yet, and nothing is made by looking
            return _told((), (), {}, [])
        dropped, busy = {}, []
        for table in self._tables():
            old = self._droppable(table, kept)
            if old and not _drop(table, old, kept):
                busy.append(table.name()[-1])
            else:
                dropped[table.name()] = old
        useless = self._useless(self._log.all(), {})
        remove(self._log.io(), useless)
        return replace(_told(gone, kept, dropped, useless), busy=tuple(busy))

    @property
    def _log(self) -> ReleaseLog:
        return ReleaseLog(self.catalog)

    @property
    def _limit(self) -> datetime:
        return self.now - self.policy.young

    def _expired(self, releases: _Releases) -> _Releases:
        return self.policy.expired(releases, self.now, self.pinned)

    def _take_out(self) -> tuple[_Releases, _Releases]:
        before = self._log.all()
        kept = self._log.take_out(self._expired) if self._expired(before) else before
        return tuple(release for release in before if release not in kept), kept

    def _tables(self) -> list[IcebergTable]:
        return [self.catalog.load_table(identifier) for identifier in self.catalog.list_tables(NAMESPACE)]

    def _droppable(self, table: IcebergTable, kept: _Releases) -> frozenset[int]:
        """Snapshots that are not young and that no kept release pins."""
        name = table.name()[-1]
        pinned = {each.snapshot_id for release in kept for each in release.tables if each.name == name}
        if not kept or not kept[-1].holds(name):  # then nothing says to what the table could be set back
            pinned.add(table.metadata.current_snapshot_id or 0)
        old = (snapshot for snapshot in table.snapshots() if snapshot.timestamp_ms < self._limit.timestamp() * 1000)
        return frozenset(snapshot.snapshot_id for snapshot in old) - pinned

    def _useless(self, kept: _Releases, dropped: _Dropped) -> list[Stored]:
        """Files that lie there now, are not young, and that nothing needs once `dropped` snapshots are gone."""
        io = self._log.io()
        folders = [table.location() for table in self._tables()] + [f"{self.data_url}/releases"]
        there = {file.place: file for folder in folders for file in stored(io, folder)}
        wanted = {place(location) for release in kept for location in release.files.values()}
        wanted |= {place(each.contents) for release in kept for each in release.tables if each.contents}
        for table in self._tables():
            wanted.update(needed(table, dropped.get(table.name(), frozenset())))
        check_found(io, self.data_url, wanted - there.keys(), self._limit)
        return [file for name, file in sorted(there.items()) if name not in wanted and file.written_at < self._limit]


def _drop(table: IcebergTable, old: frozenset[int], kept: _Releases) -> bool:
    """Drop snapshots; False when somebody else wrote to the table meanwhile."""
    try:
        with committing(table.name()[-1]), table.transaction() as change:
            if table.metadata.current_snapshot_id in old:  # left by a publication that failed
                ManageSnapshots(change).set_current_snapshot(kept[-1].table(table.name()[-1]).snapshot_id)
            ExpireSnapshots(change).by_ids(list(old)).commit()
    except PublishConflict:
        return False
    return True


def _told(gone: _Releases, kept: _Releases, dropped: _Dropped, useless: list[Stored]) -> Expiry:
    return Expiry(
        releases=tuple(release.id for release in gone),
        kept=len(kept),
        snapshots={name[-1]: len(old) for name, old in sorted(dropped.items()) if old},
        files=len(useless),
        bytes=sum(file.bytes for file in useless),
    )
