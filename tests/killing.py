"""Runs of ingest that can be killed: one process has everything imported and forks a child for every run.

    with runs() as run:
        run(Errand(home=str(tmp_path), tenant="north", as_of="2026-01-02T00:00:00+00:00", at_call=1234)).was_killed

A child dies by SIGKILL, either before its n-th call of a function of Mercurios (in any thread) or after some
milliseconds, wherever it is then: in DuckDB's commit, in a write, in a request.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mercurios import logs
from mercurios.config import ROOT
from mercurios.errors import MercuriosError

MARK = f"{os.sep}mercurios{os.sep}"


@dataclass(frozen=True)
class Errand:
    """One run: `home` holds tenants/, spool/ and warehouse.duckdb. Without at_call and after_ms it ends by itself."""

    home: str
    tenant: str
    as_of: str
    at_call: int | None = None
    after_ms: float | None = None
    entities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a run ended: killed, or with its batches (entity, window, is_resumed, counts), or with an error's text."""

    was_killed: bool
    calls: int = 0
    seconds: float = 0.0
    batches: tuple[dict[str, Any], ...] = ()
    error: str | None = None

    @property
    def was_resumed(self) -> bool:
        """Whether some batch had pages of an earlier run."""
        return any(batch["is_resumed"] for batch in self.batches)


@contextmanager
def runs() -> Iterator[Callable[[Errand], Ended]]:
    """Start the forking process; end it with the block."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.killing"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout

    def run(errand: Errand) -> Ended:
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps(asdict(errand)) + "\n")
        server.stdin.flush()
        raw = json.loads(server.stdout.readline())
        return Ended(**{**raw, "batches": tuple(raw.get("batches", ()))})

    try:
        yield run
    finally:
        server.communicate(timeout=60)


def _serve() -> None:
    import mercurios.jobs.ingest
    import mercurios.sources.prohandel
    import mercurios.warehouse.duckdb  # noqa: F401

    logs.to_stderr("warning")
    for line in sys.stdin:
        errand = Errand(**json.loads(line))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(errand, writing)
        os.close(writing)
        if errand.after_ms is not None:
            time.sleep(errand.after_ms / 1000)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status)
        assert was_killed or status == 0, f"the run crashed: {errand}"
        # a run may end before it is killed; what it told is then whole
        sys.stdout.write((told if told.endswith("}") else json.dumps({"was_killed": was_killed})) + "\n")
        sys.stdout.flush()


def _child(errand: Errand, writing: int) -> None:
    calls = 0

    def count(frame: Any, event: str, _arg: object) -> None:
        nonlocal calls
        if event == "call" and MARK in frame.f_code.co_filename:
            calls += 1
            if calls == errand.at_call:
                os.kill(os.getpid(), signal.SIGKILL)

    if errand.after_ms is None:
        threading.settrace(count)
        sys.settrace(count)
    began = time.perf_counter()
    told: dict[str, Any] = {"was_killed": False}
    try:
        told["batches"] = _ingest(errand)
    except MercuriosError as error:
        told["error"] = f"{type(error).__name__}: {error}"
    sys.settrace(None)
    told |= {"calls": calls, "seconds": time.perf_counter() - began}
    os.write(writing, json.dumps(told).encode())
    os._exit(0)


def _ingest(errand: Errand) -> list[dict[str, Any]]:
    from mercurios.jobs.ingest import Extent, Run, ingest
    from mercurios.sources.prohandel import ProHandel
    from mercurios.sources.retrying import Patience
    from mercurios.tenancy import TenantDirectory
    from mercurios.warehouse.duckdb import DuckDBWarehouse

    home = Path(errand.home)
    tenant = TenantDirectory(home / "tenants").get(errand.tenant)
    patience = Patience(first_seconds=0.01, longest_seconds=0.05)
    run = Run(datetime.fromisoformat(errand.as_of), home / "spool", Extent(tuple(errand.entities)))
    with (
        DuckDBWarehouse.open(f"duckdb:///{home}/warehouse.duckdb") as warehouse,
        ProHandel(tenant, patience=patience) as source,
    ):
        report = ingest(source, tenant, warehouse, run)
    return [asdict(batch) for batch in report.batches]


if __name__ == "__main__":
    _serve()
