"""Everything a person wants to look at, on loopback, until Ctrl-C.

    mercurios up

Starts a Prefect server with the deployments and a worker, the MLflow UI and the API, each as a child process with its
log in `var/logs`; and the ProHandel stand-in when there are tenants of the sandbox, so that the pipeline finds them.
One that dies ends the rest with its name and the end of its log.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from mercurios.config import ROOT, Settings, child_environment, keep_prefect_at_home
from mercurios.errors import ConfigError, MercuriosError
from mercurios.sandbox.enrolment import is_sandbox_file

POOL = "mercurios"
_PYTHON = sys.executable
_BIN = Path(_PYTHON).parent


@dataclass(frozen=True)
class Service:
    """One child process; `url` answers with a status below 500 once it is ready."""

    name: str
    command: tuple[str, ...]
    url: str | None = None


class Services:
    """Child processes with logs, ended in the opposite order."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._logs = logs
        self._environment = environment
        self._running: list[tuple[Service, subprocess.Popen[bytes]]] = []

    def start(self, service: Service) -> None:
        """Start one in a process group of its own, so that its own children end with it."""
        with (self._logs / f"{service.name}.log").open("wb") as log:
            child = subprocess.Popen(
                service.command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append((service, child))

    def wait(self, service: Service, *, seconds: float = 180) -> None:
        """Wait until its URL answers; raises MercuriosError when it ends or does not answer in time."""
        until = time.monotonic() + seconds
        while service.url and not _answers(service.url):
            self.check()
            if time.monotonic() > until:
                raise MercuriosError(f"{service.name} did not answer at {service.url} within {seconds:.0f} s")
            time.sleep(0.3)

    def check(self) -> None:
        """Raise MercuriosError when one of them has ended by itself."""
        for service, child in self._running:
            if child.poll() is not None:
                tail = (self._logs / f"{service.name}.log").read_text(errors="replace").splitlines()[-8:]
                raise MercuriosError(f"{service.name} ended with code {child.returncode}:\n  " + "\n  ".join(tail))

    def stop(self) -> None:
        """End all of them: politely, then after ten seconds not."""
        for _, child in reversed(self._running):
            _signal(child, signal.SIGINT)
        until = time.monotonic() + 10
        for _, child in reversed(self._running):
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, until - time.monotonic()))
            _signal(child, signal.SIGKILL)  # what is left of its group
            child.wait()


def run(settings: Settings, say: Callable[[str], None], *, api_port: int = 8080) -> None:
    """Start everything, say where it is, and stay until Ctrl-C or until one of them dies."""
    prefect_port, mlflow_port = 4200, 5000
    _check_free(prefect_port, mlflow_port, api_port)
    environment = _environment(settings, f"http://127.0.0.1:{prefect_port}/api")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # as Ctrl-C, so that nothing is left
    with _running(Services(settings.home / "logs", environment)) as services:
        servers = _servers(settings, prefect_port, mlflow_port, api_port)
        for service in servers:
            services.start(service)
        for service in servers:
            say(f"  waiting for {service.name} …")
            services.wait(service)
        _deploy(environment)
        services.start(
            Service("worker", (str(_BIN / "prefect"), "worker", "start", "--pool", POOL, "--type", "process"))
        )
        say(f"  Prefect   http://127.0.0.1:{prefect_port}     flows, deployments, artifacts")
        local = settings.mlflow_url.startswith("sqlite:")
        mlflow = f"http://127.0.0.1:{mlflow_port}" if local else settings.mlflow_url
        say(f"  MLflow    {mlflow}     experiments and the model registry")
        say(f"  Dashboard http://127.0.0.1:{api_port}/   (to sign in: mercurios token --tenant north --role buyer)")
        say(f"  API       http://127.0.0.1:{api_port}/graphql")
        say("  Ctrl-C ends all of it.")
        with suppress(KeyboardInterrupt):
            while True:
                services.check()
                time.sleep(1)
        say("  ending …")


def _servers(settings: Settings, prefect_port: int, mlflow_port: int, api_port: int) -> list[Service]:
    mercurios = (_PYTHON, "-m", "mercurios")
    servers = [
        Service(
            "prefect",
            (str(_BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(prefect_port)),
            f"http://127.0.0.1:{prefect_port}/api/health",
        ),
        Service("api", (*mercurios, "serve", "--port", str(api_port)), f"http://127.0.0.1:{api_port}/healthz"),
    ]
    if settings.mlflow_url.startswith("sqlite:"):  # else the tracking server runs elsewhere already
        store = ("--backend-store-uri", settings.mlflow_url, "--host", "127.0.0.1", "--port", str(mlflow_port))
        command = (_PYTHON, "-m", "mlflow", "server", *store, "--workers", "1")
        servers.append(Service("mlflow", command, f"http://127.0.0.1:{mlflow_port}/health"))
    if any(is_sandbox_file(path) for path in settings.tenants_folder.glob("*.yaml")):
        sandbox = f"http://127.0.0.1:{settings.sandbox_port}/derived"
        servers.append(Service("sandbox", (*mercurios, "sandbox"), sandbox))
    return servers


def _deploy(environment: dict[str, str]) -> None:
    prefect = str(_BIN / "prefect")
    _call((prefect, "--no-prompt", "work-pool", "create", POOL, "--type", "process", "--overwrite"), environment)
    _call((prefect, "--no-prompt", "deploy", "--all", "--prefect-file", "deployments.yaml"), environment)


def _call(command: tuple[str, ...], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MercuriosError(f"`{' '.join(command[1:])}` failed:\n{(done.stderr or done.stdout)[-2000:]}")


def _environment(settings: Settings, prefect_api: str) -> dict[str, str]:
    keep_prefect_at_home(settings)
    return child_environment(
        PREFECT_API_URL=prefect_api,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        MLFLOW_DISABLE_TELEMETRY="true",
    )


def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:  # the whole group has ended
        return


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def _check_free(*ports: int) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise ConfigError(f"port {port} on 127.0.0.1 is in use; end what holds it and try again") from error


@contextmanager
def _running(services: Services) -> Iterator[Services]:
    try:
        yield services
    finally:
        services.stop()
