"""One `dbt build` of the warehouse benchmark in a process of its own, and the statements its models ran.

    python -m benchmarks.warehouse_build WAREHOUSE.duckdb STATE BUILD.json [seed]

Writes seconds (with the import of dbt), nodes by kind, how long statements of models ran, and the statements.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mercurios.config import ROOT
from mercurios.jobs.transform import transform
from mercurios.transformation import build_command, run_dbt, target_for
from mercurios.warehouse.duckdb import DuckDBWarehouse

DBT = ROOT / "dbt"
_WORK = re.compile(r"(?:/\*.*?\*/|\s)*(create|insert|delete|alter|drop|update|begin|commit)\b", re.S | re.I)


@dataclass
class Watch:
    """Collects the statements of every model, in the order models begin, and when they run; a model has one at a time.

    What dbt asks to know how things are is left out.
    """

    statements: dict[str, list[str]] = field(default_factory=dict)
    spans: list[tuple[float, float]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)

    def __call__(self, event: Any) -> None:
        """Take an event of dbt."""
        node = getattr(getattr(event.data, "node_info", None), "unique_id", "")
        if not node.startswith("model."):
            return
        if event.info.name == "SQLQuery":
            self.running.discard(node)
            if _WORK.match(event.data.sql):
                self.statements.setdefault(node, []).append(event.data.sql)
                self.running.add(node)
        elif event.info.name == "SQLQueryStatus" and node in self.running:
            self.running.remove(node)
            now = time.perf_counter()
            self.spans.append((now - event.data.elapsed, now))

    def busy_seconds(self) -> float:
        """Seconds in which at least one statement ran."""
        busy, until = 0.0, 0.0
        for begin, end in sorted(self.spans):
            busy += max(0.0, end - max(begin, until))
            until = max(until, end)
        return busy


def build(warehouse: Path, state: Path) -> dict[str, Any]:
    """Run dbt as `mercurios transform` does, watched; the seconds are those of the whole job."""
    url = f"duckdb:///{warehouse}"
    watch = Watch()
    began = time.perf_counter()
    result = transform(
        lambda built_by: run_dbt(DBT, target_for(url), state, _watched(watch), build_command(DBT, built_by)),
        lambda: DuckDBWarehouse.open(url),
    )
    seconds = time.perf_counter() - began
    nodes = [(node.name, node.kind, node.seconds) for node in result.nodes]
    return {"seconds": seconds, "sql": watch.busy_seconds(), "nodes": nodes, "statements": [*watch.statements.values()]}


def _watched(watch: Watch) -> Callable[[Sequence[str], Callable[[], None]], Any]:
    def invoke(arguments: Sequence[str], finished: Callable[[], None]) -> Any:
        from dbt.cli.main import dbtRunner

        return dbtRunner(callbacks=[watch]).invoke([*arguments, "--log-level", "none", "--log-level-file", "debug"])

    return invoke


if __name__ == "__main__":
    if sys.argv[4:]:
        run_dbt(DBT, target_for(f"duckdb:///{sys.argv[1]}"), Path(sys.argv[2]), command=("seed",))
    else:
        Path(sys.argv[3]).write_bytes(orjson.dumps(build(Path(sys.argv[1]), Path(sys.argv[2]))))
