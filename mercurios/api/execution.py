"""One GraphQL request from its body to its reply, without any HTTP.

    graphql = GraphQL(backend, telemetry)
    graphql.answer(body, identity, request_id="4f2a…").body

`answer` blocks; the server calls it on a worker thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import ExecutionResult, execute_sync

from mercurios.api.backend import Backend
from mercurios.api.documents import Documents, InvalidDocument
from mercurios.api.faults import present, refusal
from mercurios.api.resolvers import Asker, load_schema
from mercurios.api.telemetry import Telemetry
from mercurios.api.tokens import Identity
from mercurios.errors import BadRequest


@dataclass(frozen=True)
class Reply:
    """What goes back: HTTP status, JSON, and for the counters what was asked and how it ended."""

    status: int
    body: bytes
    operation: str
    outcome: str


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
            return Reply(400, orjson.dumps({"errors": [refusal(error)]}), "none", "malformed")
        try:
            prepared = self._documents.prepare(call.source)
        except InvalidDocument as error:
            shown = [present(wrong, request_id=request_id).body for wrong in error.errors]
            return Reply(200, orjson.dumps({"errors": shown}), "none", "error")
        except BadRequest as error:
            return Reply(200, orjson.dumps({"errors": [refusal(error)]}), "none", "error")
        result = execute_sync(
            self._schema,
            prepared.document,
            context_value=Asker(identity, self._backend, self._telemetry.count_cache),
            variable_values=dict(call.variables),
            operation_name=call.operation_name,
        )
        return _reply(result, prepared.operation, request_id)


def _reply(result: ExecutionResult, operation: str, request_id: str) -> Reply:
    if not result.errors:
        return Reply(200, orjson.dumps({"data": result.data}), operation, "ok")
    presented = [present(error, request_id=request_id) for error in result.errors]
    outcome = "fault" if any(error.is_fault for error in presented) else "error"
    return Reply(200, orjson.dumps({"errors": [e.body for e in presented], "data": result.data}), operation, outcome)
