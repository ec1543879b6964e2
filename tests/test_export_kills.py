"""Exports that are killed anywhere: readers see the release before or the one after, and the next export is right.

A child process is forked for each export and dies by SIGKILL before its n-th call of a function of Mercurios or of
pyiceberg; what it left stays for the exports after it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mercurios import logs
from mercurios.config import ROOT
from mercurios.jobs import export as export_job
from mercurios.lake import Lake, Policy
from mercurios.tables import TABLES
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.moves import SMALL, Shop, good, move, small

__all__ = ["small"]

POINTS = (0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995)
"""Where an export is killed, as a share of its calls; the commits are at the end."""
MARKS = (f"{os.sep}mercurios{os.sep}", f"{os.sep}pyiceberg{os.sep}")


@contextmanager
def opened(folder: Path) -> Iterator[Shop]:
    with DuckDBWarehouse.open(f"duckdb:///{folder}/w.duckdb") as warehouse:
        yield Shop(warehouse, Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data"), folder)


@pytest.fixture
def server() -> Iterator["subprocess.Popen[str]"]:
    """A process that has everything imported and forks a child for every export."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", __name__]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate(timeout=60)


def run(server: "subprocess.Popen[str]", folder: Path, at_call: int | None) -> dict[str, Any]:
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps({"folder": str(folder), "at_call": at_call}) + "\n")
    server.stdin.flush()
    answer: dict[str, Any] = json.loads(server.stdout.readline())
    return answer


def everything(shop: Shop) -> dict[str, list[dict[str, object]]]:
    return {f"{tenant} {name}": shop.rows(name, tenant) for name in SMALL for tenant in ("north", "south")}


def wanted(shop: Shop) -> dict[str, list[dict[str, object]]]:
    return {f"{tenant} {name}": shop.in_warehouse(name, tenant) for name in SMALL for tenant in ("north", "south")}


def change(shop: Shop, number: int) -> None:
    """Bring new rows, change some, and drop others, for some tenants and months."""
    shop.warehouse.run("delete from marts.fct_moves where move_id % 3 = 0")
    shop.insert("fct_moves", move("north", number, f"2026-0{1 + number % 3}-01"), move("south", number, None))
    shop.insert("dim_goods", good("south", number))


def test_an_export_that_is_killed_leaves_no_wrong_release(
    tmp_path: Path, small: None, server: "subprocess.Popen[str]"
) -> None:
    with opened(tmp_path) as shop:
        shop.create()
        shop.built()
        shop.export(is_built=False)
        change(shop, 1)
    calls = run(server, tmp_path, None)["calls"]
    killed = 0
    for number, point in enumerate(POINTS, start=2):
        with opened(tmp_path) as shop:
            before, releases = everything(shop), len(shop.lake.releases())
            change(shop, number)
        killed += run(server, tmp_path, max(1, int(point * calls)))["was_killed"]
        with opened(tmp_path) as shop:
            after = wanted(shop)
            assert len(shop.lake.releases()) - releases in {0, 1}
            assert everything(shop) == (after if len(shop.lake.releases()) > releases else before)
            shop.export(is_built=False)
            assert everything(shop) == after
    assert killed > len(POINTS) / 2
    with opened(tmp_path) as shop:
        shop.lake.expire(Policy(1, 0, timedelta()), now=datetime.now(UTC) + timedelta(seconds=5))
        assert everything(shop) == after
        assert len(list((tmp_path / "data" / "lake" / "dim_goods" / "data").rglob("*.parquet"))) == 1


def _serve() -> None:
    TABLES.clear()
    TABLES.update(SMALL)
    setattr(export_job, "MARTS", tuple(SMALL))  # noqa: B010 - mypy holds it for another module's
    for line in sys.stdin:
        errand = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(Path(errand["folder"]), errand["at_call"], writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            calls = pipe.read()
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0, f"the export crashed: {errand}"
        answer = {"was_killed": os.WIFSIGNALED(status), "calls": int(calls or 0)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(folder: Path, at_call: int | None, writing: int) -> None:
    calls = 0

    def count(frame: Any, event: str, _arg: object) -> None:
        nonlocal calls
        if event == "call" and any(mark in frame.f_code.co_filename for mark in MARKS):
            calls += 1
            if calls == at_call:
                os.kill(os.getpid(), signal.SIGKILL)

    logs.to_stderr("warning")
    threading.settrace(count)
    sys.settrace(count)
    with opened(folder) as shop:
        shop.export(is_built=False)
    sys.settrace(None)
    os.write(writing, str(calls).encode())
    os._exit(0)


if __name__ == "__main__":
    _serve()
