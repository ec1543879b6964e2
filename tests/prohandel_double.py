"""Answers that the sandbox does not give: a scripted ProHandel behind httpx's mock transport.

    double = Double({"sale": [b'[{"id": "1"}]', b"[]"]})
    ProHandel(tenant, transport=double.transport)

A Double has its pages made beforehand; a ListingDouble cuts a listing into the pages that are asked for.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from mercurios.secrets import SecretRef
from mercurios.sources.retrying import Patience
from mercurios.tenancy import ProHandelSource, Tenant

KEY, SECRET = "key-of-north", "secret-of-north-0123456789"
Answer = Callable[[httpx.Request], httpx.Response]


def tenant(
    folder: Path, name: str = "north", *, auth_url: str = "https://auth.test", page_size: int = 2, **settings: Any
) -> Tenant:
    """A tenant whose key and secret lie in `folder`; `settings` are further ones of its source."""
    (folder / f"{name}.key").write_text(KEY)
    (folder / f"{name}.secret").write_text(SECRET)
    source = ProHandelSource(
        auth_url, SecretRef("file", f"{name}.key", folder), SecretRef("file", f"{name}.secret", folder), page_size
    )
    source = replace(source, **settings)
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
        self.refresh_answer: Answer | None = None
        self.tokens: dict[str, object] = {}
        self.asked: list[str] = []
        self.parameters: list[dict[str, str]] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/token"):
            return self._log_in(request)
        if request.url.path.endswith("/token/refresh"):
            return self._refresh(request)
        self.parameters.append(dict(request.url.params))
        if self.script and (scripted := self.script.pop(0)):
            return scripted(request)
        if request.headers["Authorization"] != f"Bearer access-{self.logins}-{self.refreshes}":
            return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return self.page(request)

    def page(self, request: httpx.Request) -> httpx.Response:
        """The page that is asked for."""
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
        if self.refresh_answer:
            return self.refresh_answer(request)
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


class ListingDouble(Double):
    """A listing of `total` records, cut into pages of the size that is asked for, or of the size that `size_of` says.

    size_of: the true page size, from the asked one and the number of pages asked for so far.
    told: what the headers speak of: `size` the true size, `echo` the asked one, `count` the records on the page, `more`
    whether there are others.
    """

    def __init__(
        self,
        total: int,
        *,
        size_of: Callable[[int, int], int] = lambda asked, _: asked,
        told: Sequence[str] = ("size", "more"),
        first: Sequence[Answer | None] = (),
    ) -> None:
        super().__init__({}, first=first)
        self.records = [{"id": str(number)} for number in range(total)]
        self.size_of = size_of
        self.told = told
        self.served = 0
        self.hidden: Collection[str] = ()
        self.faults: Callable[[int], Answer | None] = lambda asked: None

    def page(self, request: httpx.Request) -> httpx.Response:
        number, asked = int(request.url.params["page"]), int(request.url.params["pagesize"])
        if fault := self.faults(asked):
            return fault(request)
        self.served += 1
        size = self.size_of(asked, self.served)
        page = self.records[(number - 1) * size : number * size]
        records = [record for record in page if record["id"] not in self.hidden]
        headers = {
            "count": {"X-Pagesize": str(len(records))},
            "size": {"X-Pagesize": str(size)},
            "echo": {"X-Pagesize": str(asked)},
            "more": {"X-More-Pages-Available": str(number * size < len(self.records))},
        }
        told = {name: value for each in self.told for name, value in headers[each].items()}
        return httpx.Response(200, json=records, headers=told)


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


def silent(request: httpx.Request) -> httpx.Response:
    """A connection, and then nothing."""
    raise httpx.ReadTimeout("timed out", request=request)


def cut(request: httpx.Request) -> httpx.Response:
    """A connection that ends in the middle of the body."""
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body", request=request)
