"""Processes of the ingest benchmark: the stand-in while a block runs, and one run of a contender with its peak memory.

with stand_in(folder, "journey", 1.0) as merchants:
    outcome = contend(MERCURIOS, task, folder)
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

import orjson
import psutil

from benchmarks.ingest_task import Task

ROOT = Path(__file__).resolve().parent.parent
MERCURIOS = ("mercurios", sys.executable)
DLT = ("dlt", str(ROOT / ".venv-dlt/bin/python"))
SAMPLE_SECONDS = 0.05
DLT_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",  # it would report its runs to its makers
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__WORKERS": "2",
    "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "50000",  # one file of extracted records is work for one worker only
}


@dataclass(frozen=True)
class StandIn:
    """A running stand-in: where its tenant files are, and rows by merchant and entity."""

    tenants: str
    auth_url: str
    rows: Mapping[str, Mapping[str, int]]
    process: "subprocess.Popen[bytes]" = field(repr=False)
    log: Path

    def add_day(self, day: date) -> int:
        """Let a day of sales come; returns its lines."""
        assert self.process.stdin
        self.process.stdin.write(f"day {day}\n".encode())
        self.process.stdin.flush()
        return int(_answer(self.process, self.log)["lines"])


@dataclass(frozen=True)
class Outcome:
    """One run of a contender, all its processes. wall_seconds: with interpreter and imports; seconds: without."""

    wall_seconds: float
    seconds: float
    peak_mb: float
    spent: Mapping[str, float]


@contextmanager
def stand_in(folder: Path, kind: str, share: float) -> Iterator[StandIn]:
    """Serve merchants of a kind (see `ingest_merchants`) while the block runs."""
    command = (sys.executable, "-m", "benchmarks.ingest_merchants", str(folder), kind, str(share))
    path = folder / f"{kind.replace(':', '-')}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            yield StandIn(**_answer(process, path), process=process, log=path)
        finally:
            process.terminate()
            process.communicate()


def _answer(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"the stand-in ended:\n{log.read_text(errors='replace')[-3000:]}")
    answer: dict[str, Any] = orjson.loads(line)
    return answer


def contend(contender: tuple[str, str], task: Task, folder: Path) -> Outcome:
    """Run a contender on a task; its output is in `folder`. Ends the benchmark when it fails."""
    name, python = contender
    path = folder / f"{name}.task"
    task.write(path)
    with (folder / f"{name}.log").open("wb") as log:
        began = time.perf_counter()
        command = (python, "-m", f"benchmarks.ingest_{name}", str(path))
        process = psutil.Popen(command, cwd=ROOT, env={**os.environ, **DLT_SETTINGS}, stdout=log, stderr=log)
        peak = _watch(process, log)
        wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{Path(log.name).read_text(errors='replace')[-3000:]}")
    told = orjson.loads(path.with_suffix(".result").read_bytes())
    return Outcome(wall, told["seconds"], max(peak, told["peak_mb"]), told["spent"])


def _watch(process: psutil.Popen, log: IO[bytes]) -> float:
    """Most memory that the process and its children had resident at the same time, in MB, until it ends."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_resident(one) for one in _family(process)))
        time.sleep(SAMPLE_SECONDS)
    log.flush()
    return peak / 1e6


def _family(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def empty(folder: Path) -> Path:
    """The folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
