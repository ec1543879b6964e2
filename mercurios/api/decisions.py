"""What buyers decide about order proposals: to order as proposed, otherwise, or not at all.

A decision is about one proposal: item, cutoff and quantity. When another night proposes another quantity the question
is a new one. The newest decision counts; every one is kept.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.orders import Page, proposal
from mercurios.errors import BadRequest
from mercurios.journal import Note, Told

MAX_UNITS = 1_000_000_000
_PROPOSAL = "proposal"
_DECISION = "decision"

Row = Mapping[str, Any]


def decide(asker: Asker, proposal_id: str, verdict: str, quantity: float | None) -> Row:
    """Keep a decision; the proposal with it. Raises BadRequest when it is proposed no more, or for a wrong quantity."""
    item, cutoff, proposed = asker.backend.seals.open(asker.identity.tenant, _PROPOSAL, proposal_id)
    row = proposal(asker.session, item)
    if row is None or _named(row) != [item, cutoff, proposed]:
        raise BadRequest(f"item {item} is not proposed like that any more; look at reorderProposals again, then decide")
    body = {
        "item": item,
        "cutoff": cutoff,
        "proposed": proposed,
        "verdict": verdict.lower(),
        "quantity": _quantity(verdict, proposed, quantity),
    }
    asker.journal.add(Told(_DECISION, _about(row), body, **asker.author))
    return row


def decisions(asker: Asker, rows: Iterable[Row]) -> Mapping[str, Note]:
    """The decisions about proposals, by item."""
    about = {_about(row): str(row["item"]) for row in rows}
    return {about[name]: note for name, note in asker.journal.newest(_DECISION, about).items()}


def _quantity(verdict: str, proposed: float, given: float | None) -> float:
    """Units to order."""
    if verdict != "CHANGE":
        if given is not None:
            raise BadRequest(f"{verdict} takes no quantity; leave it out, or say CHANGE")
        return proposed if verdict == "ACCEPT" else 0.0
    if given is None or not math.isfinite(given) or not 0 < given <= MAX_UNITS:
        raise BadRequest(f"quantity {given}: expected units above 0 up to {MAX_UNITS:,}; to order none say REJECT")
    return given


def _named(row: Row) -> list[object]:
    return [row["item"], row["cutoff"].isoformat(), row["orderQuantity"]]


def _about(row: Row) -> str:
    return "@".join(map(str, _named(row)))


def _id(row: Row, info: GraphQLResolveInfo) -> str:
    asker: Asker = info.context
    return asker.backend.seals.seal(asker.identity.tenant, _PROPOSAL, _named(row))


def _proposals_of_page(page: Page, info: GraphQLResolveInfo) -> list[Row]:
    """The rows, each with a way to its decision; whichever is asked for first looks for all of the page."""
    return _with_decisions(info.context, page.proposals)


def _with_decisions(asker: Asker, rows: Iterable[Row]) -> list[Row]:
    shown = list(rows)

    @cache
    def found() -> Mapping[str, Note]:
        return decisions(asker, shown)

    def of(item: str) -> Callable[[GraphQLResolveInfo], Row | None]:
        return lambda _: _decision(found().get(item))

    return [{**row, "decision": of(str(row["item"]))} for row in shown]


def _decision(note: Note | None) -> Row | None:
    if note is None:
        return None
    return {"verdict": note.body["verdict"].upper(), "quantity": note.body["quantity"], "at": note.at}


def _decide_proposal(
    _: object, info: GraphQLResolveInfo, *, proposal: str, verdict: str, quantity: float | None = None
) -> Row:
    row = decide(info.context, proposal, verdict, quantity)
    return _with_decisions(info.context, [row])[0]


RESOLVERS: Resolvers = {
    "Mutation.decideProposal": _decide_proposal,
    "ReorderProposals.proposals": _proposals_of_page,
    "ReorderProposal.id": _id,
}
