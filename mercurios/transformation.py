"""The dbt runner: builds and tests the project of `dbt/` in one warehouse.

    target = target_for("duckdb:////data/warehouse.duckdb")
    result = run_dbt(Path("dbt"), target, Path("var/dbt"))
    [node.name for node in result.tests if node.status == "warn"]

dbt runs in this process and opens the warehouse itself: whoever holds a DuckDB file open closes it first. Everything
dbt writes beside the warehouse goes to the state folder: `target/` (manifests, compiled SQL) and `logs/dbt.log`.
"""

import gc
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from mercurios.errors import ConfigError, TransformFailed
from mercurios.progress import track

# Unit tests prove the SQL on rows made up by hand. They say nothing about tonight's data: the tests run them.
BUILD = ("build", "--selector", "tonight", "--exclude-resource-type", "unit_test")
# In a warehouse that this very project has built, views, seeds and the like are what they would be again.
BUILD_WHAT_CHANGES = ("build", "--selector", "what_changes", "--exclude-resource-type", "unit_test")
BUILD_FROM_SCRATCH = (*BUILD, "--full-refresh")
BUILD_WITH_UNIT_TESTS = ("build",)
PARSE = ("parse",)
DOCS = ("docs", "generate", "--static", "--empty-catalog")

FROM_SCRATCH = "(from scratch)"
"""In the place of a project's name: on what is there nothing can be built."""

# What decides which rows are built; descriptions and tests do not.
_SQL = ("dbt_project.yml", "macros/**/*.sql", "models/**/*.sql", "seeds/**/*.csv", "snapshots/**/*.sql")
_FAILURES = frozenset({"error", "fail", "runtime error", "partial success"})
# dbt keeps its state in module globals and takes its variables from the process: one call at a time.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Target:
    """A target of `dbt/profiles.yml` and the values it asks for, which are never shown: one may be a key.

    Values not given are empty; TRANSFORM_SNOWFLAKE_HOST, _PORT and _PROTOCOL lead to an emulator.
    """

    name: str
    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class NodeResult:
    """One model or test of a run.

    kind: model, test or unit_test; status: success, pass, warn, error, fail or skipped;
    rows: for a test the rows that break it, None for a model.
    """

    name: str
    kind: str
    status: str
    seconds: float
    rows: int | None
    message: str


@dataclass(frozen=True)
class DbtResult:
    """What one dbt call did, in the order it was finished; `project` names the SQL it ran."""

    nodes: tuple[NodeResult, ...]
    seconds: float
    project: str = ""

    @property
    def models(self) -> tuple[NodeResult, ...]:
        """Tables and views that were built."""
        return tuple(node for node in self.nodes if node.kind == "model")

    @property
    def tests(self) -> tuple[NodeResult, ...]:
        """Tests that ran, unit tests included."""
        return tuple(node for node in self.nodes if node.kind in {"test", "unit_test"})

    @property
    def warnings(self) -> tuple[NodeResult, ...]:
        """Tests that found something which does not stop the build."""
        return tuple(node for node in self.nodes if node.status == "warn")


class Outcome(Protocol):
    """What dbt's own runner returns."""

    success: bool
    exception: BaseException | None
    result: Any


class Invoke(Protocol):
    """Runs dbt with command line arguments and calls back for every finished model."""

    def __call__(self, arguments: Sequence[str], finished: Callable[[], None]) -> Outcome:
        """Return the outcome; failed nodes are no exception."""


def target_for(warehouse_url: str, private_key: str = "") -> Target:
    """Return the dbt target of a warehouse URL; the scheme chooses.

    `duckdb:///PATH` or `snowflake://USER@ACCOUNT/DATABASE?warehouse=…&role=…`; private_key is the PEM of the Snowflake
    service user. Raises ConfigError on anything else, without repeating the URL: there may be a password in it.
    """
    url = urlsplit(warehouse_url)
    path = warehouse_url.removeprefix("duckdb:///")
    if url.scheme == "duckdb" and path not in {"", ":memory:", warehouse_url}:
        threads = max(1, (os.cpu_count() or 1) - 1)  # and two more that ask: as many as there are cores, and dbt's own
        return Target(
            "duckdb", {"TRANSFORM_DUCKDB_PATH": str(Path(path).absolute()), "TRANSFORM_DUCKDB_THREADS": str(threads)}
        )
    user, _, account = url.netloc.rpartition("@")
    database = url.path.strip("/")
    if url.scheme == "snowflake" and user and account and database and url.password is None:
        return Target("snowflake", _snowflake_values(user, account, database, url.query, private_key))
    raise ConfigError(
        f"dbt has no target for such a warehouse URL (scheme {url.scheme!r}); expected duckdb:///PATH, a file because "
        "memory does not outlive the run, or snowflake://USER@ACCOUNT/DATABASE?warehouse=…&role=…"
    )


def _snowflake_values(user: str, account: str, database: str, query: str, private_key: str) -> Mapping[str, str]:
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    return {
        "TRANSFORM_SNOWFLAKE_USER": unquote(user),
        "TRANSFORM_SNOWFLAKE_ACCOUNT": account,
        "TRANSFORM_SNOWFLAKE_DATABASE": unquote(database),
        "TRANSFORM_SNOWFLAKE_WAREHOUSE": options.get("warehouse", ""),
        "TRANSFORM_SNOWFLAKE_ROLE": options.get("role", ""),
        "DBT_ENV_SECRET_TRANSFORM_SNOWFLAKE_KEY": private_key,
    }


def build_command(project: Path, built_by: str) -> Sequence[str]:
    """A build of everything, or of what can be another than it was where `built_by` names `project` as it is."""
    if built_by == FROM_SCRATCH:
        return BUILD_FROM_SCRATCH
    return BUILD_WHAT_CHANGES if built_by == _digest(project) else BUILD


def run_dbt(
    project: Path, target: Target, state: Path, invoke: Invoke | None = None, command: Sequence[str] = BUILD
) -> DbtResult:
    """Run one dbt command on `project` and return what became of every node.

    state: folder for all dbt writes; made when missing. invoke: dbt's own runner, or `prefect_invoke(project)` inside
    a flow. Tables that follow what ingest brings are built from scratch when the project's SQL is another than the one
    that built them. Raises TransformFailed naming the first failing node, dbt's message and the log.
    """
    digest = _digest(project)
    arguments = [*command, "--target", target.name, "--quiet"]
    arguments += ["--project-dir", str(project.absolute()), "--profiles-dir", str(project.absolute())]
    arguments += ["--target-path", str(state.absolute() / "target"), "--log-path", str(state.absolute() / "logs")]
    values = {**target.values, "TRANSFORM_PROJECT": digest}
    with _one_at_a_time, _variables(values), _no_collecting(), track("transform", unit="models") as advance:
        try:
            outcome = (invoke or _invoke)(arguments, lambda: advance(1))
        finally:
            _let_go()
    return _result(outcome, digest, state / "logs" / "dbt.log")


def prefect_invoke(project: Path) -> Invoke:
    """Return an invoke that runs dbt through prefect-dbt: in a flow, every model becomes a task run."""

    def invoke(arguments: Sequence[str], finished: Callable[[], None]) -> Outcome:
        from dbt_common.events.base_types import EventLevel
        from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

        class ModelsAsTasks(PrefectDbtRunner):  # type: ignore[misc]
            # A task run a test would double the time of a build; tests are in the result and in dbt.log.
            def _call_task(self, task_state: Any, manifest_node: Any, *rest: Any) -> None:
                if manifest_node.resource_type == "model":
                    super()._call_task(task_state, manifest_node, *rest)

        runner = ModelsAsTasks(
            settings=PrefectDbtSettings(
                project_dir=project.absolute(), profiles_dir=project.absolute(), log_level=EventLevel.ERROR
            ),
            raise_on_failure=False,
            disable_assets=True,
        )
        runner.post_model(lambda _: finished())
        try:
            outcome: Outcome = runner.invoke(list(arguments))
        except ValueError as error:  # prefect-dbt's wrapper around anything that kept dbt from running nodes
            raise TransformFailed(f"dbt could not run: {error}") from error
        finally:
            _await_task_runs()
        return outcome

    return invoke


def semantic_manifest(state: Path) -> str:
    """Return the metric definitions as dbt compiled them last, as JSON text; they travel with the release.

    Raises TransformFailed when nothing was built in `state` yet.
    """
    path = state / "target" / "semantic_manifest.json"
    if not path.is_file():
        raise TransformFailed(f"no metric definitions at {path}; run transform first")
    return path.read_text(encoding="utf-8")


def _digest(project: Path) -> str:
    """Name the SQL of a project: another one may build other rows."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SQL for path in project.glob(pattern)):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _invoke(arguments: Sequence[str], finished: Callable[[], None]) -> Outcome:
    from dbt.cli.main import dbtRunner

    def on_event(event: Any) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.resource_type == "model":
            finished()

    outcome: Outcome = dbtRunner(callbacks=[on_event]).invoke(
        [*arguments, "--log-level", "none", "--log-level-file", "debug"]
    )
    return outcome


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Hand values to dbt the only way it takes them: as variables of the process, for the length of one call."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Keep the garbage collector off dbt's manifest, where it finds nothing: a tenth of the time of a build."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _let_go() -> None:
    """Close what dbt keeps open until the process ends: the DuckDB file, which the next job wants, and the log."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt_common.events.event_manager_client import cleanup_event_logger

    if (environment := DuckDBConnectionManager._ENV) is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    reset_adapters()  # type: ignore[no-untyped-call]
    cleanup_event_logger()
    log = logging.getLogger("file_log")
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def _await_task_runs() -> None:
    """Wait for prefect-dbt's threads: it leaves them behind, and a process that ends before them aborts."""
    for thread in threading.enumerate():
        if thread.name.endswith("(run_task)"):
            thread.join(timeout=60)


def _result(outcome: Outcome, project: str, log: Path) -> DbtResult:
    if outcome.exception is not None:
        raise TransformFailed(f"dbt could not run: {outcome.exception}; see {log}") from outcome.exception
    results = getattr(outcome.result, "results", ())
    nodes = tuple(_node(result) for result in results)
    failed = [node for node in nodes if node.status in _FAILURES]
    if failed or not outcome.success:
        raise TransformFailed(_complaint(nodes, failed, log))
    return DbtResult(nodes, float(getattr(outcome.result, "elapsed_time", 0.0)), project)


def _node(result: Any) -> NodeResult:
    return NodeResult(
        name=result.node.name,
        kind=str(result.node.resource_type.value),
        status=str(result.status.value),
        seconds=float(result.execution_time),
        rows=result.failures,
        message=result.message or "",
    )


def _complaint(nodes: Sequence[NodeResult], failed: Sequence[NodeResult], log: Path) -> str:
    skipped = sum(node.status == "skipped" for node in nodes)
    first = failed[0] if failed else None
    told = f"{first.kind} {first.name}: {first.message or first.status}" if first else "no node says why"
    complaint = f"dbt failed on {len(failed)} and skipped {skipped} of {len(nodes)} nodes; {told}; the rest is in {log}"
    if any(node.kind == "test" for node in failed):
        complaint += "; if it fails again, build anew what is there: mercurios transform --from-scratch"
    return complaint
