"""Answers that the sandbox does not give: a scripted ProHandel behind httpx's mock transport.

double = Double({"sale": [b'[{"id": "1"}]', b"[]"]})
ProHandel(tenant, transport=double.transport)
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from mercurios.secrets import SecretRef
from mercurios.sources.retrying import Patience
from mercurios.tenancy import ProHandelSource, Tenant

KEY, SECRET = "key-of-north", "secret-of-north-0123456789"
Answer = Callable[[httpx.Request], httpx.Response]


def tenant(folder: Path, name: str = "north", *, auth_url: str = "https://auth.test", page_size: int = 2) -> Tenant:
    """A tenant whose key and secret lie in `folder`."""
    (folder / f"{name}.key").write_text(KEY)
    (folder / f"{name}.secret").write_text(SECRET)
    source = ProHandelSource(
        auth_url, SecretRef("file", f"{name}.key", folder), SecretRef("file", f"{name}.secret", folder), page_size
    )
    return Tenant(name, name.title(), "EUR", "Europe/Berlin", "de", {1: 0.19, 2: 0.07}, source)


class Waits:
    """A clock that only sleeping and hands move."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.time = 1000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def patience(self, **more: float) -> Patience:
        return Patience(sleep=self.sleep, clock=lambda: self.time, **more)  # type: ignore[arg-type]


class Double:
    """Pages by entity, as bytes; what is scripted in `first` is answered before anything else, one a request."""

    def __init__(self, pages: Mapping[str, Sequence[bytes]], *, first: Sequence[Answer | None] = ()) -> None:
        self.pages = pages
        self.script = list(first)
        self.headers: Callable[[int, int], dict[str, str]] = _headers
        self.logins = self.refreshes = 0
        self.may_refresh = True
        self.tokens: dict[str, object] = {}
        self.asked: list[str] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/token"):
            return self._log_in(request)
        if request.url.path.endswith("/token/refresh"):
            return self._refresh(request)
        if self.script and (scripted := self.script.pop(0)):
            return scripted(request)
        if request.headers["Authorization"] != f"Bearer access-{self.logins}-{self.refreshes}":
            return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        pages = self.pages[request.url.path.removeprefix("/api/v2/")]
        number = int(request.url.params["page"])
        return httpx.Response(200, content=pages[number - 1], headers=self.headers(number, len(pages)))

    def expire(self) -> None:
        """Forget the access token that was given out."""
        self.refreshes += 1

    def _log_in(self, request: httpx.Request) -> httpx.Response:
        if json.loads(request.content) != {"apiKey": KEY, "secret": SECRET}:
            return httpx.Response(401, json={"error": "Unauthorized"})
        self.logins += 1
        return self._grant()

    def _refresh(self, request: httpx.Request) -> httpx.Response:
        if not self.may_refresh or request.content or request.headers["Authorization"] != "Bearer refresh-token":
            return httpx.Response(401, json={"error": "Unauthorized"})
        self.refreshes += 1
        return self._grant()

    def _grant(self) -> httpx.Response:
        access = {"value": f"access-{self.logins}-{self.refreshes}", "name": "access", "expiresIn": 1800}
        refresh = {"value": "refresh-token", "name": "refresh", "expiresIn": 86400}
        body = {
            "token": {"token": access, "refreshToken": refresh},
            "serverUrl": "https://north.test",
            "requiredActions": [],
        }
        return httpx.Response(200, json=body | self.tokens)


def _headers(number: int, pages: int) -> dict[str, str]:
    return {"X-Page": str(number), "X-Pagesize": "2", "X-More-Pages-Available": str(number < pages)}


def status(code: int, **headers: str) -> Answer:
    """An answer without a body."""
    return lambda _: httpx.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


def content(body: bytes, **headers: str) -> Answer:
    """A page as scripted."""
    return lambda _: httpx.Response(200, content=body, headers={n.replace("_", "-"): v for n, v in headers.items()})


def unreachable(request: httpx.Request) -> httpx.Response:
    """No answer at all."""
    raise httpx.ConnectError("connection refused", request=request)
