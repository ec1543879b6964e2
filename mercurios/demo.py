"""The demonstration: a stand-in of the merchants' system, the whole pipeline, and a summary a person can read.

mercurios demo
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mercurios import progress
from mercurios.config import Settings, child_environment
from mercurios.console import Console
from mercurios.errors import MercuriosError

_READY_SECONDS = 120
_LISTENING = "ProHandel stand-in: log in at"
MERCHANTS = ("north", "south")
MORNING_AFTER = datetime(2018, 1, 1, 11, tzinfo=UTC)
"""When the demonstration plays, so that its stock is that of the last day with sales: 6 o'clock in New York."""


def run(settings: Settings, console: Console) -> None:
    """Run the pipeline for both merchants of the journey and print what came of it."""
    from mercurios.running import keep_summary, run_flow
    from mercurios.summary import print_summary, summarise

    console.say("Mercurios: 1,469,307 real sale lines, from the till to an answered question")
    with sandbox_process(settings):
        report = run_flow("pipeline", settings, console, tenants=list(MERCHANTS), as_of=MORNING_AFTER)
    summary = summarise(report, console.stations)
    keep_summary(settings, summary)
    print_summary(summary, console)


@dataclass(frozen=True)
class FolderMerchant:
    """A folder of Parquet files to serve as one merchant."""

    data: Path
    name: str
    currency: str
    time_zone: str

    @property
    def origin(self) -> str:
        """The folder, in one line."""
        return ascii(str(self.data.resolve()))[1:-1]


def serve_sandbox(  # noqa: PLR0913 - what a command was told
    settings: Settings,
    console: Console,
    folder: FolderMerchant | None,
    port: int | None,
    faults: int | None = None,
    *,
    replace_files: bool = False,
) -> None:
    """Serve the Complete Journey, or one folder, until interrupted; writes tenant files that point here.

    faults: seed of a bad day, the same for the same number; None for a good one. replace_files: also those of merchants
    of that name with other data. Raises ConfigError, before any data is read, for what cannot be written.
    """
    from mercurios.sandbox import (
        PROFILES,
        Profile,
        RunningSandbox,
        check_place,
        enrol,
        load_folder,
        prepare_journey,
        seeded_faults,
        serve,
        write_tenant_files,
    )

    profiles = {name: replace(profile, origin="the Complete Journey") for name, profile in PROFILES.items()}
    if folder is not None:
        profiles = {folder.name: Profile(folder.name, folder.currency, folder.time_zone, origin=folder.origin)}
    for name, profile in profiles.items():
        check_place(name, profile, settings.tenants_folder, replace=replace_files)
    with console.shown("sandbox"):
        data = (
            prepare_journey(settings.home / "sandbox")
            if folder is None
            else [(folder.name, load_folder(folder.data, time_zone=folder.time_zone))]
        )
        offers = [(name, entities, profiles[name]) for name, entities in data]
    merchants = enrol(offers, settings.tenants_folder)
    if faults is not None:
        merchants = [replace(merchant, faults=seeded_faults(faults)) for merchant in merchants]

    def ready(sandbox: RunningSandbox) -> None:
        files = write_tenant_files(merchants, settings.tenants_folder, sandbox.auth_url)
        console.say(f"{_LISTENING} {sandbox.auth_url}/api/v4/token; Ctrl-C ends it")
        for merchant, path in zip(merchants, files, strict=True):
            console.say(f"  {merchant.name:<12} {sandbox.server_url(merchant.name)}/api/v2    tenant file {path}")

    progress.show_with(console)  # faults are told as they happen
    serve(merchants, port or settings.sandbox_port, on_ready=ready)


@contextmanager
def sandbox_process(settings: Settings) -> Iterator[None]:
    """Run `mercurios sandbox` as a child while the block runs; raises MercuriosError when it does not start."""
    log = settings.home / "logs" / "sandbox.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("wb") as out:
        command = (sys.executable, "-m", "mercurios", "sandbox")
        child = subprocess.Popen(command, env=child_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        _await(child, log)
        yield
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await(child: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the child says that it listens: an answer on its port could be somebody else's."""
    until = time.monotonic() + _READY_SECONDS
    while _LISTENING not in (said := log.read_text(errors="replace")):
        if child.poll() is not None:
            raise MercuriosError(f"the sandbox did not start:\n{said[-2000:]}")
        if time.monotonic() > until:
            raise MercuriosError(f"the sandbox was not ready within {_READY_SECONDS} s; its log is {log}")
        time.sleep(0.1)
