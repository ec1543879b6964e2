"""Pipeline: the six verbs in order."""

from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import flow

from flows.export import export
from flows.index import index
from flows.ingest import ingest
from flows.quality import quality
from flows.query import query
from flows.retrain import retrain
from flows.transform import transform
from mercurios import wiring
from mercurios.jobs.export import ExportReport
from mercurios.jobs.index import IndexReport
from mercurios.jobs.ingest import IngestReport
from mercurios.jobs.query import QueryReport
from mercurios.jobs.retrain import RetrainReport
from mercurios.jobs.transform import TransformReport
from mercurios.quality import QualityReport


@dataclass(frozen=True)
class PipelineReport:
    """What the six verbs reported, and how sound the merchants' rows are."""

    ingest: list[IngestReport]
    quality: list[QualityReport]
    transform: TransformReport
    export: ExportReport
    retrain: list[RetrainReport]
    index: list[IndexReport]
    query: list[QueryReport]
    release: str


@flow(name="pipeline")
def pipeline(tenants: list[str] | None = None, as_of: datetime | None = None) -> PipelineReport:
    """Run everything for `tenants` (all when none are named) as of one moment; what came in is measured."""
    moment = as_of or datetime.now(UTC)
    return PipelineReport(
        ingest=ingest(tenants, moment),
        quality=quality(tenants, moment),
        transform=transform(),
        export=export(moment),
        retrain=retrain(tenants, moment, only_due=True),
        index=index(tenants, moment),
        query=query(tenants),
        release=wiring.open_lake().require_current().id,
    )
