"""The journal: what people tell the API, kept until a flow has carried it into the warehouse.

    journals = Journals.open("sqlite:///var/journal.db")
    north = journals.of("north")
    note, is_new = north.add(Told("event", "88001/8800001", {"event": "clicked"}, key="till-7-4711", role="analyst"))
    north.pending(1_000)                # what is not in the warehouse yet, oldest first
    north.carried(note.number)

Notes are appended and never changed; of several about one thing the newest counts. One SQLite file on a local disk
serves every process of a machine. A note is on the disk (fsync) before `add` returns. A tenant has room for a fixed
number; the oldest that are in the warehouse already make room for new ones, and nothing else ever goes.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from mercurios.errors import BadRequest, ConfigError, JournalError, JournalFull

CAPACITY = 100_000
MAX_BODY_BYTES = 4_000
_SCHEME = "sqlite:///"
_WAIT_SECONDS = 5.0
_TABLES = """
    create table if not exists notes (
        number integer primary key autoincrement, tenant text not null, kind text not null, about text not null,
        key text not null, body blob not null, role text not null, subject text not null, at text not null,
        unique (tenant, kind, key)
    ) strict;
    create index if not exists notes_about on notes (tenant, kind, about, number);
    create table if not exists carried (tenant text primary key, through integer not null) strict;
"""
_COLUMNS = "number, kind, about, key, body, role, subject, at"


@dataclass(frozen=True)
class Told:
    """What somebody told, before it is kept.

    kind: rating, event or decision. about: what it is about. key: the same again is the same note; without one it is a
    new note unless the newest about the same thing says the same. role, subject: who, the subject as a pseudonym.
    """

    kind: str
    about: str
    body: Mapping[str, Any]
    key: str | None = None
    role: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Note:
    """What was told, as it is kept; later notes have higher numbers. `at` is UTC."""

    number: int
    kind: str
    about: str
    key: str
    body: Mapping[str, Any]
    role: str
    subject: str
    at: datetime


class Journals:
    """The journals of all tenants, in one file; `open` makes one."""

    def __init__(self, path: Path, capacity: int = CAPACITY) -> None:
        self._path = path
        self._capacity = capacity

    @classmethod
    def open(cls, url: str) -> "Journals":
        """The journals that the URL names; raises ConfigError for another scheme. The file is made when needed."""
        path = url.removeprefix(_SCHEME)
        if not url.startswith(_SCHEME) or not path:
            raise ConfigError(
                f"expected a journal URL like sqlite:///var/journal.db, on a local disk; got {url[:80]!r}"
            )
        return cls(Path(path))

    def of(self, tenant_id: str) -> "Journal":
        """Bind one tenant."""
        return Journal(self._path, tenant_id, self._capacity)


class Journal:
    """What one tenant's people told; safe from many threads and processes."""

    def __init__(self, path: Path, tenant_id: str, capacity: int = CAPACITY) -> None:
        self._path = path
        self._tenant_id = tenant_id
        self._capacity = capacity

    def add(self, told: Told) -> tuple[Note, bool]:
        """Keep what was told; the note, and whether it is new.

        Raises BadRequest for a key that stands for something else or a body that is too long, JournalFull when there is
        no room, JournalError when it could not be written. Then nothing is kept.
        """
        body = orjson.dumps(told.body, option=orjson.OPT_SORT_KEYS)
        if len(body) > MAX_BODY_BYTES:
            raise BadRequest(f"{told.kind} of {len(body):,} bytes: expected at most {MAX_BODY_BYTES:,}; say it shorter")
        with self._writing() as database:
            there = self._before(database, told)
            if there is not None and (there.about, there.body) == (told.about, orjson.loads(body)):
                return there, False
            if there is not None and told.key is not None:
                raise BadRequest(f"the key {told.key[:80]!r} stands for another {told.kind} already; take a new one")
            self._make_room(database)
            at, key = datetime.now(UTC), told.key or uuid4().hex
            row = (self._tenant_id, told.kind, told.about, key, body, told.role, told.subject, at.isoformat())
            number = database.execute(
                "insert into notes (tenant, kind, about, key, body, role, subject, at) values (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
        return Note(number or 0, told.kind, told.about, key, orjson.loads(body), told.role, told.subject, at), True

    def newest(self, kind: str, about: Collection[str]) -> Mapping[str, Note]:
        """The newest note about each of these things, of those that there is one about."""
        with self._reading() as database:
            rows = database.execute(
                f"select {_COLUMNS}, max(number) from notes where tenant = ? and kind = ?"  # noqa: S608 - a constant
                " and about in (select value from json_each(?)) group by about",
                (self._tenant_id, kind, orjson.dumps(list(about)).decode()),
            ).fetchall()
        return {note.about: note for note in (_note(row[:-1]) for row in rows)}

    def recent(self, kind: str, limit: int) -> Sequence[Note]:
        """The newest note about each thing, the latest first."""
        with self._reading() as database:
            rows = database.execute(
                f"select {_COLUMNS}, max(number) from notes where tenant = ? and kind = ?"  # noqa: S608 - a constant
                " group by about order by number desc limit ?",
                (self._tenant_id, kind, limit),
            ).fetchall()
        return [_note(row[:-1]) for row in rows]

    def pending(self, limit: int) -> Sequence[Note]:
        """Notes that nobody has carried away yet, oldest first."""
        with self._reading() as database:
            rows = database.execute(
                f"select {_COLUMNS} from notes where tenant = ? and number > ? order by number limit ?",  # noqa: S608
                (self._tenant_id, self._through(database), limit),
            ).fetchall()
        return [_note(row) for row in rows]

    def carried(self, through: int) -> None:
        """Everything up to this number is in the warehouse now."""
        with self._writing() as database:
            database.execute(
                "insert into carried values (?, ?) on conflict do update set through = max(through, excluded.through)",
                (self._tenant_id, through),
            )

    def forget(self) -> int:
        """Delete everything of the tenant; returns the number of notes."""
        if not self._path.exists():
            return 0
        with self._writing() as database:
            database.execute("delete from carried where tenant = ?", (self._tenant_id,))
            return database.execute("delete from notes where tenant = ?", (self._tenant_id,)).rowcount

    def _before(self, database: sqlite3.Connection, told: Told) -> Note | None:
        """The note of the same key, or without one the newest about the same thing."""
        column, value = ("about", told.about) if told.key is None else ("key", told.key)
        row = database.execute(
            f"select {_COLUMNS} from notes where tenant = ? and kind = ? and {column} = ?"  # noqa: S608 - constants
            " order by number desc limit 1",
            (self._tenant_id, told.kind, value),
        ).fetchone()
        return None if row is None else _note(row)

    def _make_room(self, database: sqlite3.Connection) -> None:
        [held] = database.execute("select count(*) from notes where tenant = ?", (self._tenant_id,)).fetchone()
        if held < self._capacity:
            return
        gone = database.execute(
            "delete from notes where number in"
            " (select number from notes where tenant = ? and number <= ? order by number limit ?)",
            (self._tenant_id, self._through(database), 1 + self._capacity // 100),
        ).rowcount
        if not gone:
            raise JournalFull(
                f"{held:,} notes wait to be carried into the warehouse and there is no room for more; "
                "nothing was kept, have the flow `feedback` run"
            )

    def _through(self, database: sqlite3.Connection) -> int:
        row = database.execute("select through from carried where tenant = ?", (self._tenant_id,)).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connected(self._path if self._path.exists() else None) as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise JournalError(_UNWRITTEN) from error
        with self._connected(self._path) as database:
            database.execute("begin immediate")
            try:
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")

    @contextmanager
    def _connected(self, path: Path | None) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(path or ":memory:", timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                database.execute("pragma journal_mode = wal")
                database.execute("pragma synchronous = full")
                database.executescript(_TABLES)
                yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise JournalError(_UNWRITTEN) from error


def _note(row: tuple[Any, ...]) -> Note:
    number, kind, about, key, body, role, subject, at = row
    return Note(number, kind, about, key, orjson.loads(body), role, subject, datetime.fromisoformat(at))


_UNWRITTEN = "the journal cannot be used for now, nothing was kept; try again later"
