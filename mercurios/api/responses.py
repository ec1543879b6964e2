"""Answers that were given before, for whoever asks the same: of the same tenant, in the same role, of the same release.

    responses = Responses(cache, access.secret)
    question = question_of(request)                        # None where every asker has to be told anew
    responses.keep(question, identity, reply)
    responses.peek(question, identity, release)            # the reply, if this process holds it

Documents are compared as they parse, variables as JSON with sorted names. Only whole answers without an error are kept.
Keys are keyed hashes, so the store does not tell who asked what, and a value carries a mark of its key: one that was
put elsewhere, or was not written by us, is as good as not there.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    Visitor,
    get_operation_ast,
    print_ast,
    visit,
)

from mercurios.api.access import Identity
from mercurios.api.access.roles import Need
from mercurios.api.execution import Reply, Request
from mercurios.cache import Cache
from mercurios.lake import Release

_HOUR = 3_600.0
_MARK_BYTES = 16
_LONGEST_BODY = 16_384
_BODIES = 1_000


@dataclass(frozen=True)
class Kind:
    """How long answers of a field are kept; is_named: what is asked holds names of the merchant's things at most."""

    seconds: float
    is_named: bool = True


KINDS: Mapping[str, Kind] = {
    "tenant": Kind(_HOUR),
    "metricCatalog": Kind(24 * _HOUR),
    "metrics": Kind(_HOUR),
    "forecast": Kind(6 * _HOUR),
    "forecastBacktest": Kind(24 * _HOUR),
    "reorderProposals": Kind(_HOUR),
    "supplierDelay": Kind(_HOUR),
    "promotionScenario": Kind(_HOUR),
    **dict.fromkeys(("sales", "branches", "categories", "articles", "suppliers", "stock", "segments"), Kind(_HOUR)),
    "dataQuality": Kind(_HOUR),
    "ask": Kind(_HOUR / 6, is_named=False),
}
"""By root field. A field that is not here (what is said of a single customer, what changes within a release) is always
asked anew."""
CHANGING = frozenset({"decision"})
"""Fields below those that change within a release: a document that asks for one is always asked anew."""


@dataclass(frozen=True)
class Question:
    """What is asked, whoever asks.

    body: the request, normalised. source: the document as it came. is_named: see Kind; of all its fields.
    """

    body: bytes
    digest: str
    operation: str
    needs: tuple[Need, ...]
    source: str
    seconds: float
    is_named: bool


def question_of(request: Request) -> Question | None:
    """What a request asks; None when it changes something, or a field of it is always asked anew."""
    call, document = request.call, request.prepared.document
    operation = get_operation_ast(document, call.operation_name)
    if operation is None or operation.operation is not OperationType.QUERY:
        return None
    if CHANGING & set(_names(document)):
        return None
    kinds = [KINDS.get(name) for name in _root_fields(document, operation.selection_set) if name != "__typename"]
    known = [kind for kind in kinds if kind is not None]
    if not known or len(known) < len(kinds):
        return None
    asked = {"query": print_ast(document), "variables": call.variables, "operationName": call.operation_name}
    try:
        body = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # it writes less deeply nested variables than it reads
        return None
    return Question(
        body,
        hashlib.sha256(body).hexdigest(),
        request.prepared.operation,
        request.prepared.needs,
        call.source,
        min(kind.seconds for kind in known),
        all(kind.is_named for kind in known),
    )


def _names(document: DocumentNode) -> list[str]:
    """Every field that is named anywhere in the document."""
    found: list[str] = []

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            found.append(node.name.value)

    visit(document, Fields())
    return found


def _root_fields(document: DocumentNode, selections: SelectionSetNode) -> Iterator[str]:
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, FragmentSpreadNode):
            yield from _root_fields(document, fragments[node.name.value].selection_set)
        elif isinstance(node, InlineFragmentNode):
            yield from _root_fields(document, node.selection_set)


class Responses:
    """Kept answers, and what recent bodies asked; `recall` and `remember` are called from the event loop alone."""

    def __init__(self, cache: Cache, secret: str) -> None:
        self._cache = cache
        self._secret = hmac.digest(secret.encode(), b"mercurios responses", "sha256")
        self._edition = hashlib.sha256(files("mercurios.api").joinpath("schema.graphql").read_bytes()).hexdigest()
        self._bodies: OrderedDict[bytes, Question] = OrderedDict()

    def recall(self, body: bytes) -> Question | None:
        """What this very body asked before, without parsing it."""
        question = self._bodies.get(body)
        if question is not None:
            self._bodies.move_to_end(body)
        return question

    def remember(self, body: bytes, question: Question) -> None:
        """Know the body again; the most recently asked ones are."""
        if len(body) <= _LONGEST_BODY:
            self._bodies[body] = question
            if len(self._bodies) > _BODIES:
                self._bodies.popitem(last=False)

    def peek(self, question: Question, identity: Identity, release: Release) -> Reply | None:
        """The kept reply if this process holds it; never waits."""
        key = self._key(question, identity, release)
        return self._reply(question, identity, release, key, self._cache.peek(key))

    def find(self, question: Question, identity: Identity, release: Release) -> Reply | None:
        """The kept reply; may wait for the store."""
        key = self._key(question, identity, release)
        return self._reply(question, identity, release, key, self._cache.get(key))

    def keep(self, question: Question, identity: Identity, reply: Reply) -> None:
        """Keep a whole answer of a release; anything else is not kept."""
        if reply.status == 200 and reply.outcome == "ok" and reply.read is not None:
            key = self._key(question, identity, reply.read)
            self._cache.set(key, self._mark(key, reply.body) + reply.body, ttl_seconds=question.seconds)

    def _key(self, question: Question, identity: Identity, release: Release) -> str:
        parts = (self._edition, identity.tenant, identity.role, release.id, release.at.isoformat(), question.digest)
        return f"mercurios/2/{hmac.digest(self._secret, orjson.dumps(parts), 'sha256').hex()}"

    def _mark(self, key: str, body: bytes) -> bytes:
        return hmac.digest(self._secret, key.encode() + body, "sha256")[:_MARK_BYTES]

    def _reply(
        self, question: Question, identity: Identity, release: Release, key: str, kept: bytes | None
    ) -> Reply | None:
        if kept is None or not all(identity.may(need.role) for need in question.needs):
            return None
        mark, body = kept[:_MARK_BYTES], kept[_MARK_BYTES:]
        if not hmac.compare_digest(mark, self._mark(key, body)):
            return None
        return Reply(200, body, question.operation, "ok", source=question.source, read=release)
