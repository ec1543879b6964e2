"""Events: what operators' automations in Prefect react to. A tenant is the resource, its entity a related one.

    breach(report)          mercurios.quality.breached
    drift("north", drifts)  mercurios.drift.new, .vanished, .retyped ...
    failed("north", error)  mercurios.ingest.failed
    forecast_drift(report)  mercurios.forecast.drift: one for every alarm, its level as the entity
    connection(report)      mercurios.fivetran.synced, .stale, .failed: the connection is the resource

Names of fields, counts and sentences of ours travel; no record does.
"""

from collections.abc import Mapping, Sequence

from prefect.events import emit_event

from mercurios.errors import IngestIncomplete, MercuriosError
from mercurios.jobs.drift import DriftReport
from mercurios.jobs.fivetran import ConnectionReport
from mercurios.jobs.ingest import IngestReport
from mercurios.quality import TENANT, QualityReport
from mercurios.sources.drift import Drift

PREFIX = "mercurios"


def breach(report: QualityReport) -> None:
    """One event for every promise that a tenant's data does not keep."""
    for each in report.breaches:
        payload = {
            "kind": each.kind,
            "subject": each.subject,
            "severity": each.severity.value,
            "sentence": each.sentence,
            "promised": each.promised,
            "found": each.found,
            "score": report.score,
            "as_of": report.as_of.isoformat(),
        }
        _emit("quality.breached", report.tenant_id, None if each.subject == TENANT else each.subject, payload)


def drift(tenant_id: str, drifts: Sequence[Drift]) -> None:
    """One event for every way in which an entity differs from its contract or from the batch before."""
    for each in drifts:
        payload = {"field": each.field, "severity": each.severity, "detail": each.detail}
        _emit(f"drift.{each.change}", tenant_id, each.entity, payload)


def failed(tenant_id: str, error: BaseException) -> None:
    """A merchant could not be read, or not all of it: then what was noticed of the rest is told as well.

    Only errors that are ours tell their text: others may quote anything.
    """
    if isinstance(error, IngestIncomplete) and isinstance(error.report, IngestReport):
        drift(tenant_id, error.report.drifts)
    detail = str(error) if isinstance(error, MercuriosError) else ""
    _emit("ingest.failed", tenant_id, None, {"error": type(error).__name__, "detail": detail})


def forecast_drift(report: DriftReport) -> None:
    """One event for every alarm about a tenant's forecasts, and whether its level is due because of it."""
    for alarm in report.alarms:
        payload = {
            "kind": alarm.kind,
            "key": alarm.unique_id,
            "until": alarm.until.isoformat(),
            "score": round(alarm.score, 2),
            "limit": round(alarm.limit, 2),
            "told": alarm.told,
            "due": report.due.get(alarm.level, ""),
        }
        _emit("forecast.drift", report.tenant_id, f"forecast.{alarm.level}", payload)


def connection(report: ConnectionReport) -> None:
    """How a Fivetran connection is doing."""
    told = ("reasons", "setup_state", "sync_state", "age_hours", "tasks", "warnings", "rows")
    emit_event(
        event=f"{PREFIX}.fivetran.{report.condition.value}",
        resource={
            "prefect.resource.id": f"{PREFIX}.fivetran.{report.connection_id}",
            "prefect.resource.name": report.schema or report.connection_id,
        },
        payload={name: getattr(report, name) for name in told},
    )


def _emit(event: str, tenant_id: str, entity: str | None, payload: Mapping[str, object]) -> None:
    tenant = f"{PREFIX}.tenant.{tenant_id}"
    related = {"prefect.resource.id": f"{tenant}.entity.{entity}", "prefect.resource.role": "entity"}
    emit_event(
        event=f"{PREFIX}.{event}",
        resource={"prefect.resource.id": tenant, "prefect.resource.name": tenant_id},
        related=[related] if entity else [],
        payload=dict(payload),
    )
