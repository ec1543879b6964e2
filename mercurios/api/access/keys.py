"""API keys for services: made once, shown once, kept as a hash, gone at once.

    keys = ApiKeys(home / "access" / "keys.sqlite")
    text, key = keys.create("north", "viewer", "price labels", timedelta(days=90))     # 'mk_3f9a…_Xb2…'
    keys.identify(text)             # Identity(tenant='north', role='viewer', subject='3f9a…', how='key')
    keys.revoke(key.id)

The hash is a plain SHA-256. Slow, salted hashes protect what people think up; a key is 256 random bits, which nobody
can guess or look up, and every request would pay for the slowness. `mk_` is there for secret scanners to find.
"""

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mercurios.api.access.identity import Identity
from mercurios.api.access.tokens import check_grant
from mercurios.errors import BadRequest, ConfigError, Unauthenticated

PREFIX = "mk_"
_KEY = re.compile(r"mk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_TABLE = """
    create table if not exists keys (
        id text primary key, hash blob not null, tenant text not null, role text not null, label text not null,
        created_at text not null, expires_at text not null, revoked_at text
    ) strict
"""
_COLUMNS = "id, tenant, role, label, created_at, expires_at, revoked_at"
_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; times are UTC."""

    id: str
    tenant: str
    role: str
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """`revoked`, `expired` or `valid`."""
        return "revoked" if self.revoked_at else "expired" if self.expires_at <= now else "valid"


class ApiKeys:
    """The keys of one installation, in one SQLite file that every process on the machine reads for every request."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._clock = clock

    def create(self, tenant: str, role: str, label: str, lifetime: timedelta) -> tuple[str, ApiKey]:
        """Make a key; the text is nowhere else. Raises BadRequest for a tenant or role that cannot be."""
        check_grant(tenant, role)
        key_id, now = secrets.token_hex(6), self._clock()
        text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, tenant, role, label, now, now + lifetime, None)
        row = (key_id, _hash(text), tenant, role, label, now.isoformat(), key.expires_at.isoformat())
        with self._writing() as database:
            database.execute("insert into keys values (?, ?, ?, ?, ?, ?, ?, null)", row)
        return text, key

    def all(self) -> Sequence[ApiKey]:
        """Every key there ever was, oldest first."""
        with self._reading() as database:
            return [_key(row) for row in database.execute(f"select {_COLUMNS} from keys order by created_at, id")]  # noqa: S608 - a constant

    def revoke(self, key_id: str) -> None:
        """Take a key back, from the next request on; raises BadRequest when there is none of that id."""
        with self._writing() as database:
            done = database.execute(
                "update keys set revoked_at = coalesce(revoked_at, ?) where id = ?", (self._clock().isoformat(), key_id)
            )
            if not done.rowcount:
                raise BadRequest(f"no API key {key_id[:20]!r}; `mercurios key list` lists them")

    def revoke_all(self, tenant: str) -> int:
        """Take back every key of a tenant; tells how many were left to take."""
        if not self._path.exists():
            return 0
        with self._writing() as database:
            return database.execute(
                "update keys set revoked_at = ? where tenant = ? and revoked_at is null",
                (self._clock().isoformat(), tenant),
            ).rowcount

    def identify(self, text: str) -> Identity:
        """Whom a key speaks for; blocks for a look into the file. Raises Unauthenticated."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise _refused("key_malformed")
        with self._reading() as database:
            row = database.execute(
                f"select {_COLUMNS}, hash from keys where id = ?",  # noqa: S608 - a constant
                (found[1],),
            ).fetchone()
        if row is None or not hmac.compare_digest(row[-1], _hash(text)):
            raise _refused("key_unknown")
        key = _key(row[:-1])
        state = key.state(self._clock())
        if state != "valid":
            raise _refused(f"key_{state}")
        return Identity(key.tenant, key.role, key.id, "key")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connected(self._path if self._path.exists() else None) as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with self._connected(self._path) as database, database:
            yield database

    @contextmanager
    def _connected(self, path: Path | None) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(path or ":memory:", timeout=_WAIT_SECONDS)
            try:
                database.execute(_TABLE)
                yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise ConfigError(f"cannot use the API keys in {self._path}: {error}; mend or restore the file") from error


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _key(row: tuple[str, ...]) -> ApiKey:
    key_id, tenant, role, label, created, expires, revoked = row
    times = (datetime.fromisoformat(created), datetime.fromisoformat(expires))
    return ApiKey(key_id, tenant, role, label, *times, datetime.fromisoformat(revoked) if revoked else None)


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated("the API key is not valid; `mercurios key create` makes a new one", reason=reason)
