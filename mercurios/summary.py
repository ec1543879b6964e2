"""The summary of a pipeline run: for people, and the same as plain data.

summary = summarise(report, console.stations)
print_summary(summary, console)
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mercurios.console import Console, Station

if TYPE_CHECKING:
    from flows.pipeline import PipelineReport
    from mercurios.jobs.retrain import RetrainReport
    from mercurios.jobs.transform import Breach

MOST_BREACHES = 20
_NEXT = (
    ('mercurios query --tenant {tenant} "Welche fünf Warengruppen hatten den meisten Umsatz?"', "ask"),
    ("mercurios status", "what is there; --json for programs"),
    ("make up", "Prefect, MLflow and the API on loopback, until Ctrl-C"),
    ("make notebook", "the reports in JupyterLab"),
)


def summarise(report: "PipelineReport", stations: Mapping[str, Station]) -> dict[str, Any]:
    """Rows, seconds and memory per station, scores beside their baselines, questions with their answers."""
    rows = _rows(report)
    return {
        "release": report.release,
        "stations": {
            name: {"rows": rows.get(name), "seconds": round(one.seconds, 1), "peak_mb": round(one.peak_bytes / 1e6)}
            for name, one in stations.items()
        },
        "seconds": round(sum(one.seconds for one in stations.values()), 1),
        "peak_mb": round(max(one.peak_bytes for one in stations.values()) / 1e6),
        "warnings": [f"{one.name}: {one.message}" for one in report.transform.warnings],
        "broken_rules": breach_lines(report.transform.breaches),
        "scores": [row for one in report.retrain for row in one.score_rows()],
        "left_out": left_out_lines(report.retrain),
        "answers": [
            {
                "tenant": one.tenant_id,
                "question": asked.question,
                "status": asked.answer.status,
                "answer": asked.answer.text,
                "rows": asked.answer.rows,
            }
            for one in report.query
            for asked in one.answers
        ],
    }


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Show the summary."""
    say = console.say
    say(f"\nRelease {summary['release']}: {summary['seconds']:.0f} s, at most {summary['peak_mb']:,} MB of memory\n")
    say(f"  {'station':<12}{'rows':>12}{'seconds':>10}{'memory':>12}")
    for name, one in summary["stations"].items():
        rows = f"{one['rows']:,}" if one["rows"] is not None else ""
        say(f"  {name:<12}{rows:>12}{one['seconds']:>10.1f}{one['peak_mb']:>9,} MB")
    for warning in summary["warnings"]:
        say(f"\n  dbt warns: {warning}")
    for line in summary["broken_rules"]:
        say(f"  {line}")
    say(f"\n  {'trained':<36}{'champion':<20}{'score':>16}    baseline")
    for row in summary["scores"]:
        what = f"{row['tenant']} {row['what']}"
        say(f"  {what:<36}{row['champion']:<20}{row['metric']:>9} {row['value']:.4f}    {row['baseline']}")
    for line in summary["left_out"]:
        say(f"  left out: {line}")
    tenant = ""
    for one in summary["answers"]:
        if one["tenant"] != tenant:
            tenant = one["tenant"]
            say(f"\n  asked of {tenant}")
        say(f"  ? {one['question']}")
        for line in one["answer"].splitlines():
            say(f"    {line}")
    say("\nWhat to do next (commands are in .venv/bin):")
    for command, what in _NEXT:
        say(f"  {command.format(tenant=tenant):<88} {what}")


def left_out_lines(reports: Sequence["RetrainReport"]) -> list[str]:
    """What retraining did without, a line each, and why."""
    return [
        *(f"{one.tenant_id} {what}: {why}" for one in reports for what, why in one.skipped.items()),
        *(f"{one.tenant_id} adding daily forecasts up: {one.alone}" for one in reports if one.alone),
        *(
            f"{one.tenant_id} forecast {level.level}: {len(level.dormant)} sold nothing lately and get no forecast"
            for one in reports
            for level in one.forecast
            if level.dormant
        ),
    ]


def breach_lines(breaches: Sequence["Breach"]) -> list[str]:
    """What is wrong in the merchants' books, gravest first and no more than a screen holds.

    A line a rule tells what should be, what is done instead and what mends it; below it a line a merchant.
    """
    told: dict[str, list[str]] = {}
    for one in breaches[:MOST_BREACHES]:
        heading = f"{one.severity:<8}{one.rule}: {one.statement}. Otherwise: {one.fallback}. To do: {one.remedy}"
        found = f"{one.breaches:,} of {one.checked:,} ({one.entity}), e.g. {one.example}"
        told.setdefault(heading, []).append(f"{'':8}{one.tenant_id}: {found}")
    lines = [line for heading, found in told.items() for line in (heading, *found)]
    more = len(breaches) - MOST_BREACHES
    return [*lines, f"and {more:,} more; all are in marts.mart_data_quality"] if more > 0 else lines


def _rows(report: "PipelineReport") -> dict[str, int]:
    return {
        "ingest": sum(one.rows for one in report.ingest),
        "transform": sum(report.transform.rows.values()),
        "export": sum(report.export.rows.values()),
        "retrain": sum(table.num_rows for one in report.retrain for table in one.tables.values()),
        "index": sum(one.entries for one in report.index),
        "query": sum(len(one.answers) for one in report.query),
    }
