"""Several processes behind one port: they share work and counts, one that dies is replaced, and all end well."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from mercurios.api.access.tokens import issue
from mercurios.api.processes import listen, listen_together
from mercurios.config import ROOT, child_environment
from mercurios.errors import ConfigError
from mercurios.lake import Lake
from tests.api_world import SECRET, fill

ECHO = """
import os, signal, sys, time
from mercurios.api import processes
processes._STARTING_SECONDS = float(sys.argv[1])
listeners = processes.listen_together(0, "127.0.0.1", 2)

def work(number):
    if number == 1 and sys.argv[2] == "broken":
        raise RuntimeError("cannot begin")
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    listeners[number].settimeout(0.05)
    while not ending:
        try:
            connection, _ = listeners[number].accept()
        except TimeoutError:
            continue
        connection.recv(65_536)
        connection.sendall(f"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n{os.getpid()}".encode())
        connection.close()
    print("ended", flush=True)

print(listeners[0].getsockname()[1], flush=True)
processes.run_together(listeners, work)
print("all ended", flush=True)
"""


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    command = (sys.executable, *arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=child_environment(PYTHONPATH=str(ROOT), **environment), **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return str(process.stdout.readline()).strip()


def pids(port: str, times: int = 40) -> Sequence[int]:
    return [int(httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=30).text) for _ in range(times)]


def test_one_that_dies_is_replaced_and_no_connection_is_refused() -> None:
    with started("-c", ECHO, "0", "whole") as process:
        port = line(process)
        first = set(pids(port))
        assert len(first) == 2
        killed = first.pop()
        os.kill(killed, signal.SIGKILL)
        after = set(pids(port))
        assert killed not in after
        assert len(after) == 2
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert output.splitlines()[-3:] == ["ended", "ended", "all ended"]
        assert process.returncode == 0


def test_one_that_cannot_begin_ends_the_others() -> None:
    with started("-c", ECHO, "10", "broken") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "RuntimeError: cannot begin" in errors
    assert "a process of the API ended before it had served" in errors


def test_a_port_that_is_taken_is_a_clear_error_for_several_as_well() -> None:
    with listen(0, "127.0.0.1", shared=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listen_together(port, "127.0.0.1", 2)


def open_a_new_lake(folder: str) -> None:
    Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")


def test_processes_that_open_a_new_lake_at_once_do_not_fall_over_each_other(tmp_path: Path) -> None:
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        pool.map(open_a_new_lake, [f"{tmp_path}/{n // 2}" for n in range(20)], chunksize=1)


def test_serving_from_two_processes(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "north.yaml").touch()
    token = issue(SECRET, "north", "viewer", timedelta(minutes=5))
    document = {"query": "{ tenant { name release { id } } }"}
    settings = {"MERCURIOS_HOME": str(tmp_path), "MERCURIOS_TOKEN_SECRET": SECRET}
    with started("-m", "mercurios", "serve", "--port", "0", "--processes", "2", **settings) as process:
        found = re.search(r"GraphQL at (\S+)/graphql", line(process))
        assert found, process.communicate(timeout=60)
        url, headers = found[1], {"Authorization": f"Bearer {token}"}
        fill(Lake.open(f"sqlite:///{tmp_path}/lake/catalog.db", f"file://{tmp_path}/lake/data"))
        for _ in range(30):
            answer = httpx.post(f"{url}/graphql", json=document, headers=headers, trust_env=False, timeout=60)
            assert answer.json()["data"]["tenant"] == {"name": "northern stores", "release": {"id": "r000001"}}
        told = {told_once(url) for _ in range(10)}
        assert told == {(30.0, 2.0)}, "whichever process is asked"
        audited = (tmp_path / "access" / "audit.jsonl").read_text().splitlines()
        assert len(audited) == 30
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.count('"api.stopped"') == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)


def told_once(url: str) -> tuple[float, float]:
    """Requests answered and sessions open, over all processes."""
    for _ in range(100):
        text = httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text
        values = {one.rsplit(" ", 1)[0]: float(one.rsplit(" ", 1)[1]) for one in text.splitlines() if one[0] != "#"}
        found = (
            values.get('mercurios_api_requests_total{operation="tenant",outcome="ok"}', 0.0),
            values.get("mercurios_api_sessions_open", 0.0),
        )
        if found == (30.0, 2.0):
            return found
        time.sleep(0.05)
    return found
