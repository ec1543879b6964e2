"""HTTP: who may ask, how large a request may be, and what headers an answer carries."""

import asyncio
import re
import time
import uuid
from asyncio import Future
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from tornado.web import HTTPError, RequestHandler, stream_request_body

from mercurios.api.access import Identity
from mercurios.api.execution import Reply
from mercurios.api.faults import code, internal, log_fault, refusal
from mercurios.api.page import POLICY, asset
from mercurios.api.service import Service
from mercurios.api.telemetry import CONTENT_TYPE
from mercurios.errors import (
    AccessError,
    AccessUnavailable,
    BadRequest,
    Forbidden,
    MercuriosError,
    RateLimited,
    Unauthenticated,
)

_LOG = structlog.get_logger(__name__)
MAX_BODY_BYTES = 1_000_000
DRAINED_BYTES = 16_000_000
"""Bodies up to this size are read to the end, unkept, so that the refusal arrives; larger ones lose the connection."""
_STATUS: Mapping[type[AccessError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    RateLimited: 429,
    AccessUnavailable: 503,
}
_OUTCOME = {401: "refused", 403: "forbidden", 429: "limited", 503: "busy"}
_JSON = "application/json"
_IS_JSON = re.compile(r'application/json\s*(;\s*charset="?utf-?8"?\s*)?', re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
"""Of a caller that names its requests itself; anything else gets a name of ours."""
_HEADERS = {
    "Content-Type": "application/json; charset=UTF-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Handler(RequestHandler):
    """What every answer has in common: headers that give nothing away, and errors as JSON."""

    SUPPORTED_METHODS = ("GET", "POST", "OPTIONS")
    service: Service

    def initialize(self, service: Service) -> None:
        """Bind what answers; Tornado calls it first."""
        self.service = service
        told = self.request.headers.get("X-Request-Id", "")
        self.request_id = told if _REQUEST_ID.fullmatch(told) else uuid.uuid4().hex

    def set_default_headers(self) -> None:
        """Also runs before `initialize` and after an error wiped the headers."""
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        if self.request.protocol == "https":
            self.set_header("Strict-Transport-Security", "max-age=31536000")

    def write_error(self, status_code: int, **details: Any) -> None:
        """Answer an error that Tornado met: a wrong path or method, or a fault of ours."""
        if status_code >= 500:
            body = internal(self.request_id)
        else:
            place = f"{self.request.method} {self.request.path[:100]}"
            expected = "POST /graphql, GET /healthz or GET /metrics"
            body = {"message": f"{place}: expected {expected}", "extensions": {"code": _code(status_code)}}
        if status_code == 405:
            self.set_header("Allow", ", ".join(m for m in self.SUPPORTED_METHODS if m.lower() in type(self).__dict__))
        self.finish(orjson.dumps({"errors": [body]}))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log faults without their messages; a client's mistake is counted and not logged."""
        if value is not None and not isinstance(value, HTTPError):
            log_fault(value, request_id=self.request_id)


class Unknown(Handler):
    """Every other path."""

    def prepare(self) -> None:
        """Refuse, whatever the method."""
        raise HTTPError(404)


class Health(Handler):
    """`GET /healthz`: the process answers."""

    def get(self) -> None:
        """Say so; asks no store, so that a slow lake does not get the process restarted."""
        self.finish(b'{"status":"ok"}')


class Metrics(Handler):
    """`GET /metrics`: counters for Prometheus."""

    def get(self) -> None:
        """Write all counters; they hold nothing of any tenant."""
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.service.telemetry.render())


class PageFile(Handler):
    """`GET /` and `GET /assets/…`: the page, for whoever comes; what it shows it asks with the asker's credential."""

    async def get(self, name: str = "index.html") -> None:
        """Send one file; the browser asks again whether it changed."""
        found = await asyncio.get_running_loop().run_in_executor(None, asset, name)
        if found is None:
            raise HTTPError(404)
        self.set_header("Content-Type", found.kind)
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Etag", found.tag)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        self.finish(found.body)

    def compute_etag(self) -> str | None:
        """That of the file: it is set already."""
        return None


@stream_request_body
class GraphQLHandler(Handler):
    """`POST /graphql`: the token and the size are judged before the body is kept."""

    def initialize(self, service: Service) -> None:
        """Begin a request."""
        super().initialize(service)
        self.started = time.perf_counter()
        self.identity: Identity | None = None
        self.refused: tuple[int, MercuriosError] | None = None
        self.chunks: list[bytes] = []
        self.size = 0
        self.reply: Reply | None = None

    async def prepare(self) -> None:
        """Judge the headers. A refusal is kept until the body has passed, or the client might never read it."""
        self.set_header("X-Request-Id", self.request_id)
        self._allow_origin()
        if self.request.method == "OPTIONS":
            return
        try:
            self.identity = await self.service.identify(self.request.headers.get_list("Authorization"))
            self.service.access.limits.admit(self.identity)
        except AccessError as error:
            self.refused = (_STATUS[type(error)], error)
            return
        kind = self.request.headers.get("Content-Type", _JSON)
        if not _IS_JSON.fullmatch(kind):
            self.refused = (415, BadRequest(f"Content-Type {kind[:80]!r}: expected {_JSON}, in UTF-8"))

    def _allow_origin(self) -> None:
        """Let a page elsewhere read the answer if its origin is listed; none is unless it was set."""
        if not self.service.armour.origins:
            return
        self.set_header("Vary", "Origin")
        origin = self.request.headers.get("Origin", "")
        if origin in self.service.armour.origins:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", "X-Request-Id, X-Query-Cost, Retry-After")

    def options(self) -> None:
        """Answer a browser that asks on behalf of a page elsewhere whether it may."""
        if "Access-Control-Allow-Origin" not in self._headers:
            raise HTTPError(405)
        self.set_header("Access-Control-Allow-Methods", "POST")
        self.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)
        self.finish()

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body unless the request is refused already."""
        self.size += len(chunk)
        if self.size > MAX_BODY_BYTES and self.refused is None:
            message = f"the body is larger than {MAX_BODY_BYTES:,} bytes; send fewer values, or several requests"
            self.refused = (413, BadRequest(message))
        if self.refused is None:
            self.chunks.append(chunk)
        else:
            self.chunks.clear()

    async def post(self) -> None:
        """Answer on a worker thread."""
        if self.refused is not None or self.identity is None:
            self._refuse(*(self.refused or (401, Unauthenticated("no token"))))
            return
        if not self.service.has_room():
            self._refuse(503, BadRequest("too many requests are waiting; try again in a second"))
            return
        self.reply = await self.service.answer(b"".join(self.chunks), self.identity, request_id=self.request_id)
        self.set_status(self.reply.status)
        self.set_header("X-Query-Cost", str(self.reply.cost))
        if self.reply.retry_seconds is not None:
            self.set_header("Retry-After", str(self.reply.retry_seconds))
        self.finish(self.reply.body)

    def _refuse(self, status: int, error: MercuriosError) -> None:
        self.refused = (status, error)
        if status == 401:
            failed = ', error="invalid_token"' if "Authorization" in self.request.headers else ""
            self.set_header("WWW-Authenticate", f'Bearer realm="mercurios"{failed}')
        if status in (429, 503):
            self.set_header("Retry-After", str(getattr(error, "seconds", 1)))
        self.set_status(status)
        self.finish(orjson.dumps({"errors": [refusal(error)]}))

    def write_error(self, status_code: int, **details: Any) -> None:
        """Say that the connection ends: Tornado closes it when an answer comes before the body has been read."""
        self.set_header("Connection", "close")
        super().write_error(status_code, **details)

    def finish(self, chunk: str | bytes | dict[Any, Any] | None = None) -> Future[None]:
        """Write down and count the request, however it ended, then answer it; what is not written is not answered."""
        try:
            self._audit()
        except AccessUnavailable as error:
            _LOG.error("api.audit_unwritable", request_id=self.request_id, error=type(error.__cause__).__name__)
            self.refused, self.reply = (503, error), None
            self.set_status(503)
            chunk = orjson.dumps({"errors": [refusal(error)]})
        self._record()
        return super().finish(chunk)

    @property
    def _outcome(self) -> str:
        if self.reply is not None:
            return self.reply.outcome
        status = self.get_status()
        return _OUTCOME.get(status, "malformed" if 400 <= status < 500 else "fault")

    def _audit(self) -> None:
        who, reply, error = self.identity, self.reply, self.refused[1] if self.refused else None
        source = reply.source if reply else ""
        self.service.access.audit.write(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            request_id=self.request_id,
            tenant=who.tenant if who else None,
            role=who.role if who else None,
            subject=who.subject if who else None,
            how=who.how if who else None,
            operation=reply.operation if reply else "none",
            document=self.service.access.pseudonyms.of(source) if source else None,
            release=reply.release if reply else None,
            status=self.get_status(),
            outcome=self._outcome,
            code=reply.code if reply else code(error) if error else _code(self.get_status()),
            reason=getattr(error, "reason", None),
            milliseconds=self._milliseconds(),
        )

    def _record(self) -> None:
        operation = self.reply.operation if self.reply else "none"
        self.service.telemetry.count(operation, self._outcome, seconds=time.perf_counter() - self.started)
        _LOG.info(
            "api.request",
            request_id=self.request_id,
            tenant=self.identity.tenant if self.identity else None,
            operation=operation,
            outcome=self._outcome,
            milliseconds=self._milliseconds(),
        )

    def _milliseconds(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 1)


def _code(status: int) -> str:
    known = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 500: "INTERNAL_ERROR"}
    return known.get(status, "BAD_REQUEST")
