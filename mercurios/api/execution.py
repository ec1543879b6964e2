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

from mercurios.api.access import Identity
from mercurios.api.access.roles import permit
from mercurios.api.backend import Backend
from mercurios.api.documents import Documents, InvalidDocument
from mercurios.api.faults import Presented, present, refusal
from mercurios.api.resolvers import Asker, load_schema
from mercurios.api.telemetry import Telemetry
from mercurios.errors import BadRequest, Forbidden, MercuriosError


@dataclass(frozen=True)
class Reply:
    """What goes back: HTTP status, JSON, and for counters and audit log what was asked and how it ended.

    code: of the first error. source: the document as it came. release: the id of the one that was read, if one was.
    """

    status: int
    body: bytes
    operation: str
    outcome: str
    code: str | None = None
    source: str = ""
    release: str | None = None


@dataclass(frozen=True)
class Call:
    """The parts of a GraphQL request's body."""

    source: str
    variables: Mapping[str, Any]
    operation_name: str | None

    @classmethod
    def parse(cls, body: bytes) -> "Call":
        """Read a JSON object with `query`, `variables` and `operationName`; raises BadRequest."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest("the body is no JSON; expected an object with `query`, and `variables` if any") from error
        if not isinstance(content, dict) or not isinstance(content.get("query"), str):
            raise BadRequest("expected one JSON object with the document as a string in `query`")
        variables, name = content.get("variables"), content.get("operationName")
        if not isinstance(variables, dict | None) or not isinstance(name, str | None):
            raise BadRequest("expected an object in `variables` and a string in `operationName`, or null")
        return cls(content["query"], variables or {}, name or None)


class GraphQL:
    """The schema with its documents, ready to answer from many threads."""

    def __init__(self, backend: Backend, telemetry: Telemetry) -> None:
        self._backend = backend
        self._telemetry = telemetry
        self._schema = load_schema()
        self._documents = Documents(self._schema, on_look=telemetry.count_document)

    def answer(self, body: bytes, identity: Identity, *, request_id: str) -> Reply:
        """Answer one request; every error is in the reply."""
        try:
            call = Call.parse(body)
        except BadRequest as error:
            return _refused(400, error, "malformed")
        return replace(self._answer(call, identity, request_id), source=call.source)

    def _answer(self, call: Call, identity: Identity, request_id: str) -> Reply:
        try:
            prepared = self._documents.prepare(call.source)
        except InvalidDocument as error:
            return _reply(None, [present(wrong, request_id=request_id) for wrong in error.errors], "none")
        except BadRequest as error:
            return _refused(200, error, "error")
        try:
            permit(identity, prepared.needs)
        except Forbidden as error:
            return replace(_refused(403, error, "forbidden"), operation=prepared.operation)
        asker = Asker(identity, self._backend, self._telemetry.count_cache)
        result = execute_sync(
            self._schema,
            prepared.document,
            context_value=asker,
            variable_values=dict(call.variables),
            operation_name=call.operation_name,
        )
        errors = [present(error, request_id=request_id) for error in result.errors or ()]
        return replace(_reply(result, errors, prepared.operation), release=asker.release_read)


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
