"""A Snowflake to test against: fakesnow in a process of its own, on loopback, spoken to with the real connector.

    def test_it(emulator: Emulator) -> None:
        with emulator.open("SOME_DATABASE") as warehouse: ...

For other clients of the same server (dbt): host `emulator.host`, port `emulator.port`, protocol `http`; `.account`,
`.user` and `.private_key` (PEM) may be anything, as no credentials are checked. Set short timeouts as in `endpoint`;
SNOWFLAKE_DISABLE_PLATFORM_DETECTION is set while it runs, for child processes too. All connections share one memory, so
use a database name of your own (MERCURIOS is where test_account_sql lays out an account); it is made at the first
connection.

What it cannot show: roles, grants, policies, warehouses and every other account object. Account statements are
answered with a no-op here, which proves nothing about them, and the row access policy that a table is created with is
dropped before the emulator sees it: what was sent is held by a log on the client's side (see test_account_policies).
Two mistakes of fakesnow 0.12 are mended: it sends null timestamps as 1970, and does not take `TEMPORARY` on the
qualified names that dbt uses (the word is dropped).
"""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mercurios.config import ROOT
from mercurios.warehouse.snowflake import Endpoint, SnowflakeWarehouse

QUALIFIED_TEMPORARY = re.compile(r"(?i)^(\s*create\s+(?:or\s+replace\s+)?)temporary\s+(?=(?:table|view)\s+\S+\.)")
ROW_ACCESS_POLICY = re.compile(r"(?i)\bwith\s+row\s+access\s+policy\s+[\w.]+\s+on\s*\(\s*\w+\s*\)")
NO_OPS = [r"(?i)^\s*alter\s+(session|warehouse|user|account)\b", r"(?i)^\s*use\s+(warehouse|role|secondary)\b"]
TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Emulator:
    """Where the emulator answers, and credentials that have the right form."""

    host: str
    port: int
    account: str = "emulator"
    user: str = "MERCURIOS_LOADER"
    private_key: str = field(default="", repr=False)

    def url(self, database: str) -> str:
        """Warehouse URL of a database."""
        return f"snowflake://{self.user}@{self.account}/{database}?warehouse=LOADING&role=LOADER"

    @property
    def endpoint(self) -> Endpoint:
        """What the warehouse adapter must be told to come here; short timeouts, as an HTTP 500 is repeated for long."""
        timeouts: dict[str, Any] = {"login_timeout": TIMEOUT_SECONDS, "network_timeout": TIMEOUT_SECONDS}
        quiet = {"session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}}
        return Endpoint(self.host, self.port, "http", timeouts | quiet)

    def open(self, database: str) -> SnowflakeWarehouse:
        """Connect to a database, made if missing."""
        return SnowflakeWarehouse.open(self.url(database), private_key=self.private_key, endpoint=self.endpoint)


@contextmanager
def running_emulator() -> Iterator[Emulator]:
    """Start the emulator, wait until it answers, end it with the block (or with this process)."""
    # The connector looks for cloud metadata services at every login; nothing may leave the machine.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="fakesnow-") as stages:
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": stages},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout
            address = json.loads(server.stdout.readline())
            yield Emulator(**address, private_key=_private_key())
        finally:
            server.kill()  # all it has is memory; asked to end, it waits for connections that nobody closes
            server.communicate()


@pytest.fixture(name="emulator", scope="session")
def emulator_fixture() -> Iterator[Emulator]:
    """One emulator for the modules that import this."""
    with running_emulator() as emulator:
        yield emulator


def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _relaxed(statement: str) -> str:
    return ROW_ACCESS_POLICY.sub("", QUALIFIED_TEMPORARY.sub(r"\1", statement))


def _serve() -> None:
    """The server's process: print the address as JSON once it answers, end when standard input does."""
    import fakesnow.arrow
    import fakesnow.server
    import uvicorn
    from fakesnow.cursor import FakeSnowflakeCursor
    from fakesnow.instance import FakeSnow

    fakesnow.arrow.timestamp_to_sf_struct = _with_nulls(fakesnow.arrow.timestamp_to_sf_struct)
    for name in ("execute", "_describe_only"):
        _relax(FakeSnowflakeCursor, name)
    logging.getLogger("fakesnow.server").setLevel(logging.WARNING)
    fakesnow.server.shared_fs = FakeSnow(nop_regexes=NO_OPS)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else every answer waits 40 ms
    host, port = listening.getsockname()
    server = uvicorn.Server(uvicorn.Config(fakesnow.server.app, log_level="warning", lifespan="off"))

    def until_input_ends() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_input_ends, daemon=True).start()
    sys.stdout.write(json.dumps({"host": host, "port": port}) + os.linesep)
    sys.stdout.flush()
    server.run(sockets=[listening])


def _relax(cursor: type, name: str) -> None:
    original = getattr(cursor, name)

    def relaxed(self: object, command: str, *args: object, **kwargs: object) -> object:
        return original(self, _relaxed(command), *args, **kwargs)

    setattr(cursor, name, relaxed)


def _with_nulls(original: Callable[[pa.ChunkedArray], pa.StructArray]) -> Callable[[pa.ChunkedArray], pa.StructArray]:
    def masked(moments: pa.ChunkedArray) -> pa.StructArray:
        parts = original(moments)
        fields = [parts.type.field(place) for place in range(parts.type.num_fields)]
        children = [child.fill_null(0) for child in parts.flatten()]
        return pa.StructArray.from_arrays(children, fields=fields, mask=moments.combine_chunks().is_null())

    return masked


if __name__ == "__main__":
    _serve()
