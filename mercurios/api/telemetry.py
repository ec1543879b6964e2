"""Counters and timings of one API, in the Prometheus text format.

    telemetry = Telemetry(sessions_open=lambda: len(sessions))
    telemetry.count("metrics", "ok", seconds=0.004)
    telemetry.render()

No label holds a tenant, a name or anything else a client chooses, so the page can be read without a token and the
number of series is bounded.
"""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """What is counted: requests by operation and outcome, their seconds, both caches, open sessions.

    operation: the one root field of the document, `several`, `introspection`, or `none` when it could not be read.
    outcome: ok; error (the asker's); fault (ours); refused (no valid credential); forbidden (not for that role);
    limited (too often); malformed; busy.
    """

    def __init__(self, *, sessions_open: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mercurios_api_requests", "Requests answered.", ["operation", "outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "mercurios_api_seconds", "Seconds to answer.", ["operation"], buckets=_BUCKETS, registry=self._registry
        )
        self._cache = Counter("mercurios_api_cache", "Looks into the result cache", ["result"], registry=self._registry)
        self._documents = Counter(
            "mercurios_api_documents", "Looks into the document cache", ["result"], registry=self._registry
        )
        sessions = Gauge("mercurios_api_sessions_open", "Serving sessions in memory.", registry=self._registry)
        sessions.set_function(sessions_open)

    def count(self, operation: str, outcome: str, *, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)

    def count_cache(self, result: str) -> None:
        """The result cache was asked: `hit` or `miss`."""
        self._cache.labels(result).inc()

    def count_document(self, result: str) -> None:
        """The document cache was asked: `hit` or `miss`."""
        self._documents.labels(result).inc()

    def render(self) -> bytes:
        """Everything, as the text that Prometheus scrapes."""
        return generate_latest(self._registry)
