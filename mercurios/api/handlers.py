"""HTTP: who may ask, how large a request may be, and what headers an answer carries."""

import time
import uuid
from asyncio import Future
from typing import Any

import orjson
import structlog
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler, stream_request_body

from mercurios.api.faults import internal, log_fault, refusal
from mercurios.api.service import Service
from mercurios.api.telemetry import CONTENT_TYPE
from mercurios.api.tokens import Identity
from mercurios.errors import BadRequest, MercuriosError, Unauthenticated

_LOG = structlog.get_logger(__name__)
MAX_BODY_BYTES = 1_000_000
DRAINED_BYTES = 16_000_000
"""Bodies up to this size are read to the end, unkept, so that the refusal arrives; larger ones lose the connection."""
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

    SUPPORTED_METHODS = ("GET", "POST")
    service: Service

    def initialize(self, service: Service) -> None:
        """Bind what answers; Tornado calls it first."""
        self.service = service
        self.request_id = uuid.uuid4().hex

    def set_default_headers(self) -> None:
        """Also runs before `initialize` and after an error wiped the headers."""
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Answer an error that Tornado met: a wrong path or method, or a fault of ours."""
        if status_code >= 500:
            body = internal(self.request_id)
        else:
            place = f"{self.request.method} {self.request.path[:100]}"
            expected = "POST /graphql, GET /healthz or GET /metrics"
            code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(status_code, "BAD_REQUEST")
            body = {"message": f"{place}: expected {expected}", "extensions": {"code": code}}
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
        self.operation, self.outcome = "none", "fault"

    def prepare(self) -> None:
        """Judge the headers. A refusal is kept until the body has passed, or the client might never read it."""
        self.set_header("X-Request-Id", self.request_id)
        try:
            self.identity = self.service.identify(_bearer(self.request))
        except Unauthenticated as error:
            self.refused = (401, error)

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
            self.set_header("Retry-After", "1")
            self._refuse(503, BadRequest("too many requests are waiting; try again in a second"))
            return
        reply = await self.service.answer(b"".join(self.chunks), self.identity, request_id=self.request_id)
        self.operation, self.outcome = reply.operation, reply.outcome
        self.set_status(reply.status)
        self.finish(reply.body)

    def _refuse(self, status: int, error: MercuriosError) -> None:
        if status == 401:
            failed = ', error="invalid_token"' if "Authorization" in self.request.headers else ""
            self.set_header("WWW-Authenticate", f'Bearer realm="mercurios"{failed}')
        self.set_status(status)
        self.finish(orjson.dumps({"errors": [refusal(error)]}))

    def write_error(self, status_code: int, **details: Any) -> None:
        """Say that the connection ends: Tornado closes it when an answer comes before the body has been read."""
        self.set_header("Connection", "close")
        super().write_error(status_code, **details)

    def finish(self, chunk: str | bytes | dict[Any, Any] | None = None) -> Future[None]:
        """Count and log the request, however it ended, then answer it."""
        self._record()
        return super().finish(chunk)

    def _record(self) -> None:
        seconds = time.perf_counter() - self.started
        status = self.get_status()
        if 400 <= status < 500:
            self.outcome = "refused" if status == 401 else "malformed"
        elif status == 503:
            self.outcome = "busy"
        self.service.telemetry.count(self.operation, self.outcome, seconds=seconds)
        _LOG.info(
            "api.request",
            request_id=self.request_id,
            tenant=self.identity.tenant if self.identity else None,
            operation=self.operation,
            outcome=self.outcome,
            milliseconds=round(seconds * 1000, 1),
        )


def _bearer(request: HTTPServerRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("expected a header `Authorization: Bearer TOKEN`; `mercurios token` prints one")
    return token.strip()
