"""ProHandel: one merchant's REST API, read page by page.

    with ProHandel(tenant) as source:
        for page in source.read("sale"):
            print(page.number, len(page.records))

Facts and open points about the API are in the reference. There is no total count and no verified filter, so an entity
is always read in full, until the server says that no more pages are available.
"""

import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import httpx
import orjson

from mercurios.errors import AuthenticationFailed, MalformedPage, SourceError
from mercurios.sources import Page
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.prohandel_tokens import TokenKeeper
from mercurios.sources.retrying import Patience, send
from mercurios.tenancy import Tenant

MOST_EMPTY_PAGES = 20
"""A server that promises more than this many times in a row and sends nothing is not believed any longer."""
_TOLD_BYTES = 60


class ProHandel:
    """The source of one tenant's records. Not for several threads at once."""

    def __init__(
        self, tenant: Tenant, *, patience: Patience | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Bind the source to a tenant; nothing is sent before the first `read`. `transport` is for tests."""
        self._tenant = tenant
        self._patience = patience or Patience()
        self._client = httpx.Client(timeout=self._patience.timeout_seconds, transport=transport)
        self._keeper = TokenKeeper(tenant.source, self._client, self._patience)

    def __repr__(self) -> str:
        return f"ProHandel(tenant={self._tenant.id!r}, auth_url={self._tenant.source.auth_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def tenant_id(self) -> str:
        """The tenant whose records come from here."""
        return self._tenant.id

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The entities that can be read, by name."""
        return CONTRACTS

    def read(self, entity: str) -> Iterator[Page]:
        """Stream all records of an entity, one page at a time, in the server's order.

        Raises AuthenticationFailed (key, secret or permission), SourceUnavailable (no answer within the patience),
        MalformedPage (an answer that is no page, or pages without an end).
        """
        number, empty = 1, 0
        while True:
            response = self._page(entity, number)
            records = _records(response, entity, number)
            yield Page(entity, number, records)
            empty = 0 if records else empty + 1
            if not _is_more(response, entity, number, len(records)):
                return
            if empty > MOST_EMPTY_PAGES:
                raise MalformedPage(
                    f"{entity} page {number}: empty like {empty - 1} before it, and still more are promised"
                )
            number += 1

    def _page(self, entity: str, number: int) -> httpx.Response:
        response = self._get(entity, number)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._keeper.renew()
            response = self._get(entity, number)
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise AuthenticationFailed(
                f"tenant {self.tenant_id}: {entity} page {number} answered {response.status_code} with a fresh token; "
                f"the API key may lack the permission to read {entity}"
            )
        if response.status_code != httpx.codes.OK:
            raise SourceError(
                f"tenant {self.tenant_id}: {entity} page {number}: expected 200, got {response.status_code} from "
                f"{response.request.url.host}; check that this merchant's API offers {entity}"
            )
        return response

    def _get(self, entity: str, number: int) -> httpx.Response:
        tokens = self._keeper.current()
        request = self._client.build_request(
            "GET",
            f"{tokens.api_url}/{entity}",
            params={"page": number, "pagesize": self._tenant.source.page_size},
            headers={"Authorization": f"Bearer {tokens.access}", "Accept": "application/json"},
        )
        return send(self._client, request, self._patience)


def _records(response: httpx.Response, entity: str, number: int) -> list[object]:
    answered = response.headers.get("X-Page", str(number))
    if answered != str(number):
        raise MalformedPage(f"{entity}: expected page {number}, got page {answered[:10]}")
    try:
        records = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        kind = response.headers.get("Content-Type", "nothing")[:40]
        raise MalformedPage(
            f"{entity} page {number}: expected a JSON array, got {len(response.content)} bytes ({kind}), no JSON "
            f"at {error.pos}, beginning {_told(response.content)!r}; run again, then ask ProHandel"
        ) from None
    if not isinstance(records, list):
        raise MalformedPage(f"{entity} page {number}: expected a JSON array, got {type(records).__name__}")
    return records


def _is_more(response: httpx.Response, entity: str, number: int, received: int) -> bool:
    """What the header says; without it a page that is not full is the last, and without a size only an empty one."""
    said = str(response.headers.get("X-More-Pages-Available", "")).lower()
    if not said:
        size = str(response.headers.get("X-Pagesize", ""))
        return received >= max(1, int(size)) if size.isdecimal() else received > 0
    if said not in {"true", "false"}:
        raise MalformedPage(f"{entity} page {number}: X-More-Pages-Available is neither True nor False: {said[:20]!r}")
    return said == "true"


def _told(body: bytes) -> str:
    """The first bytes with every quoted text, number and address blanked, as they may be somebody's."""
    start = body[: _TOLD_BYTES * 4].decode("utf-8", "replace")
    blanked = re.sub(r'"[^"]*("|$)', '"…"', start)
    return re.sub(r"[0-9]+|\S+@\S+", "#", blanked)[:_TOLD_BYTES]
