"""Fivetran's own local tester, offline: a merchant's connection runs through it into a DuckDB file.

tester = Connection(folder, sdk.schema, sdk.update)
tester.sync(configuration)
tester.rows("sale")
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fivetran_connector_sdk import Connector, Operations
from fivetran_connector_sdk_cli import core_adapter
from fivetran_connector_sdk_core.renaming import Renaming

from tests.fivetran_double import Killed


def quiet_home(folder: Path) -> Path:
    """A home in which the package has asked for newer versions of itself just now."""
    now = int(time.time())
    for place, text in {
        "connector_sdk/_last_version_check": str(now),
        "connector_sdk_core/_config.json": json.dumps({"lastVersionCheck": now}),
    }.items():
        path = folder / ".fivetran" / place
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


_PIPREQS = f"""#!{sys.executable}
from importlib.metadata import version
from pipreqs import pipreqs
pipreqs.get_imports_info = lambda names, **_: [{{"name": name, "version": version(name)}} for name in names]
pipreqs.main()
"""
_WATCH = """
import sys
from pathlib import Path

def watch(event, values):
    if event in {"socket.getaddrinfo", "socket.connect"}:
        host = values[0] if event == "socket.getaddrinfo" else values[1][0]
        if host not in {"127.0.0.1", "localhost"}:
            with Path(__file__).with_name("attempts").open("a") as file:
                file.write(f"{sys.argv} {host}\\n")
            raise OSError(f"{host} is not this machine")

sys.addaudithook(watch)
"""


def debug(project: Path, tools: Path) -> tuple["subprocess.CompletedProcess[str]", str]:
    """Run `fivetran debug`; returns how it went, and attempts of it or its children to reach another machine.

    `pipreqs`, by which it checks the requirements, asks PyPI about packages; here it asks what is installed.
    """
    tools.mkdir()
    (tools / "pipreqs").write_text(_PIPREQS)
    (tools / "pipreqs").chmod(0o755)
    (tools / "sitecustomize.py").write_text(_WATCH)
    programs = os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(tools), "DO_NOT_TRACK": "1"}
    command = (sys.executable, "-m", "fivetran_connector_sdk_cli.fivetran_shim", "debug", str(project))
    done = subprocess.run(command, env=environment, cwd=tools, capture_output=True, text=True, check=False, timeout=60)
    attempts = tools / "attempts"
    return done, attempts.read_text() if attempts.exists() else ""


def only_loopback(patch: pytest.MonkeyPatch) -> list[object]:
    """Refuse every other machine in this process; returns the list of those that were asked for."""
    attempts: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def checked(host: object) -> None:
        if host not in {"127.0.0.1", "localhost"}:
            attempts.append(host)
            raise OSError(f"{host} is not this machine")

    def connecting(one: socket.socket, address: Any) -> None:
        checked(address[0])
        connect(one, address)

    def looking_up(host: Any, *args: Any, **more: Any) -> Any:
        checked(host)
        return look_up(host, *args, **more)

    patch.setattr(socket.socket, "connect", connecting)
    patch.setattr(socket, "getaddrinfo", looking_up)
    return attempts


class Dying:
    """The package's operations; the process ends before one too many. None is never too many."""

    def __init__(self, kill_after: int | None) -> None:
        self.left = kill_after

    def __getattr__(self, name: str) -> Callable[..., None]:
        if self.left == 0:
            raise Killed
        self.left = None if self.left is None else self.left - 1
        return getattr(Operations, name)


@dataclass(frozen=True)
class Connection:
    """One connection. `folder` holds what its destination holds, and the state."""

    folder: Path
    schema: Callable[[dict[str, str]], object]
    update: Callable[[dict[str, str], dict[str, Any], Any], None]

    def sync(self, configuration: Mapping[str, str], kill_after: int | None = None) -> dict[str, int]:
        """One sync that goes on from the saved state; returns how often each operation was counted."""
        operations = Dying(kill_after)
        connector = Connector(
            schema=self.schema, update=lambda configuration, state: self.update(configuration, state, operations)
        )
        return core_adapter.run(connector, str(self.folder), dict(configuration), self.state)

    @property
    def state(self) -> dict[str, Any]:
        path = self.folder / "files" / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; tables are in the schema `tester`."""
        with duckdb.connect(str(self.folder / "files" / "warehouse.db"), read_only=True) as store:
            store.execute("use tester")
            return store.execute(sql).fetchall()

    def rows(self, table: str, columns: list[str], key: str = "id") -> dict[object, tuple[Any, ...]]:
        """Rows by key, whether marked as deleted first, then columns as the connector names them."""
        names = ", ".join(f'"{Renaming(True).column(name)}"' for name in columns)
        found = self.query(f'select "{key}", coalesce(_fivetran_deleted, false), {names} from "{table}"')
        return {row[0]: row[1:] for row in found}

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything but the time of the sync."""
        names = self.query("select table_name from duckdb_tables() where schema_name = 'tester'")
        return {
            name: sorted(self.query(f'select * exclude (_fivetran_synced) from "{name}"'), key=str) for (name,) in names
        }
