"""Connection: every call to a merchant's hosts goes through here, is counted, spread and bounded.

connection = Connection("north", source, Patience())
answer = persist(lambda: connection.send("GET", url, token=token), connection.patience)
answer.status, answer.headers, answer.body
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from mercurios.errors import MalformedPage, SourceError, SourceUnavailable
from mercurios.sources.pacing import Pace
from mercurios.sources.retrying import FEW_TRIES, Again, Patience, retry_after_seconds
from mercurios.tenancy import ProHandelSource
from mercurios.tenancy.reading import LOOPBACK

MOST_BYTES = 64 * 2**20
"""No answer may be larger, once unpacked."""
_REPEATED = (408, 429)
_TOO_LARGE = 413
_SERVER_ERROR = 500
_HEAVY = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)


@dataclass(frozen=True)
class Answer:
    """A whole answer. `place` is tenant, method, host (with its port) and path; `seconds` is what it took."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytearray = field(repr=False)
    place: str
    seconds: float


class Connection:
    """The calls of one run to one merchant's hosts. Redirects are not followed: a token would travel with them."""

    def __init__(
        self,
        tenant_id: str,
        source: ProHandelSource,
        patience: Patience,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.patience = patience
        self.tenant_id = tenant_id
        self._client = httpx.Client(timeout=patience.timeout_seconds, transport=transport, follow_redirects=False)
        self._pace = Pace(tenant_id, patience, per_minute=source.calls_per_minute, per_run=source.calls_per_run)

    @property
    def calls(self) -> int:
        """Number of calls sent so far."""
        return self._pace.calls

    def close(self) -> None:
        """Close what is open to the hosts."""
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call.

        Raises Again for no answer, 408, 413, 429, 5xx and answers that are cut, damaged or too large; BudgetSpent.
        """
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = self._client.build_request(method, url, params=params, json=json, headers=headers)
        place = f"tenant {self.tenant_id}: {method} {request.url.netloc.decode()}{request.url.path}"
        self._pace.take()
        try:
            answer = self._answer(request, place)
        except (httpx.TransportError, httpx.DecodingError) as error:
            failure = type(error)
        else:
            return _checked(answer)
        raise _unanswered(
            place, failure, is_local=request.url.host in LOOPBACK
        )  # outside: the error holds the request, and that the secret

    def _answer(self, request: httpx.Request, place: str) -> Answer:
        """Read an answer to its end, or until it is too large or too late."""
        began, body = self.patience.clock(), bytearray()
        response = self._client.send(request, stream=True)
        try:
            for part in response.iter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    much = MalformedPage(f"{place}: more than {MOST_BYTES >> 20} MB in one answer; nothing was taken")
                    raise Again(much, is_heavy=True, tries=1)
                if self.patience.clock() - began > self.patience.timeout_seconds:
                    raise httpx.ReadTimeout("the body drips", request=request)
        finally:
            response.close()
        return Answer(response.status_code, response.headers, body, place, self.patience.clock() - began)


def _unanswered(place: str, failure: type[httpx.RequestError], *, is_local: bool) -> Again:
    if issubclass(failure, httpx.DecodingError):
        damaged = MalformedPage(f"{place}: a body that cannot be decoded; check what stands between here and there")
        return Again(damaged, tries=FEW_TRIES)
    see = "is `mercurios sandbox` running?" if is_local else "check host and network"
    unavailable = SourceUnavailable(f"{place}: no answer ({failure.__name__}); {see}")
    return Again(unavailable, is_heavy=issubclass(failure, _HEAVY))


def _checked(answer: Answer) -> Answer:
    """The answer, unless another try may bring a better one."""
    if answer.status == _TOO_LARGE:
        raise Again(SourceError(f"{answer.place}: the server finds it too large (413)"), is_heavy=True, tries=1)
    if answer.status in _REPEATED or answer.status >= _SERVER_ERROR:
        pause = retry_after_seconds(answer.headers)
        asked = "" if pause is None else f" and asks to wait {pause:.0f} s"
        unavailable = SourceUnavailable(f"{answer.place}: the server answers {answer.status}{asked}; run again later")
        raise Again(unavailable, wait_seconds=pause, is_heavy=answer.status >= _SERVER_ERROR and not pause)
    return answer
