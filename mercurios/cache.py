"""The cache: bytes under a key for some seconds, never the only copy of anything.

    cache = open_cache("memory:")
    cache.set("5b1c…", b"[]", ttl_seconds=60)
    cache.peek("5b1c…")

`memory:` keeps values in this process; `redis://HOST:PORT/DB` (or `rediss://`) shares them between processes as well. A
cache that is dead, slow or full answers "not here": it may cost time, it never raises. Keys carry tenant and release,
so a value cannot be stale and nothing needs to be invalidated.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlparse

import structlog

from mercurios.errors import ConfigError

if TYPE_CHECKING:
    from redis import Redis

_LOG = structlog.get_logger(__name__)
ENTRY_OVERHEAD_BYTES = 200
"""What one entry costs beside its key and value: the dictionary slot and three object headers."""


class Cache(Protocol):
    """What the rest of Mercurios knows of a cache; safe to use from many threads."""

    def peek(self, key: str) -> bytes | None:
        """The value if this process holds it; never waits, so an event loop may ask."""

    def get(self, key: str) -> bytes | None:
        """The value, or None when it is not there, has expired or cannot be had now."""

    def set(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep a value for up to `ttl_seconds`, if there is room."""

    def close(self) -> None:
        """Let go of connections and memory; afterwards every `get` is None."""


def open_cache(url: str) -> Cache:
    """Open the cache a URL names; connects to nothing yet. Raises ConfigError for any other scheme."""
    scheme = urlparse(url).scheme
    if scheme == "memory":
        return MemoryCache()
    if scheme in {"redis", "rediss"}:
        return SharedCache(MemoryCache(), RedisCache(url))
    raise ConfigError(f"cache scheme {scheme!r}: expected memory: or redis://HOST:PORT/DB; set MERCURIOS_CACHE")


class MemoryCache:
    """A least-recently-used cache in this process, bounded by `capacity_bytes` of keys and values."""

    def __init__(self, capacity_bytes: int = 64_000_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity_bytes = capacity_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What the entries take, overhead included."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, key: str) -> bytes | None:
        """As `get`: everything is in this process."""
        return self.get(key)

    def get(self, key: str) -> bytes | None:
        """The value, or None when it is not there or has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, expires_at = entry
            if self._clock() >= expires_at:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return value

    def set(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep a value; the least recently used ones make room. One larger than the cache is not kept."""
        with self._lock:
            if key in self._entries:
                self._drop(key)
            if _cost(key, value) > self._capacity_bytes or ttl_seconds <= 0:
                return
            self._entries[key] = (value, self._clock() + ttl_seconds)
            self._size_bytes += _cost(key, value)
            while self._size_bytes > self._capacity_bytes:
                self._drop(next(iter(self._entries)))

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._size_bytes = 0

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self._size_bytes -= _cost(key, value)


def _cost(key: str, value: bytes) -> int:
    return len(key.encode()) + len(value) + ENTRY_OVERHEAD_BYTES


@dataclass(frozen=True)
class Patience:
    """How long Redis may take: for one answer, and how long it is left alone after it failed."""

    timeout_seconds: float = 0.1
    pause_seconds: float = 5.0


class RedisCache:
    """A cache in Redis or Valkey, behind a breaker: after a failure nobody asks it again for a pause.

    When the pause is over one caller tries, at the price of one timeout; everybody else goes on without a cache
    until that try succeeds.
    """

    def __init__(
        self, url: str, patience: Patience = Patience(), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = _connect(url, patience.timeout_seconds)
        self._place = _place(url)
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._broken = False
        self._retry_at = 0.0

    def __repr__(self) -> str:
        return f"RedisCache({self._place})"

    def get(self, key: str) -> bytes | None:
        """The value, or None when it is not there, has expired, or Redis does not answer."""
        found = self._attempt(lambda: self._client.get(key))
        return found if isinstance(found, bytes) else None

    def set(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep a value; it is lost when Redis does not answer or refuses it."""
        milliseconds = int(ttl_seconds * 1000)
        if milliseconds > 0:
            self._attempt(lambda: self._client.set(key, value, px=milliseconds))

    def close(self) -> None:
        """Close the connections; afterwards every `get` is None."""
        with self._lock:
            self._broken, self._retry_at = True, float("inf")
        self._client.close()

    def _attempt(self, command: Callable[[], object]) -> object:
        from redis.exceptions import RedisError

        if not self._may_try():
            return None
        try:
            answer = command()
        except (RedisError, OSError) as error:
            self._trip(type(error).__name__)
            return None
        self._recover()
        return answer

    def _may_try(self) -> bool:
        if not self._broken:
            return True
        with self._lock:
            if self._clock() < self._retry_at:
                return False
            self._retry_at = self._clock() + self._patience.pause_seconds
            return True

    def _trip(self, reason: str) -> None:
        with self._lock:
            was_broken = self._broken
            self._broken = True
            self._retry_at = max(self._retry_at, self._clock() + self._patience.pause_seconds)
        if not was_broken:
            _LOG.warning("cache.unavailable", place=self._place, reason=reason, pause=self._patience.pause_seconds)

    def _recover(self) -> None:
        with self._lock:
            if not self._broken or self._retry_at == float("inf"):
                return
            self._broken = False
        _LOG.info("cache.available", place=self._place)


class SharedCache:
    """Redis, and before it the memory of this process: what was found in Redis stays in memory for a minute."""

    def __init__(self, near: MemoryCache, far: RedisCache, *, near_seconds: float = 60.0) -> None:
        self._near = near
        self._far = far
        self._near_seconds = near_seconds

    def peek(self, key: str) -> bytes | None:
        """The value if it is in memory."""
        return self._near.get(key)

    def get(self, key: str) -> bytes | None:
        """The value from memory or from Redis; None when it is in neither, or Redis does not answer."""
        value = self._near.get(key)
        if value is None and (value := self._far.get(key)) is not None:
            self._near.set(key, value, ttl_seconds=self._near_seconds)
        return value

    def set(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep a value in both."""
        self._near.set(key, value, ttl_seconds=ttl_seconds)
        self._far.set(key, value, ttl_seconds=ttl_seconds)

    def close(self) -> None:
        """Close both."""
        self._near.close()
        self._far.close()


def _connect(url: str, timeout_seconds: float) -> "Redis":
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError as error:
        raise ConfigError(f"cache at {_place(url)}: expected redis://HOST:PORT/DB; set MERCURIOS_CACHE") from error


def _place(url: str) -> str:
    """Host and port alone: a URL may carry a password."""
    _, _, after = url.rpartition("@")
    return urlparse(f"redis://{after.removeprefix('rediss://').removeprefix('redis://')}").netloc or "localhost"
