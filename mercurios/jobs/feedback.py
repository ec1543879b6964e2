"""Feedback: what people told the API goes into the warehouse, where recommenders and reports can learn from it.

    report = carry_feedback("north", journals.of("north"), warehouse)
    report.ratings, report.events, report.decisions

Carried twice is there once: rows are added by the note's own key. The pseudonym of who told it stays behind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import structlog

from mercurios.journal import Journal, Note
from mercurios.warehouse import MOMENT, TableSpec, Warehouse, table_spec, utc

PART = 5_000
RATINGS = table_spec(
    "ops.feedback",
    "rating_id",
    {
        "rating_id": pa.string(),
        "rated_at": MOMENT,
        "release": pa.string(),
        "status": pa.string(),
        "metrics": pa.string(),
        "question": pa.string(),
        "is_helpful": pa.bool_(),
        "comment": pa.string(),
        "rater": pa.string(),
        "role": pa.string(),
    },
)
"""One row a rating of an answer. metrics: names, separated by blanks. question: a keyed hash. rater: a keyed hash of
who rated and what: of two rows with the same one the later counts."""
EVENTS = table_spec(
    "ops.recommendation_events",
    "event_id",
    {
        "event_id": pa.string(),
        "happened_at": MOMENT,
        "event": pa.string(),
        "customer_number": pa.int64(),
        "article_number": pa.int64(),
        "role": pa.string(),
    },
)
"""One row an event (shown, clicked, bought) of a recommendation; event_id is what its sender called it."""
DECISIONS = table_spec(
    "ops.decisions",
    "decision_id",
    {
        "decision_id": pa.string(),
        "decided_at": MOMENT,
        "item": pa.string(),
        "cutoff": pa.date32(),
        "proposed_units": pa.float64(),
        "verdict": pa.string(),
        "units": pa.float64(),
        "role": pa.string(),
    },
)
"""One row a decision (accept, reject, change) about an order proposal: item, cutoff and units proposed name it; of two
rows about one proposal the later counts. units: to be ordered by the decision."""


@dataclass(frozen=True)
class FeedbackReport:
    """How many notes of a tenant were carried, by kind."""

    tenant_id: str
    ratings: int
    events: int
    decisions: int


def carry_feedback(tenant_id: str, journal: Journal, warehouse: Warehouse) -> FeedbackReport:
    """Add everything that waits in the tenant's journal to the warehouse, oldest first, a part at a time."""
    warehouse.ensure(*(table for table, _ in _KINDS.values()))
    counts = dict.fromkeys(_KINDS, 0)
    while notes := journal.pending(PART):
        for kind, (table, row) in _KINDS.items():
            told = [note for note in notes if note.kind == kind]
            counts[kind] += warehouse.add(table, tenant_id, _rows(table, told, row)) if told else 0
        journal.carried(notes[-1].number)
    report = FeedbackReport(tenant_id, counts["rating"], counts["event"], counts["decision"])
    structlog.get_logger(__name__).info(
        "feedback", tenant=tenant_id, ratings=report.ratings, events=report.events, decisions=report.decisions
    )
    return report


def _rows(table: TableSpec, notes: Sequence[Note], row: Callable[[Note], Mapping[str, Any]]) -> pa.Table:
    own = table.own_columns
    # The key leads the columns and the moment follows it in every one of the tables.
    named = [{own.names[0]: note.key, own.names[1]: utc(note.at), "role": note.role, **row(note)} for note in notes]
    return pa.Table.from_pylist(named, schema=own)


def _rating(note: Note) -> Mapping[str, Any]:
    told = note.body
    return {
        **{name: told[name] for name in ("release", "status", "question", "comment")},
        "metrics": " ".join(told["metrics"]),
        "is_helpful": told["isHelpful"],
        "rater": note.about,
    }


def _event(note: Note) -> Mapping[str, Any]:
    told = note.body
    return {"event": told["event"], "customer_number": told["customer"], "article_number": told["article"]}


def _decision(note: Note) -> Mapping[str, Any]:
    told = note.body
    return {
        **{name: told[name] for name in ("item", "verdict")},
        "cutoff": date.fromisoformat(told["cutoff"]),
        "proposed_units": told["proposed"],
        "units": told["quantity"],
    }


_KINDS: Mapping[str, tuple[TableSpec, Callable[[Note], Mapping[str, Any]]]] = {
    "rating": (RATINGS, _rating),
    "event": (EVENTS, _event),
    "decision": (DECISIONS, _decision),
}
