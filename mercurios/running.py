"""Flows run from the command line: progress on the screen, a summary at the end, the same as JSON under home.

    run_flow("pipeline", Settings(), Console(), tenants=["north"])

Without PREFECT_API_URL Prefect starts a server of its own for the time of the run, which takes some 15 seconds.
"""

import importlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from mercurios import logs
from mercurios.config import Settings, keep_prefect_at_home
from mercurios.console import Console
from mercurios.errors import MercuriosError
from mercurios.stopping import ends_when_told

SUMMARY = "pipeline.json"
_GOES_ON = frozenset({"ingest", "onboard", "pipeline"})


def run_flow(name: str, settings: Settings, console: Console, **parameters: object) -> Any:
    """Run one flow in this process and return its report; its log lines go to a file under home.

    Raises SystemExit within seconds of SIGTERM or Ctrl-C, and MercuriosError when Prefect's server does not answer.
    """
    logs.to_file(settings.home / "logs" / "mercurios.log")
    keep_prefect_at_home(settings)
    stopped = f"stopped; {'the next run goes on where it stopped' if name in _GOES_ON else 'run it again'}"
    with console.shown("start"), ends_when_told(stopped, console.say), _prefect(), _reached():
        flow = getattr(importlib.import_module(f"flows.{name}"), name)
        report = flow(**parameters)
    return report


def keep_summary(settings: Settings, summary: dict[str, Any]) -> None:
    """Write the summary of the newest pipeline run, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=settings.home, delete=False, suffix=".json") as file:
        json.dump(summary, file, indent=2, default=str)
    os.replace(file.name, settings.home / SUMMARY)


def last_summary(settings: Settings) -> dict[str, Any] | None:
    """The summary of the newest pipeline run, None before the first."""
    path = settings.home / SUMMARY
    return json.loads(path.read_text()) if path.is_file() else None


@contextmanager
def _reached() -> Iterator[None]:
    """Tell in one line that Prefect's server is gone; no other call of a flow lets such an error out."""
    try:
        yield
    except httpx.TransportError as error:
        from prefect.settings import PREFECT_API_URL

        server = PREFECT_API_URL.value() or "which was started for this run"
        raise MercuriosError(
            f"the Prefect server {server} does not answer ({type(error).__name__}); see that it runs, then run again"
        ) from error


@contextmanager
def _prefect() -> Iterator[None]:
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_LEVEL,
        PREFECT_SERVER_ANALYTICS_ENABLED,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )

    ours = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_LEVEL: "CRITICAL",  # an error is told once, by the command
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,
    }
    with temporary_settings(ours), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third parties' deprecations are no news to who runs a command
        yield
