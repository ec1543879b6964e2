"""What a flow run leaves in the Prefect UI: tables of what happened, and a chart people would rather look at."""

import base64
from collections.abc import Sequence
from dataclasses import asdict

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from mercurios.jobs.export import ExportReport
from mercurios.jobs.ingest import IngestReport
from mercurios.jobs.propose import ProposalReport
from mercurios.jobs.query import QueryReport
from mercurios.jobs.retrain import RetrainReport
from mercurios.jobs.transform import TransformReport
from mercurios.lake import Expiry
from mercurios.quality import QualityReport
from mercurios.registry import ModelVersion

MOST_BREACHES = 1_000
_ACCOUNT = "Per batch: extracted = loaded + quarantined, loaded = inserted + updated + unchanged + duplicates"


def batches(reports: Sequence[IngestReport]) -> None:
    """One row per batch: what was read, and what became of its records."""
    rows = [
        {
            "tenant": report.tenant_id,
            "entity": batch.entity,
            "window": batch.window,
            "extracted": batch.extracted,
            "loaded": batch.loaded,
            "quarantined": batch.quarantined,
            "inserted": batch.inserted,
            "updated": batch.updated,
            "unchanged": batch.unchanged,
            "duplicates": batch.duplicates,
            "deleted": batch.deleted,
        }
        for report in reports
        for batch in report.batches
    ]
    create_table_artifact(rows, key="ingest-batches", description=_ACCOUNT)


def quality(reports: Sequence[QualityReport]) -> None:
    """One row per tenant and entity, and one per expectation that some row does not meet."""
    tables = [
        {
            "tenant": report.tenant_id,
            "entity": table.entity,
            "rows": table.rows,
            "quarantined": table.quarantined,
            "score": f"{table.score:.4f}",
            "age in hours": None if table.age_hours is None else round(table.age_hours, 1),
        }
        for report in reports
        for table in report.tables
    ]
    told = "; ".join(f"{report.tenant_id} {report.score:.4f}" for report in reports)
    create_table_artifact(tables, key="quality", description=f"Share of sound records: {told}")
    failures = [
        {
            "tenant": report.tenant_id,
            "entity": finding.entity,
            "severity": finding.severity.value,
            "expectation": finding.sentence,
            "failed": finding.failed,
            "checked": finding.checked,
        }
        for report in reports
        for finding in report.failed
    ]
    create_table_artifact(failures, key="quality-expectations", description="Expectations that some row does not meet")


def dbt_results(report: TransformReport) -> None:
    """One row per dbt node, and one per tenant and rule of the warehouse that its records break."""
    rows = [
        {"node": node.name, "kind": node.kind, "status": node.status, "seconds": round(node.seconds, 2)}
        for node in report.nodes
    ]
    create_table_artifact(rows, key="dbt-results", description="dbt build: models and data tests")
    broken = [
        {
            "tenant": breach.tenant_id,
            "severity": breach.severity,
            "rule": breach.rule,
            "entity": breach.entity,
            "breaches": breach.breaches,
            "checked": breach.checked,
            "example": breach.example,
        }
        for breach in report.breaches[:MOST_BREACHES]
    ]
    told = f"{len(broken)} of {len(report.breaches)} broken rules; every record: intermediate.int_rule_breaches"
    create_table_artifact(broken, key="data-quality", description=told)


def release(report: ExportReport) -> None:
    """One row per table of the release, and what had to be written for it."""
    create_table_artifact(
        [asdict(table) for table in report.tables], key="release", description=f"Release {report.release.id}"
    )


def expiry(report: Expiry, models: Sequence[ModelVersion]) -> None:
    """One row per release that was taken out."""
    told = f"{report.kept} releases kept; {report.files} files of {report.bytes / 1e6:.1f} MB removed"
    told += f"; {len(models)} versions of models removed"
    create_table_artifact([{"release": name} for name in report.releases], key="expiry", description=told)


def scores(reports: Sequence[RetrainReport]) -> None:
    """Champions beside their baselines, and a forecast chart per tenant."""
    rows = [row for report in reports for row in report.score_rows()]
    create_table_artifact(rows, key="backtest-scores", description="Backtest: champion and baseline")
    for report in reports:
        if not report.forecast_png:  # no level had history enough; the scores say so
            continue
        image = base64.b64encode(report.forecast_png).decode()
        create_image_artifact(
            f"data:image/png;base64,{image}",
            key=f"forecast-{report.tenant_id.replace('_', '-')}",
            description=f"Forecast of {report.tenant_id} with 80 and 95 % intervals",
        )


def forecast_card(tenant_id: str, text: str) -> None:
    """The model card of one merchant."""
    create_markdown_artifact(text, key=f"forecast-card-{tenant_id.replace('_', '-')}", description="Model card")


def proposals(reports: Sequence[ProposalReport]) -> None:
    """The orders that are worth most, one row per item; below them what was ordered and what was left out."""
    rows = [row for report in reports for row in report.top()]
    told = "; ".join(report.told for report in reports)
    create_table_artifact(rows, key="reorder-proposals", description=f"Order proposals, most margin first. {told}")


def answers(reports: Sequence[QueryReport]) -> None:
    """Question, status and answer."""
    rows = [
        {
            "tenant": report.tenant_id,
            "question": asked.question,
            "status": asked.answer.status,
            "answer": asked.answer.text,
        }
        for report in reports
        for asked in report.answers
    ]
    create_table_artifact(rows, key="answers", description="The standard questions and their answers")
