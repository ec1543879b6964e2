"""Shared by all tests: nothing leaves the machine, nothing is written outside the test's own folder."""

import atexit
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from mercurios.sandbox import Merchant, Profile, RunningSandbox, running, write_tenant_files
from tests.snowflake_emulator import emulator_fixture
from tests.things import warehouse_fixture
from tests.tiny import tiny_merchant

if TYPE_CHECKING:
    from flows.pipeline import PipelineReport

__all__ = ["emulator_fixture", "warehouse_fixture"]

# DuckDB 2.0's binding prints about its own type objects when the interpreter ends; it would follow pytest's summary.
atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno()))  # type: ignore[union-attr]
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    PREFECT_LOGGING_LEVEL="WARNING",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
)
for name in [name for name in os.environ if name.startswith("MERCURIOS_")]:
    del os.environ[name]

# Times say nothing on a busy machine. `make soak` asks for the default profile, which looks for new cases.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

SEEDS = {"north": 1, "south": 2}
LONG = (
    *("test_transform_snowflake", "test_journey", "test_incremental", "world", "test_rules", "test_ingest_kills"),
    *(
        "test_benchmarks_warehouse",
        "test_transform",
        "test_forecast_drift",
        "test_deployments",
        "test_account_policies",
    ),
)
"""What takes longest is begun first, so that all workers end at about the same time."""
GROUPS = {"test_flows": "world", "test_notebooks": "world", "test_browser": "world"}
"""Files whose tests run on one worker together, for what they share takes minutes to make."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=200, help="how often test_ingest_kills kills a run")
    parser.addoption("--attempts", type=int, default=1_000, help="how often test_isolation tries to see another's rows")
    parser.addoption("--home", help="a home that test_browser looks at, e.g. that of `mercurios demo`")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell xdist what runs on one worker, and in which order."""

    def group(item: pytest.Item) -> str:
        return GROUPS.get(item.path.stem, item.path.stem)

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: LONG.index(group(item)) if group(item) in LONG else len(LONG))


@dataclass(frozen=True)
class World:
    """Two tiny merchants that went the whole path once; `home` is their MERCURIOS_HOME."""

    home: Path
    sandbox: RunningSandbox
    report: "PipelineReport"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own for every store, set for the whole session."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERCURIOS_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server on a throw-away SQLite database."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture(scope="session")
def merchants(environment: Path) -> Iterator[RunningSandbox]:
    """The sandbox with two tiny German merchants; their tenant files are in the session's home."""
    made = [
        Merchant(name, f"{name}-key", f"{name}-secret-0123456789", tiny_merchant(seed), Profile(title=name.title()))
        for name, seed in SEEDS.items()
    ]
    (environment / "tenants").mkdir()
    with running(made) as sandbox:
        write_tenant_files(made, environment / "tenants", sandbox.auth_url)
        yield sandbox


@pytest.fixture(scope="session")
def world(environment: Path, prefect_server: None, merchants: RunningSandbox) -> World:
    """Run the pipeline once for all tests that look at its results."""
    from flows.pipeline import pipeline

    return World(environment, merchants, pipeline())
