"""What all answers of the sandbox share, as Tornado handlers: headers, error bodies, unknown paths, `GET /derived`."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import responses

from tornado import web

from mercurios.sandbox.faults import Status


def application(*routes: tuple[str, type[web.RequestHandler], dict[str, object]]) -> web.Application:
    """An application of (pattern, handler, arguments); all other paths are 404."""
    rules = [web.url(pattern, handler, arguments) for pattern, handler, arguments in routes]
    return web.Application(rules, default_handler_class=_Unknown, log_function=lambda _: None)


class Handler(web.RequestHandler):
    """Headers and error bodies that all answers share."""

    def set_default_headers(self) -> None:
        self.correlation_id = str(uuid.uuid4())
        self.set_header("Server", "Microsoft-IIS/10.0")
        self.set_header("X-Powered-By", "ASP.NET")
        self.set_header("X-Correlation-ID", self.correlation_id)
        self.set_header("Content-Type", "application/json; charset=utf-8")

    def compute_etag(self) -> None:
        """The real API sends none, and hashing a page would cost more than making it."""

    def write_error(self, status_code: int, **_: object) -> None:
        self.refuse(status_code, self._reason)

    def refuse(self, status: int, message: str) -> None:
        """Finish with the API's error body."""
        self.set_status(status)
        body = {"error": responses.get(status, "Error"), "message": message, "correlationId": self.correlation_id}
        self.finish(json.dumps(body))

    def refuse_as(self, status: Status) -> None:
        """Finish as ordered."""
        if status.retry_after_seconds is not None:
            then = datetime.now(UTC) + timedelta(seconds=status.retry_after_seconds)
            date = format_datetime(then, usegmt=True)
            self.set_header("Retry-After", date if status.as_date else str(status.retry_after_seconds))
        self.refuse(status.code, "ordered fault")

    def refuse_token(self) -> None:
        """Finish as for a token that is missing, foreign or expired."""
        self.set_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.refuse(401, "the access token is missing, invalid or has expired")

    def bearer(self) -> str:
        """The token of the Authorization header, empty without one."""
        scheme, _, value = self.request.headers.get("Authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""


class Derived(Handler):
    """`GET /derived`: what is made and not in the data, as text."""

    def initialize(self, text: str) -> None:
        self.text = text

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.text)


class _Unknown(Handler):
    def prepare(self) -> None:
        self.refuse(404, f"no resource at {self.request.path}")
