"""Telling: what came of each entity, on the screen while a run goes on and below it when it has ended.

    tell_entity("north", "sale", batches, seconds=3.1)
    tell_end(report, source.contracts)

What a person has to look at afterwards stands last.
"""

from collections.abc import Mapping, Sequence

from mercurios.jobs.ingest.reports import BatchReport, IngestReport
from mercurios.progress import tell
from mercurios.sources.contracts import Contract
from mercurios.sources.drift import Drift

MOST_DRIFTS = 20


def tell_entity(tenant_id: str, entity: str, batches: Sequence[BatchReport], seconds: float) -> None:
    """What became of the records that were read."""
    if not batches:
        tell(f"{_what(tenant_id, entity)} nothing new")
        return
    loaded, unchanged, quarantined, deleted = (
        sum(getattr(batch, name) for batch in batches) for name in ("loaded", "unchanged", "quarantined", "deleted")
    )
    gone = f", {deleted:,} gone at the source" if deleted else ""
    known = f" ({unchanged:,} unchanged)"
    told = f"{loaded:>11,} loaded{known:<22} {quarantined:>7,} quarantined {seconds:6.1f} s{gone}"
    tell(f"{_what(tenant_id, entity)}{told}")


def tell_failure(tenant_id: str, entity: str, error: Exception) -> None:
    """Why an entity could not be read."""
    tell(f"{_what(tenant_id, entity)} FAILED: {error}")


def tell_end(report: IngestReport, contracts: Mapping[str, Contract]) -> None:
    """What was left out, what was noticed, and what to look at."""
    tenant_id = report.tenant_id
    if missed := [entity for entity in report.not_offered if not contracts[entity].is_optional]:
        tell(f"ingest {tenant_id}: not offered: {', '.join(missed)}")
    if report.stopped:
        tell(f"ingest {tenant_id}: stopped: {report.stopped}")
    for drift in report.drifts[:MOST_DRIFTS]:
        tell(f"ingest {tenant_id}: {_drift(drift)}")
    if (more := len(report.drifts) - MOST_DRIFTS) > 0:
        tell(f"ingest {tenant_id}: {more:,} more of this kind; all are in ops.drift")
    if report.quarantined:
        tell(f"{report.quarantined:,} quarantined: see `mercurios quarantine list --tenant {tenant_id}`")


def _drift(drift: Drift) -> str:
    where = drift.entity if drift.field == "*" else f"{drift.entity}.{drift.field}"
    return f"{drift.severity}: {where}: {drift.detail}"


def _what(tenant_id: str, entity: str) -> str:
    return f"{f'ingest {tenant_id} {entity}':<32}"
