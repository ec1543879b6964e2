"""Events on Prefect's own recording client, and the quality flow on a real server: what an automation would see."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect import flow
from prefect.events import Event
from prefect.events.clients import AssertingEventsClient
from prefect.events.worker import EventsWorker

from flows import artifacts, events
from mercurios.errors import SourceUnavailable
from mercurios.jobs.ingest.reports import BatchReport, IngestReport
from mercurios.quality import Breach, QualityReport, Severity
from mercurios.sources.drift import Drift
from mercurios.warehouse import Counts
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.till import fill

AS_OF = datetime(2025, 12, 31, 5, tzinfo=UTC)
BREACHES = (
    Breach("quality", "tenant", Severity.ERROR, "75.00% of the records are sound, 98.00% were promised.", 0.98, 0.75),
    Breach("freshness", "sale", Severity.ERROR, "There is no sale.", 26.0, None),
)
REPORT = QualityReport("north", AS_OF, 0.75, (), (), BREACHES)
TENANT = """
id: {id}
name: {id}
currency: {currency}
time_zone: Europe/Berlin
vat_rates: {{1: 0.19, 2: 0.07}}
source:
  auth_url: http://127.0.0.1:9
  api_key: env:NOWHERE_KEY
  api_secret: env:NOWHERE_SECRET
"""


@pytest.fixture
def recorded(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsWorker]:
    """A worker that keeps events instead of sending them."""
    AssertingEventsClient.reset()
    worker = EventsWorker.instance(AssertingEventsClient)
    monkeypatch.setattr(EventsWorker, "instance", lambda *_: worker)
    yield worker
    worker.drain()


def kept(worker: EventsWorker) -> list[Event]:
    worker.drain()
    return [event for client in AssertingEventsClient.all for event in client.events]


def test_every_breach_is_an_event_of_its_tenant(recorded: EventsWorker) -> None:
    events.breach(REPORT)
    events.breach(QualityReport("south", AS_OF, 1.0, (), (), ()))
    quality, freshness = kept(recorded)
    assert quality.event == freshness.event == "mercurios.quality.breached"
    assert quality.resource.id == "mercurios.tenant.north"
    assert quality.resource["prefect.resource.name"] == "north"
    assert [(each.id, each.role) for each in freshness.related] == [("mercurios.tenant.north.entity.sale", "entity")]
    assert quality.related == []
    assert quality.payload == {
        "kind": "quality",
        "subject": "tenant",
        "severity": "error",
        "sentence": "75.00% of the records are sound, 98.00% were promised.",
        "promised": 0.98,
        "found": 0.75,
        "score": 0.75,
        "as_of": "2025-12-31T05:00:00+00:00",
    }
    assert freshness.payload["found"] is None


def test_drift_is_named_after_its_change(recorded: EventsWorker) -> None:
    drifts = [
        Drift("sale", "loyaltyCode", "new", "info", "a field that the contract does not name"),
        Drift("article", "price", "retyped", "error", "number expected, text came in 9 of 10 records"),
        Drift("sale", "*", "filter_ignored", "warning", "records outside of what was asked for"),
    ]
    events.drift("north", drifts)
    told = kept(recorded)
    assert [event.event for event in told] == [f"mercurios.drift.{each.change}" for each in drifts]
    assert {event.resource.id for event in told} == {"mercurios.tenant.north"}
    assert [event.related[0].id.rpartition(".")[2] for event in told] == ["sale", "article", "sale"]
    assert told[1].payload == {"field": "price", "severity": "error", "detail": drifts[1].detail}


@pytest.mark.parametrize(
    ("error", "detail"),
    [(SourceUnavailable("no answer after 5 tries"), "no answer after 5 tries"), (ValueError("CANARY 4711"), "")],
)
def test_a_failure_tells_its_text_only_where_it_is_ours(recorded: EventsWorker, error: Exception, detail: str) -> None:
    events.failed("north", error)
    (event,) = kept(recorded)
    assert (event.event, event.related) == ("mercurios.ingest.failed", [])
    assert event.payload == {"error": type(error).__name__, "detail": detail}


def stored(name: str, count: int) -> list[Event]:
    """Events of a name as of AS_OF as the server keeps them; it stores them some seconds later."""
    from prefect.client.orchestration import get_client
    from prefect.events.filters import EventFilter, EventNameFilter

    found: list[Event] = []
    until = time.monotonic() + 90
    while len(found) < count and time.monotonic() < until:
        time.sleep(0.5)
        with get_client(sync_client=True) as client:
            kept = client.read_events(EventFilter(event=EventNameFilter(name=[name])), limit=50).events
        found = [event for event in kept if event.payload["as_of"] == AS_OF.isoformat()]
    return found


def test_batches_are_told_with_every_count_and_what_was_read(prefect_server: None) -> None:
    from prefect.client.orchestration import get_client

    counts = Counts(100, 90, 10, 1, 2, 83, 4, 5)
    read = {"entity": "sale", "window": "days 2026-01-03/..", "pages": 3, "is_resumed": False, "seconds": 1.5}
    made = [IngestReport(name, (BatchReport(**asdict(counts), **read),)) for name in ("north", "south")]
    flow(name="told")(artifacts.batches)(made)
    with get_client(sync_client=True) as client:
        told = [json.loads(str(each.data)) for each in client.read_artifacts() if each.key == "ingest-batches"]
    expected = {"entity": "sale", "window": "days 2026-01-03/..", **asdict(counts)}
    assert [{"tenant": name, **expected} for name in ("north", "south")] in told


def test_the_flow_leaves_an_artifact_and_the_server_keeps_its_breaches(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client

    from flows.quality import quality

    monkeypatch.setenv("MERCURIOS_HOME", str(tmp_path))
    (tmp_path / "tenants").mkdir()
    for tenant_id, currency in (("north", "EUR"), ("south", "USD")):
        (tmp_path / "tenants" / f"{tenant_id}.yaml").write_text(TENANT.format(id=tenant_id, currency=currency))
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/warehouse.duckdb") as warehouse:
        fill(warehouse)
    north, south = quality(as_of=AS_OF)
    assert (north.tenant_id, south.tenant_id) == ("north", "south")
    assert [(each.subject, each.severity) for each in north.breaches][-1:] == [("sale", Severity.WARNING)]
    with get_client(sync_client=True) as client:
        keys = {artifact.key for artifact in client.read_artifacts()}
    assert {"quality", "quality-expectations"} <= keys
    breaches = [*north.breaches, *south.breaches]
    told = stored("mercurios.quality.breached", len(breaches))
    assert sorted(event.payload["sentence"] for event in told) == sorted(each.sentence for each in breaches)
    assert {event.resource.id for event in told} == {"mercurios.tenant.north", "mercurios.tenant.south"}
    roles = {(related.role, related.id.partition(".")[2]) for event in told for related in event.related}
    assert {"flow-run", "task-run"} <= {role for role, _ in roles}
