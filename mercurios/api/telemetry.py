"""Counters and timings of one API, in the Prometheus text format.

    telemetry = Telemetry(sessions)
    telemetry.count("metrics", "ok", seconds=0.004)
    telemetry.render()

No label holds a tenant, a name or anything else a client chooses, so the page can be read without a token and the
number of series is bounded. Where several processes serve, they count in files of one folder, and each tells the sums.
"""

from pathlib import Path
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Open(Protocol):
    """What is told of the serving sessions."""

    def __len__(self) -> int:
        """How many are open."""

    @property
    def size_bytes(self) -> int:
        """Memory of all of them."""


class Telemetry:
    """What is counted: requests by operation and outcome, their seconds, both caches, open sessions.

    operation: the one root field of the document, `several`, `introspection`, or `none` when it could not be read.
    outcome: ok; error (the asker's); fault (ours); refused (no valid credential); forbidden (not for that role);
    limited (too often); malformed; busy.
    shared: folder where the processes of one service count; None where there is one process.
    """

    def __init__(self, sessions: Open, *, shared: Path | None = None) -> None:
        self._sessions = sessions
        own = CollectorRegistry()
        self._requests = Counter("mercurios_api_requests", "Requests answered.", ["operation", "outcome"], registry=own)
        self._seconds = Histogram(
            "mercurios_api_seconds", "Seconds to answer.", ["operation"], buckets=_BUCKETS, registry=own
        )
        self._points = Counter("mercurios_api_cost_points", "Points of answers that were worked out.", registry=own)
        self._cache = Counter("mercurios_api_cache", "Looks for a kept answer.", ["result"], registry=own)
        self._documents = Counter("mercurios_api_documents", "Looks into the document cache", ["result"], registry=own)
        self._open = Gauge(
            "mercurios_api_sessions_open", "Serving sessions in memory.", registry=own, multiprocess_mode="livesum"
        )
        self._bytes = Gauge(
            "mercurios_api_sessions_bytes", "Memory of serving sessions.", registry=own, multiprocess_mode="livesum"
        )
        self._registry = own
        if shared is not None:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry, str(shared))  # type: ignore[no-untyped-call]

    def count(self, operation: str, outcome: str, *, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)
        self._look()

    def count_cache(self, result: str) -> None:
        """An answer was looked for: `hit`, `joined` (of somebody who asked the same just before) or `miss`."""
        self._cache.labels(result).inc()

    def count_cost(self, points: int) -> None:
        """An answer is worked out, for so many points."""
        self._points.inc(points)

    def count_document(self, result: str) -> None:
        """The document cache was asked: `hit` or `miss`."""
        self._documents.labels(result).inc()

    def render(self) -> bytes:
        """Everything, as the text that Prometheus scrapes."""
        self._look()
        return generate_latest(self._registry)

    def _look(self) -> None:
        """Look at the sessions; processes cannot be asked by each other, so it is done for every request."""
        self._open.set(len(self._sessions))
        self._bytes.set(self._sessions.size_bytes)


def forget_process(pid: int, shared: Path) -> None:
    """A process has ended: what it had open is not told any more, what it had counted is."""
    mark_process_dead(pid, str(shared))  # type: ignore[no-untyped-call]
