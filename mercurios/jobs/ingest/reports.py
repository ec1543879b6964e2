"""What an ingest run reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mercurios.sources.drift import Drift
from mercurios.warehouse import Counts


@dataclass(frozen=True, kw_only=True)
class BatchReport(Counts):
    """One batch and what became of its records.

    window: what was read, e.g. `everything`, `days 2026-01-03/..` or `changes since 2026-01-01T10:00:00`.
    is_resumed: whether its first pages were read by an earlier run. seconds: what this run spent on it.
    """

    entity: str
    window: str
    pages: int
    is_resumed: bool
    seconds: float


@dataclass(frozen=True)
class IngestReport:
    """One tenant's run.

    not_offered: why an entity could not be read, by entity. stopped: why the run ended before all was read; the next
    one goes on from there.
    """

    tenant_id: str
    batches: tuple[BatchReport, ...]
    drifts: tuple[Drift, ...] = ()
    not_offered: Mapping[str, str] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def rows(self) -> int:
        """Rows loaded over all batches."""
        return sum(batch.loaded for batch in self.batches)

    @property
    def quarantined(self) -> int:
        """Records quarantined over all batches."""
        return sum(batch.quarantined for batch in self.batches)
