"""Errors on their way out: what the asker can mend is said, everything else is named by an id and logged.

    present(error, request_id="4f2a…").body

The id is the request's, so that a log line can be found from what a person saw.
"""

import re
import traceback
from dataclasses import dataclass
from typing import Any

import structlog
from graphql import GraphQLError

from mercurios.errors import (
    AccessError,
    BadRequest,
    JournalError,
    MercuriosError,
    MetricError,
    NoChampion,
    NoRelease,
    RetrievalError,
    Timeout,
)

_LONGEST = 500
_LOG = structlog.get_logger(__name__)
SHOWN = (AccessError, BadRequest, JournalError, MetricError, NoChampion, NoRelease, RetrievalError, Timeout)
"""Whose messages an asker may read: they speak of the question, never of the machine or of somebody else's data."""


@dataclass(frozen=True)
class Presented:
    """An error as GraphQL's response format has it; `is_fault` when it is ours and not the asker's."""

    body: dict[str, Any]
    is_fault: bool


def present(error: GraphQLError, *, request_id: str) -> Presented:
    """Shape one error of an execution; what is not the asker's to mend is masked and logged."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return Presented(_body(error, error.message, "INVALID_DOCUMENT"), is_fault=False)
    if isinstance(cause, SHOWN):
        return Presented(_body(error, str(cause), code(cause)), is_fault=False)
    log_fault(cause, request_id=request_id)
    message = f"internal error; if it stays, report the id {request_id}"
    return Presented(_body(error, message, "INTERNAL_ERROR") | {"extensions": _internal(request_id)}, is_fault=True)


def refusal(error: MercuriosError) -> dict[str, Any]:
    """An error that has no place in a document, in the same shape."""
    return {"message": _cut(str(error)), "extensions": {"code": code(error)}}


def internal(request_id: str) -> dict[str, Any]:
    """The masked form of an error outside of any document."""
    return {"message": f"internal error; if it stays, report the id {request_id}", "extensions": _internal(request_id)}


def code(error: MercuriosError) -> str:
    """The error's class as a code: UnknownMetric is UNKNOWN_METRIC."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).upper()


def log_fault(cause: BaseException, *, request_id: str) -> None:
    """Log where it happened. Only our own messages are written: a driver's may quote rows, questions or secrets."""
    frames = traceback.extract_tb(cause.__traceback__)[-6:]
    _LOG.error(
        "api.fault",
        request_id=request_id,
        error=type(cause).__name__,
        reason=str(cause) if isinstance(cause, MercuriosError) else None,
        where=[f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    )


def _cut(message: str) -> str:
    """A message may repeat what was asked, and that may be long."""
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def _internal(request_id: str) -> dict[str, str]:
    return {"code": "INTERNAL_ERROR", "requestId": request_id}


def _body(error: GraphQLError, message: str, error_code: str) -> dict[str, Any]:
    return {**error.formatted, "message": _cut(message), "extensions": {"code": error_code}}
