"""A run that is told to stop says so once and ends within seconds, whatever it waits for."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from mercurios import stopping
from mercurios.config import ROOT, child_environment
from mercurios.errors import MercuriosError
from mercurios.running import _reached

HEAD = """
import os, signal, subprocess, sys, threading, time
from functools import partial
from pathlib import Path
from mercurios import stopping
stopping.GRACE_SECONDS = 1.0
def ready():
    Path(sys.argv[1]).write_text(str(child.pid))
command = [sys.executable, "-c", "import time; time.sleep(100)"]
child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
ENDS = """
with stopping.ends_when_told("stopped", partial(print, flush=True)):
    ready()
    time.sleep(100)
"""
IS_TOLD_AGAIN = """
with stopping.ends_when_told("stopped", partial(print, flush=True)):
    try:
        ready()
        time.sleep(100)
    except BaseException:
        os.kill(os.getpid(), signal.SIGTERM)  # as Prefect does
        time.sleep(0.1)
        raise
"""
IS_DEAF = """
def deaf():
    while True:
        try:
            ready()
            time.sleep(100)
        except BaseException:
            continue
with stopping.ends_when_told("stopped", partial(print, flush=True)):
    deaf()
"""
WAITS_FOR_A_THREAD = """
with stopping.ends_when_told("stopped", partial(print, flush=True)):
    threading.Thread(target=time.sleep, args=(100,)).start()
    ready()
    time.sleep(100)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("block", [ENDS, IS_TOLD_AGAIN, IS_DEAF, WAITS_FOR_A_THREAD])
def test_a_block_that_is_told_to_stop_ends_with_one_line(tmp_path: Path, block: str, number: signal.Signals) -> None:
    mark = tmp_path / "ready"
    command = (sys.executable, "-c", HEAD + block, str(mark))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=child_environment(), text=True, **pipes) as process:  # type: ignore[call-overload]
        while not (mark.is_file() and mark.read_text()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        child = psutil.Process(int(mark.read_text()))
        process.send_signal(number)
        began = time.monotonic()
        try:
            process.wait(20)
        finally:
            process.kill()
        seconds = time.monotonic() - began
        out = process.stdout.read() if process.stdout else ""
    assert (process.returncode, out) == (128 + number, "stopped\n")
    assert seconds < 15
    _, alive = psutil.wait_procs([child], timeout=0 if block in {ENDS, IS_TOLD_AGAIN} else 5)
    for each in alive:
        each.kill()
    assert not alive or block in {ENDS, IS_TOLD_AGAIN}  # then it is for whoever started it to end it


def test_a_block_that_is_told_nothing_leaves_everything_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM), threading.active_count()
    said: list[str] = []
    with stopping.ends_when_told("stopped", said.append):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    with pytest.raises(ValueError, match="mine"), stopping.ends_when_told("stopped", said.append):
        raise ValueError("mine")
    assert (signal.getsignal(signal.SIGTERM), threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1
    assert said == []


def test_a_server_of_prefect_that_is_gone_is_one_clear_line() -> None:
    with pytest.raises(MercuriosError, match=r"the Prefect server .* does not answer \(ConnectError\)"), _reached():
        raise httpx.ConnectError("[Errno 111] Connection refused")


def test_a_run_that_was_killed_leaves_no_limit_behind_where_its_server_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows import limits

    monkeypatch.setattr(limits, "ensure_ingest_limit", lambda _tenant: pytest.fail("the limit was taken"))
    with temporary_settings(restore_defaults={PREFECT_API_URL}), limits.alone("north"):
        pass
