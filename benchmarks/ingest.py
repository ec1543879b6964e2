"""How fast records get into the warehouse, and in how much memory: Mercurios and dlt from the same stand-in.

    make bench-ingest

Three questions, each answered from processes of their own. `first load`: two merchants, 1,678,254 records of all
entities, into an empty DuckDB file; the contenders take turns, medians count, and both files must hold the same
values. `memory`: Mercurios alone, 100,000 to 1,500,000 sale lines. `one new day`: an incremental run of Mercurios when
a day has come, on one year of history and on ten. Writes benchmarks/results/ingest.json; fails when the contenders
disagree.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ingest_agreement import differences
from benchmarks.ingest_merchants import FILTERS
from benchmarks.ingest_processes import DLT, MERCURIOS, Outcome, StandIn, contend, empty, stand_in
from benchmarks.ingest_task import Task
from benchmarks.telling import keep, say
from mercurios.jobs.ingest.ledgers import CURSORS, cursor_row, stored_cursor
from mercurios.sandbox.shapes import SHAPES
from mercurios.sources.contracts import CONTRACTS, Contract, Kind
from mercurios.sources.windows import CLOSING_DAYS
from mercurios.warehouse.duckdb import DuckDBWarehouse

LINES = (100_000, 500_000, 1_500_000)
YEARS = (1, 10)
INCREMENTAL = ("article", "customer", "sale")
FIRST_DAY = date(2018, 1, 1)
_DLT_TYPES = {
    Kind.TEXT: "text",
    Kind.CODE: "text",
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "double",
    Kind.BOOLEAN: "bool",
    Kind.TIMESTAMP: "timestamp",
}


def task_of(merchants: StandIn, folder: Path) -> Task:
    """Everything the merchants have, into a file in the folder."""
    entities = tuple(entity for entity in CONTRACTS if any(rows.get(entity) for rows in merchants.rows.values()))
    return Task(
        database=str(folder / "warehouse.duckdb"),
        tenant_folder=merchants.tenants,
        auth_url=merchants.auth_url,
        tenants=tuple(merchants.rows),
        entities=entities,
        as_of=_morning(FIRST_DAY),
        columns={entity: _columns(CONTRACTS[entity]) for entity in entities},
        trimmed=tuple(entity for entity in entities if set(SHAPES[entity].fields) - _columns(CONTRACTS[entity]).keys()),
    )


def _columns(contract: Contract) -> dict[str, str]:
    return {field.name: _DLT_TYPES[field.kind] for field in contract.kept}


def _morning(day: date) -> str:
    return datetime.combine(day, time(6), UTC).isoformat()


def first_load(folder: Path, share: float, repetitions: int) -> dict[str, Any]:
    """Both contenders, in turns; medians over the repetitions."""
    outcomes: dict[str, list[Outcome]] = {"mercurios": [], "dlt": []}
    with stand_in(folder, "journey", share) as merchants:
        rows = sum(sum(entities.values()) for entities in merchants.rows.values())
        say(f"First load: {rows:,} records of {len(merchants.rows)} merchants into an empty DuckDB file\n")
        for turn in range(repetitions):
            for contender in (MERCURIOS, DLT) if turn % 2 == 0 else (DLT, MERCURIOS):
                place = empty(folder / contender[0])
                outcome = contend(contender, task_of(merchants, place), place)
                outcomes[contender[0]].append(outcome)
                _say_outcome(contender[0], rows, outcome)
            ours, theirs = (folder / name / "warehouse.duckdb" for name in outcomes)
            if unlike := differences(ours, theirs, merchants.rows, CONTRACTS):
                raise SystemExit("The contenders disagree:\n" + "\n".join(unlike))
            say("  both hold the same values\n")
    mercurios, dlt = (_summary(rows, found) for found in outcomes.values())
    ratio = mercurios["rows_per_second"] / dlt["rows_per_second"]
    return {"rows": rows, "mercurios": mercurios, "dlt": dlt, "ratio": round(ratio, 2)}


def _summary(rows: int, outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {
        "rows_per_second": round(rows / median(one.wall_seconds for one in outcomes)),
        "peak_mb": round(median(one.peak_mb for one in outcomes)),
        "seconds": round(median(one.wall_seconds for one in outcomes), 1),
    }


def _say_outcome(name: str, rows: int, outcome: Outcome) -> None:
    longest = sorted(outcome.spent.items(), key=lambda item: -item[1])[:3]
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in longest)
    say(
        f"  {name:<12}{rows:>10,} rows {outcome.wall_seconds:7.1f} s {rows / outcome.wall_seconds:>8,.0f} rows/s "
        f"{outcome.peak_mb:>6,.0f} MB   ({parts})\n"
    )


def memory(folder: Path, share: float) -> dict[str, int]:
    """Peak memory of Mercurios by number of sale lines."""
    say("Memory: one merchant's sale lines into an empty DuckDB file\n")
    peaks = {}
    for lines in LINES:
        with stand_in(folder, f"lines:{lines}", share) as merchants:
            place = empty(folder / "memory")
            outcome = contend(MERCURIOS, task_of(merchants, place), place)
            _say_outcome("mercurios", sum(merchants.rows[name]["sale"] for name in merchants.rows), outcome)
            peaks[str(lines)] = round(outcome.peak_mb)
    return peaks


def one_new_day(folder: Path, share: float, repetitions: int) -> dict[str, Any]:
    """Median seconds of a run after a new day, by years of history; both histories take turns."""
    say(f"One new day: {', '.join(INCREMENTAL)} of one merchant whose API selects by day and by change\n")
    with ExitStack() as stack:
        histories = {years: stack.enter_context(stand_in(folder, f"years:{years}", share)) for years in YEARS}
        tasks = {years: _first_years(folder, years, merchants) for years, merchants in histories.items()}
        seconds: dict[int, list[float]] = {years: [] for years in YEARS}
        for turn in range(repetitions):
            for years in YEARS if turn % 2 == 0 else reversed(YEARS):
                seconds[years].append(_next_day(tasks[years], histories[years], FIRST_DAY + timedelta(turn)))
    found = {f"{years}x": round(median(times), 3) for years, times in seconds.items()}
    say("".join(f"  {name:<4} {value:.2f} s\n" for name, value in found.items()))
    return {"incremental_seconds": found, "incremental_ratio": round(found["10x"] / found["1x"], 2)}


def _first_years(folder: Path, years: int, merchants: StandIn) -> Task:
    place = empty(folder / f"history-{years}")
    task = replace(task_of(merchants, place), entities=INCREMENTAL, filters=FILTERS)
    outcome = contend(MERCURIOS, task, place)
    rows = sum(rows[entity] for rows in merchants.rows.values() for entity in INCREMENTAL)
    _say_outcome(f"{years}x history", rows, outcome)
    _close_days(task)
    return task


def _close_days(task: Task) -> None:
    """Say that old days are closed, as a second complete read would, which takes as long as the first."""
    with DuckDBWarehouse.open(f"duckdb:///{task.database}") as warehouse:
        for tenant_id in task.tenants:
            cursor, fields = stored_cursor(warehouse, tenant_id, "sale")
            if cursor is None or fields is None:
                raise SystemExit(f"{tenant_id} has no cursor after its first load")
            closed = replace(cursor, closed_until=FIRST_DAY - timedelta(days=CLOSING_DAYS))
            warehouse.merge(CURSORS, tenant_id, cursor_row("sale", "second complete read", closed, fields))


def _next_day(task: Task, merchants: StandIn, day: date) -> float:
    lines = merchants.add_day(day)
    place = Path(task.database).parent
    outcome = contend(MERCURIOS, replace(task, as_of=_morning(day + timedelta(1))), place)
    parts = ", ".join(f"{entity} {seconds:.2f} s" for entity, seconds in outcome.spent.items())
    say(f"  {place.name:<12} {day}, {lines:,} new lines: {outcome.seconds:.2f} s ({parts})\n")
    return outcome.seconds


def report(results: Mapping[str, Any]) -> str:
    """The figures as a small table."""
    mercurios, dlt = results["mercurios"], results["dlt"]
    lines = [f"{'':<14}{'rows/s':>10}{'peak MB':>10}"]
    for name, found in (("Mercurios", mercurios), ("dlt", dlt)):
        lines.append(f"{name:<14}{found['rows_per_second']:>10,}{found['peak_mb']:>10,}")
    lines.append(f"{'ratio':<14}{results['ratio']:>10}")
    lines.append(
        f"Peak by sale lines: {', '.join(f'{int(n):,} {mb:,} MB' for n, mb in results['peak_mb_by_rows'].items())}"
    )
    lines.append(f"One new day on 10x history costs {results['incremental_ratio']} of what it costs on 1x")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description="Mercurios and dlt, from the same stand-in into DuckDB")
    parser.add_argument("--share", type=float, default=1.0, help="part of the sale lines; results are kept for 1 only")
    parser.add_argument("--repetitions", type=int, default=2, help="of the first load")
    parser.add_argument("--days", type=int, default=5, help="new days")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as name:
        folder = Path(name)
        results = first_load(folder, chosen.share, chosen.repetitions)
        results["peak_mb_by_rows"] = memory(folder, chosen.share)
        results |= one_new_day(folder, chosen.share, chosen.days)
    say(report(results))
    if chosen.share == 1:
        keep("ingest", results)


if __name__ == "__main__":
    main()
