"""Export: the marts go to the lake as one release."""

from datetime import UTC, datetime

from prefect import flow

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.export import ExportReport
from mercurios.jobs.export import export as export_job


@flow(name="export")
def export(as_of: datetime | None = None) -> ExportReport:
    """Publish every mart and the metric definitions they were built with; answer ahead what is asked most."""
    with wiring.open_warehouse() as warehouse:
        report = export_job(
            warehouse, wiring.open_lake(), as_of=as_of or datetime.now(UTC), files=wiring.metric_definitions()
        )
    artifacts.release(report)
    wiring.warm_answers()
    return report
