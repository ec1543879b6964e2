"""How long dbt builds the warehouse: everything from scratch, and one more day, beside the same SQL run bare.

    make bench-warehouse

The demonstration's merchants (1,469,307 sale lines, their masters and a day's stock) are ingested once from the
stand-in. Then, in turns: `dbt build` with its data tests in a process of its own, and the statements its models ran,
one after the other through DuckDB with the same settings. `sql_ratio` is the time in which dbt had statements of models
running, by the bare time. Prints a table and writes benchmarks/results/warehouse.json.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import orjson
import polars as pl
import yaml

from benchmarks.ingest_merchants import FILTERS, add_day, offers
from benchmarks.telling import keep, say
from mercurios.config import ROOT
from mercurios.jobs.ingest import DUE, Run, ingest
from mercurios.sandbox import PROFILES, Merchant, Rules, RunningSandbox, enrol, running, write_tenant_files
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Filters, Tenant, TenantDirectory
from mercurios.warehouse.duckdb import DuckDBWarehouse

FIRST_DAY = date(2018, 1, 1)
SLOWEST = 8


@dataclass(frozen=True)
class Shops:
    """The stand-in's merchants while they are served, and where they are ingested to."""

    folder: Path
    sandbox: RunningSandbox
    merchants: Sequence[Merchant]

    @property
    def warehouse(self) -> Path:
        """The file that is built; copies elsewhere keep its name, which stands in dbt's SQL."""
        return self.folder / "warehouse.duckdb"

    def read(self, day: date) -> None:
        """Ingest what is due as of the morning of a day."""
        directory = TenantDirectory(self.folder / "tenants")
        run = Run(datetime.combine(day, clock(6), UTC), self.folder / "spool", DUE)
        for merchant in self.merchants:
            tenant = _with_filters(directory.get(merchant.name))
            with ProHandel(tenant) as source, DuckDBWarehouse.open(f"duckdb:///{self.warehouse}") as warehouse:
                ingest(source, tenant, warehouse, run)

    def trade(self, day: date) -> int:
        """Let a day of sales come to every merchant; returns its lines."""
        return sum(add_day(self.sandbox, one.entities["sale"], day, one.name) for one in self.merchants)


def _with_filters(tenant: Tenant) -> Tenant:
    return replace(tenant, source=replace(tenant.source, filters=Filters(*FILTERS)))


@contextmanager
def shops(folder: Path, share: float) -> Iterator[Shops]:
    """Serve the demonstration's merchants, with that share of their sale lines, while the block runs."""
    found = [(name, entities, PROFILES[name]) for name, entities in offers("journey", share, folder)]
    merchants = enrol(found, folder / "tenants")
    with running(merchants, rules=Rules(filters=Filters(*FILTERS))) as sandbox:
        write_tenant_files(merchants, folder / "tenants", sandbox.auth_url)
        yield Shops(folder, sandbox, merchants)


@dataclass(frozen=True)
class Measured:
    """One build: dbt's wall seconds, the part in which its models' SQL ran, that SQL bare, seconds by node."""

    seconds: float
    sql: float
    bare: float
    nodes: Sequence[tuple[str, str, float]]


def measure(warehouse: Path, folder: Path) -> Measured:
    """Build a warehouse with dbt, and a copy of what it was before with the SQL alone."""
    bare = folder / "bare" / warehouse.name
    bare.parent.mkdir(exist_ok=True)
    shutil.copy(warehouse, bare)
    _dbt(bare, folder, "seed")  # they come with values, not as a statement
    told = orjson.loads(_dbt(warehouse, folder).read_bytes())
    return Measured(told["seconds"], told["sql"], run_bare(bare, told["statements"]), told["nodes"])


def _dbt(warehouse: Path, folder: Path, *what: str) -> Path:
    told = folder / "build.json"
    state = folder / f"dbt-{'-'.join(what) or 'build'}"
    command = (sys.executable, "-W", "ignore", "-m", "benchmarks.warehouse_build", *map(str, (warehouse, state, told)))
    with (folder / "build.log").open("wb") as log:
        done = subprocess.run((*command, *what), cwd=ROOT, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit(f"dbt failed:\n{(folder / 'build.log').read_text(errors='replace')[-3000:]}")
    return told


def run_bare(warehouse: Path, models: Sequence[Sequence[str]]) -> float:
    """Run the statements of models, one after the other, with the settings of dbt's profile; returns seconds.

    Each has all cores, where dbt runs two models at a time.
    """
    profile = yaml.safe_load((ROOT / "dbt" / "profiles.yml").read_text())
    settings = profile["mercurios"]["outputs"]["duckdb"]["settings"] | {"threads": os.cpu_count()}
    with duckdb.connect(str(warehouse), config=settings) as connection:
        for schema in ("staging", "intermediate", "marts"):
            connection.execute(f"create schema if not exists {schema}")
        began = time.perf_counter()
        for statement in (statement for statements in models for statement in statements):
            connection.execute(statement)
        return time.perf_counter() - began


def full_builds(here: Shops, repetitions: int) -> list[Measured]:
    """Builds from scratch; the last one stays."""
    raw = here.folder / "raw" / here.warehouse.name
    raw.parent.mkdir(exist_ok=True)
    shutil.copy(here.warehouse, raw)
    found = []
    for _ in range(repetitions):
        shutil.copy(raw, here.warehouse)
        shutil.rmtree(here.folder / "dbt-build", ignore_errors=True)
        found.append(measure(here.warehouse, here.folder))
        _say("from scratch", found[-1])
    return found


def more_days(here: Shops, days: int) -> list[Measured]:
    """Builds after a day of sales has come to every merchant."""
    found = []
    for number in range(days):
        day = FIRST_DAY + timedelta(days=number)
        lines = here.trade(day)
        here.read(day + timedelta(days=1))
        found.append(measure(here.warehouse, here.folder))
        _say(f"{day}, {lines:,} new lines", found[-1])
    return found


def _say(what: str, one: Measured) -> None:
    slowest = sorted(one.nodes, key=lambda node: -node[2])[:SLOWEST]
    say(f"  {what:<28}{one.seconds:6.1f} s, SQL of models {one.sql:5.2f} s, bare {one.bare:5.2f} s\n")
    say("".join(f"      {seconds:5.2f} s {kind} {name}\n" for name, kind, seconds in slowest))


def summary(full: Sequence[Measured], days: Sequence[Measured]) -> dict[str, Any]:
    """Medians, in seconds; sql_ratio is that of the builds from scratch."""
    return {
        "full_build_s": round(median(one.seconds for one in full), 1),
        "one_day_s": round(median(one.seconds for one in days), 1),
        "sql_ratio": round(median(one.sql / one.bare for one in full), 2),
        "full_build": _parts(full),
        "one_day": _parts(days) | {"sql_ratio": round(median(one.sql / one.bare for one in days), 2)},
    }


def _parts(builds: Sequence[Measured]) -> dict[str, Any]:
    last = builds[-1].nodes
    return {
        "sql_s": round(median(one.sql for one in builds), 2),
        "bare_s": round(median(one.bare for one in builds), 2),
        "models": sum(kind == "model" for _, kind, _ in last),
        "tests": sum(kind == "test" for _, kind, _ in last),
    }


def report(results: Mapping[str, Any]) -> str:
    """The figures as a small table."""
    full, day = results["full_build"], results["one_day"]
    lines = [f"{'':<14}{'dbt build s':>12}{'SQL s':>8}{'bare s':>8}{'ratio':>7}{'models':>8}{'tests':>7}"]
    for name, seconds, parts, ratio in (
        ("from scratch", results["full_build_s"], full, results["sql_ratio"]),
        ("one more day", results["one_day_s"], day, day["sql_ratio"]),
    ):
        lines.append(
            f"{name:<14}{seconds:>12}{parts['sql_s']:>8}{parts['bare_s']:>8}{ratio:>7}"
            f"{parts['models']:>8}{parts['tests']:>7}"
        )
    return "\n".join(lines) + "\n"


def run(folder: Path, share: float, repetitions: int, days: int) -> dict[str, Any]:
    """Ingest once, then measure."""
    with shops(folder, share) as here:
        here.read(FIRST_DAY)
        rows = sum(one.entities["sale"].select(pl.len()).item() for one in here.merchants)
        say(f"Warehouse: {rows:,} sale lines of {len(here.merchants)} merchants\n")
        return {"lines": rows} | summary(full_builds(here, repetitions), more_days(here, days))


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description="dbt build of the demonstration's warehouse")
    parser.add_argument("--share", type=float, default=1.0, help="part of the sale lines; results are kept for 1 only")
    parser.add_argument("--repetitions", type=int, default=3, help="builds from scratch")
    parser.add_argument("--days", type=int, default=3, help="new days")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-warehouse-") as name:
        results = run(Path(name), chosen.share, chosen.repetitions, chosen.days)
    say(report(results))
    if chosen.share == 1:
        keep("warehouse", results)


if __name__ == "__main__":
    main()
