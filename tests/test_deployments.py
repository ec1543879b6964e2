"""Deployments on a real Prefect server (SQLite): deployed from the file, and a scheduled run done by a worker."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from mercurios.config import ROOT, child_environment
from mercurios.sandbox import RunningSandbox
from mercurios.up import POOL

DEPLOYED = {
    *("ingest", "transform", "export", "retrain", "index", "query", "pipeline"),
    *("quality", "onboard", "fivetran", "expire", "propose", "feedback"),
}


def prefect(*arguments: str, environment: dict[str, str]) -> str:
    command = (sys.executable, "-m", "prefect", "--no-prompt", *arguments)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(what: str, done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"{what} did not happen within {seconds} s"
        time.sleep(0.5)


def ended(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, environment: Path) -> Iterator[dict[str, str]]:
    """A Prefect server of its own; yields the environment that points at it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    settings = child_environment(PREFECT_API_URL=api, PREFECT_HOME=str(tmp_path_factory.mktemp("prefect")))
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    child = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return httpx.get(f"{api}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for("the Prefect server", answers, 120)
        yield settings
    finally:
        ended(child)


def test_every_flow_is_deployed_and_a_scheduled_run_completes(
    server: dict[str, str], merchants: RunningSandbox, tmp_path: Path
) -> None:
    prefect("work-pool", "create", POOL, "--type", "process", environment=server)
    prefect("deploy", "--all", "--prefect-file", "deployments.yaml", environment=server)
    api = server["PREFECT_API_URL"]
    deployed = httpx.post(f"{api}/deployments/filter", json={}).json()
    assert {deployment["name"] for deployment in deployed} == DEPLOYED
    pipeline = next(deployment for deployment in deployed if deployment["name"] == "pipeline")
    assert [schedule["schedule"]["cron"] for schedule in pipeline["schedules"]] == ["30 4 * * *"]

    ingest = next(deployment for deployment in deployed if deployment["name"] == "ingest")
    run = httpx.post(
        f"{api}/deployments/{ingest['id']}/create_flow_run",
        json={"state": {"type": "SCHEDULED"}, "parameters": {"tenants": ["north"]}},
    ).json()
    worker_home = server | {"MERCURIOS_WAREHOUSE": f"duckdb:///{tmp_path}/warehouse.duckdb"}
    command = (sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--run-once")
    worker = subprocess.Popen(command, cwd=ROOT, env=worker_home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the scheduled run", lambda: state(api, run["id"]) in {"COMPLETED", "FAILED", "CRASHED"}, 240)
    finally:
        ended(worker)
    assert state(api, run["id"]) == "COMPLETED"
    artifacts = httpx.post(f"{api}/artifacts/filter", json={}).json()
    assert "ingest-batches" in {artifact["key"] for artifact in artifacts}


def state(api: str, run_id: str) -> str:
    return str(httpx.get(f"{api}/flow_runs/{run_id}").json()["state"]["type"])


def test_the_file_schedules_the_pipeline_daily_and_names_every_flow() -> None:
    deployments = yaml.safe_load((ROOT / "deployments.yaml").read_text())["deployments"]
    assert {deployment["name"] for deployment in deployments} == DEPLOYED
    for deployment in deployments:
        path, _, function = deployment["entrypoint"].partition(":")
        assert function == deployment["name"]
        assert (ROOT / path).is_file()
