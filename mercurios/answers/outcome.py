"""What may become of a question: a metric query, a refusal, a question back; and the answer that is shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from mercurios.metrics import Metric, MetricQuery, Time
from mercurios.retrieval import TenantIndex

Status = Literal["ANSWERED", "REFUSED", "AMBIGUOUS"]


@dataclass(frozen=True)
class Refusal:
    """A question that is not answered. reason: a key of `messages.yaml`; given: what its text names."""

    reason: str
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One way to read a question. kind: metric, a dimension, or breakdown; key as the query would have it."""

    kind: str
    key: str


@dataclass(frozen=True)
class Ambiguity:
    """A question with more than one reading, or one that is near but not sure: asked back, never guessed.

    about: the words in doubt.
    """

    about: str
    candidates: tuple[Candidate, ...]


Plan = MetricQuery | Refusal | Ambiguity


@dataclass(frozen=True)
class Coverage:
    """First and last day with sales, and the days of the first and the last stock snapshot if there are any.

    as_of: the day that figures of the newest state speak for, the last one with sales when None.
    """

    start: date
    end: date
    stock_start: date | None = None
    stock_end: date | None = None
    as_of: date | None = None

    @property
    def newest(self) -> date:
        """The day of the newest state."""
        return self.as_of or self.end


@dataclass(frozen=True)
class Context:
    """What a question is read against: one tenant's words, metrics and days.

    language: the one to assume when a question does not show its own. names: how the merchant calls itself.
    """

    index: TenantIndex
    catalog: tuple[Metric, ...]
    coverage: Coverage
    currency: str
    language: str = "en"
    names: tuple[str, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """The metric of that name, None when the catalog lacks it."""
        return next((metric for metric in self.catalog if metric.name == name), None)

    def times(self, names: Iterable[str]) -> frozenset[Time]:
        """What a period means to these metrics; unknown ones mean nothing."""
        return frozenset(metric.time for metric in self.catalog if metric.name in names)


@dataclass(frozen=True)
class Answer:
    """What the asker gets. Every number in the text of an answer comes from `rows`.

    query: the metric query as JSON-able values. sources: definitions, days and release the answer rests on.
    """

    status: Status
    text: str
    columns: tuple[str, ...] | None = None
    rows: tuple[tuple[object, ...], ...] | None = None
    query: Mapping[str, object] | None = None
    sources: tuple[str, ...] = ()
