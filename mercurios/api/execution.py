"""One GraphQL request from its body to its reply, without any HTTP.

    graphql = GraphQL(backend, telemetry)
    graphql.answer(body, identity, request_id="4f2a…").body

`answer` blocks; the server calls it on a worker thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from graphql import ExecutionResult, execute_sync
from structlog.contextvars import bound_contextvars

from mercurios.api.access import Identity
from mercurios.api.access.limits import QueryBudget
from mercurios.api.access.roles import permit
from mercurios.api.armour import USUAL, Armour
from mercurios.api.backend import Backend
from mercurios.api.costs import charge_at_most, cost_of
from mercurios.api.documents import Documents, InvalidDocument, Prepared
from mercurios.api.faults import Presented, present, refusal
from mercurios.api.persisted import KnownDocuments
from mercurios.api.resolvers import Asker, load_schema
from mercurios.api.telemetry import Telemetry
from mercurios.errors import BadRequest, DocumentNotAllowed, Forbidden, MercuriosError, RateLimited
from mercurios.lake import Release


@dataclass(frozen=True)
class Reply:
    """What goes back: HTTP status, JSON, and for counters and audit log what was asked and how it ended.

    code: of the first error. source: the document as it came. read: the release that was read, if one was. cost: points
    it cost; a kept answer costs none. retry_seconds: when to come back.
    """

    status: int
    body: bytes
    operation: str
    outcome: str
    code: str | None = None
    source: str = ""
    read: Release | None = None
    cost: int = 0
    retry_seconds: int | None = None

    @property
    def release(self) -> str | None:
        """Id of the release that was read."""
        return self.read.id if self.read else None


@dataclass(frozen=True)
class Call:
    """The parts of a GraphQL request's body."""

    source: str
    variables: Mapping[str, Any]
    operation_name: str | None

    @classmethod
    def parse(cls, body: bytes, known: KnownDocuments) -> "Call":
        """Read a JSON object with `query` or `documentId`, `variables` and `operationName`; raises BadRequest.

        Several requests in one array are refused: over one connection they are as fast one by one.
        """
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest("the body is no JSON; expected an object with `query`, and `variables` if any") from error
        if not isinstance(content, dict) or not isinstance(content.get("query", content.get("documentId")), str):
            raise BadRequest("expected one JSON object with the document as a string in `query`, or its `documentId`")
        if "query" in content and "documentId" in content:
            raise BadRequest("expected `query` or `documentId`, got both")
        variables, name = content.get("variables"), content.get("operationName")
        if not isinstance(variables, dict | None) or not isinstance(name, str | None):
            raise BadRequest("expected an object in `variables` and a string in `operationName`, or null")
        source = content["query"] if "query" in content else known.source(content["documentId"])
        known.permit(source)
        return cls(source, variables or {}, name or None)


@dataclass(frozen=True)
class Request:
    """A request that can be executed: its document passed every check."""

    call: Call
    prepared: Prepared


class GraphQL:
    """The schema with its documents, ready to answer from many threads."""

    def __init__(self, backend: Backend, telemetry: Telemetry, armour: Armour = USUAL) -> None:
        self._backend = backend
        self._armour = armour
        self._telemetry = telemetry
        self._schema = load_schema()
        self._documents = Documents(self._schema, introspection=armour.introspection, on_look=telemetry.count_document)
        self._known = KnownDocuments.read(armour.allow_list)
        self._budget = QueryBudget(armour.tenant_points)

    def answer(self, body: bytes, identity: Identity, *, request_id: str) -> Reply:
        """Answer one request; every error is in the reply."""
        request = self.read(body, request_id=request_id)
        return request if isinstance(request, Reply) else self.execute(request, identity, request_id=request_id)

    def read(self, body: bytes, *, request_id: str) -> Request | Reply:
        """Parse and check one request; what cannot be executed is answered."""
        try:
            call = Call.parse(body, self._known)
        except DocumentNotAllowed as error:
            return _refused(403, error, "forbidden")
        except BadRequest as error:
            return _refused(400, error, "malformed")
        try:
            return Request(call, self._documents.prepare(call.source))
        except InvalidDocument as error:
            wrong = [present(one, request_id=request_id) for one in error.errors]
            return replace(_reply(None, wrong, "none"), source=call.source)
        except BadRequest as error:
            return replace(_refused(200, error, "error"), source=call.source)

    def execute(self, request: Request, identity: Identity, *, request_id: str) -> Reply:
        """Execute one request, if the role may; every error is in the reply."""
        with bound_contextvars(request_id=request_id):  # every line that is logged meanwhile names the request
            return replace(self._execute(request, identity, request_id), source=request.call.source)

    def _execute(self, request: Request, identity: Identity, request_id: str) -> Reply:
        call, prepared = request.call, request.prepared
        try:
            permit(identity, prepared.needs)
        except Forbidden as error:
            return replace(_refused(403, error, "forbidden"), operation=prepared.operation)
        try:
            cost = self._charge(request, identity)
        except BadRequest as error:
            return replace(_refused(200, error, "error"), operation=prepared.operation)
        except RateLimited as error:
            limited = _refused(429, error, "limited")
            return replace(limited, operation=prepared.operation, retry_seconds=error.seconds)
        asker = Asker(identity, self._backend)
        result = execute_sync(
            self._schema,
            prepared.document,
            context_value=asker,
            variable_values=dict(call.variables),
            operation_name=call.operation_name,
        )
        errors = [present(error, request_id=request_id) for error in result.errors or ()]
        return replace(_reply(result, errors, prepared.operation), read=asker.release_read, cost=cost)

    def _charge(self, request: Request, identity: Identity) -> int:
        """What the request costs, once it is paid for; raises BadRequest or RateLimited above what may be spent."""
        call = request.call
        cost = cost_of(self._schema, request.prepared.document, call.operation_name, call.variables)
        charge_at_most(cost, self._armour.request_points)
        self._budget.spend(identity.tenant, cost)
        self._telemetry.count_cost(cost)
        return cost


def _refused(status: int, error: MercuriosError, outcome: str) -> Reply:
    shown = refusal(error)
    return Reply(status, orjson.dumps({"errors": [shown]}), "none", outcome, shown["extensions"]["code"])


def _reply(result: ExecutionResult | None, errors: list[Presented], operation: str) -> Reply:
    content: dict[str, Any] = {"errors": [error.body for error in errors]} if errors else {}
    if result is not None:
        content["data"] = result.data
    codes = [error.body["extensions"]["code"] for error in errors]
    if not errors:
        outcome = "ok"
    elif any(error.is_fault for error in errors):
        outcome = "fault"
    else:
        outcome = "forbidden" if "FORBIDDEN" in codes else "error"
    return Reply(200, orjson.dumps(content), operation, outcome, codes[0] if codes else None)
