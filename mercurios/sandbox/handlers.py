"""What the sandbox answers: the login port and the API of one merchant, as Tornado applications."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import responses

from tornado import web

from mercurios.sandbox.faults import FaultDesk
from mercurios.sandbox.merchant import Merchant
from mercurios.sandbox.pages import Listing
from mercurios.sandbox.shapes import SHAPES
from mercurios.sandbox.tokens import Grant, TokenDesk


@dataclass(frozen=True)
class Rules:
    """What is not known of the real API, or is too slow for tests, as switches. Lifetimes in seconds, sizes in rows."""

    token_seconds: float = 1800
    refresh_seconds: float = 86_400
    page_size: int = 100
    max_page_size: int = 1000


def auth_application(
    merchants: Sequence[Merchant], server_urls: Mapping[str, str], desk: TokenDesk, rules: Rules
) -> web.Application:
    """The login port: `POST /api/v4/token`, `POST /api/v4/token/refresh`, and `GET /derived` as text."""
    derived = "\n".join(f"{merchant.name}\n\n{merchant.profile.derived}" for merchant in merchants)
    shared = {"desk": desk, "server_urls": server_urls, "rules": rules}
    return _application(
        (r"/api/v4/token", _Login, shared),
        (r"/api/v4/token/refresh", _Refresh, shared),
        (r"/derived", _Derived, {"text": derived}),
    )


def api_application(merchant: Merchant, desk: TokenDesk, rules: Rules) -> web.Application:
    """The API of one merchant: `GET /api/v2/<entity>`, `GET /api/v2/<entity>/<id>`, and `GET /derived` as text."""
    listings = {
        entity: Listing(SHAPES[entity], frame, salt=merchant.name) for entity, frame in merchant.entities.items()
    }
    api = Api(merchant.name, listings, desk, FaultDesk(merchant.faults), rules)
    return _application(
        (r"/api/v2/([^/]+)/?", _Pages, {"api": api}),
        (r"/api/v2/([^/]+)/([^/]+)", _Record, {"api": api}),
        (r"/derived", _Derived, {"text": merchant.profile.derived}),
    )


@dataclass(frozen=True)
class Api:
    """One merchant's API: what it lists, who may ask, what goes wrong."""

    merchant: str
    listings: Mapping[str, Listing]
    desk: TokenDesk
    faults: FaultDesk
    rules: Rules


def _application(*routes: tuple[str, type[web.RequestHandler], dict[str, object]]) -> web.Application:
    rules = [web.url(pattern, handler, arguments) for pattern, handler, arguments in routes]
    return web.Application(rules, default_handler_class=_Unknown, log_function=lambda _: None)


class _Handler(web.RequestHandler):
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

    def bearer(self) -> str:
        """The token of the Authorization header, empty without one."""
        scheme, _, value = self.request.headers.get("Authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""

    def refuse_token(self) -> None:
        """Finish as for a token that is missing, foreign or expired."""
        self.set_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.refuse(401, "the access token is missing, invalid or has expired")


class _Unknown(_Handler):
    def prepare(self) -> None:
        self.refuse(404, f"no resource at {self.request.path}")


class _Derived(_Handler):
    def initialize(self, text: str) -> None:
        self.text = text

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.text)


class _Tokens(_Handler):
    def initialize(self, desk: TokenDesk, server_urls: Mapping[str, str], rules: Rules) -> None:
        self.desk, self.server_urls, self.rules = desk, server_urls, rules

    def answer(self, grant: Grant) -> None:
        """Finish with the pair of tokens and the merchant's host."""
        seconds = {"token": self.rules.token_seconds, "refreshToken": self.rules.refresh_seconds}
        values = {"token": grant.access, "refreshToken": grant.refresh}
        tokens = {
            kind: {"value": values[kind], "name": kind, "expiresIn": int(lifetime)}
            for kind, lifetime in seconds.items()
        }
        self.finish(json.dumps({"token": tokens, "serverUrl": self.server_urls[grant.merchant], "requiredActions": []}))


class _Login(_Tokens):
    def post(self) -> None:
        credentials = self._credentials()
        if credentials is None:
            return self.refuse(400, "expected a JSON object with apiKey and secret, both texts")
        grant = self.desk.login(*credentials)
        return self.answer(grant) if grant else self.refuse(401, "apiKey or secret is wrong")

    def _credentials(self) -> tuple[str, str] | None:
        try:
            body = json.loads(self.request.body)
        except ValueError:
            return None
        pair = (body.get("apiKey"), body.get("secret")) if isinstance(body, dict) else (None, None)
        return pair if all(isinstance(part, str) for part in pair) else None  # type: ignore[return-value]


class _Refresh(_Tokens):
    def post(self) -> None:
        grant = self.desk.renew(self.bearer())
        return self.answer(grant) if grant else self.refuse_token()


class _ApiHandler(_Handler):
    def initialize(self, api: Api) -> None:
        self.api = api

    def prepare(self) -> None:
        if self.api.desk.merchant(self.bearer()) != self.api.merchant:
            self.refuse_token()

    def entity(self, name: str) -> str | None:
        """The entity's name in lower case, None (and 404 answered) when the API has none of that name."""
        entity = name.lower()
        if entity not in SHAPES:
            self.refuse(404, f"no resource at {self.request.path}")
            return None
        self.set_header("api-supported-versions", SHAPES[entity].versions)
        return entity


class _Pages(_ApiHandler):
    def get(self, name: str) -> None:
        entity = self.entity(name)
        if entity is None:
            return
        page, size = self._number("page", 1), self._number("pagesize", self.api.rules.page_size)
        if page is None or size is None:
            return self.refuse(400, "page and pagesize are whole numbers from 1")
        ordered = self.api.faults.status(entity, page)
        if ordered is not None:
            self.set_header("Retry-After", str(self.api.faults.faults.retry_after_seconds))
            return self.refuse(ordered, "ordered fault")
        self._answer(entity, page, min(size, self.api.rules.max_page_size))

    def _answer(self, entity: str, page: int, size: int) -> None:
        listing = self.api.listings.get(entity)
        rows = listing.rows if listing else 0
        body = listing.page(page, size) if listing else b"[]"
        self.set_header("X-Page", str(page))
        self.set_header("X-Pagesize", str(size))
        self.set_header("X-More-Pages-Available", str(page * size < rows))
        self.finish(self.api.faults.damaged(entity, page, body, first_row=(page - 1) * size, rows=rows))

    def _number(self, name: str, default: int) -> int | None:
        text = self.get_query_argument(name, str(default))
        return int(text) if re.fullmatch(r"0*[1-9][0-9]{0,8}", text) else None


class _Record(_ApiHandler):
    def get(self, name: str, record_id: str) -> None:
        entity = self.entity(name)
        if entity is None:
            return
        listing = self.api.listings.get(entity)
        record = listing.record(record_id) if listing else None
        if record is None:
            return self.refuse(404, f"no {entity} with id {record_id}")
        self.finish(record)
