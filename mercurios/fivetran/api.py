"""Fivetran's REST API: how a connection is doing, and the start of a sync.

    with FivetranApi(SecretRef.parse("env:FIVETRAN_API_KEY", home), SecretRef.parse("env:…", home)) as api:
        api.connection("warm_sun").succeeded_at

Of the API three things are used: `GET /v1/connections/{id}`, `POST /v1/connections/{id}/sync`, and HTTP basic
authentication with key and secret. It does not tell rows: they are counted where they arrive.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from mercurios.errors import AuthenticationFailed, ConfigError, MalformedPage, SourceError, SourceUnavailable
from mercurios.secrets import SecretRef
from mercurios.sources.retrying import Again, Patience, persist, retry_after_seconds
from mercurios.tenancy.reading import host_url

URL = "https://api.fivetran.com"
_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_HEADERS = {"Accept": "application/json;version=2"}


@dataclass(frozen=True)
class Connection:
    """A connection's status. Times are UTC; None where no sync has succeeded, or failed, yet.

    setup_state: connected, incomplete or broken. sync_state: scheduled, syncing, paused or rescheduled.
    tasks, warnings: codes of what Fivetran wants an operator to do.
    """

    id: str
    schema: str
    is_paused: bool
    setup_state: str
    sync_state: str
    succeeded_at: datetime | None
    failed_at: datetime | None
    tasks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def has_failed_last(self) -> bool:
        """Whether the newest sync that came to an end failed."""
        return self.failed_at is not None and (self.succeeded_at is None or self.failed_at > self.succeeded_at)


class FivetranApi:
    """One account's API. Not for several threads at once."""

    def __init__(self, key: SecretRef, secret: SecretRef, *, url: str = URL, patience: Patience | None = None) -> None:
        """Bind to an account; nothing is sent yet. Raises ConfigError when a secret is not where it should be."""
        self._url = _checked(url)
        self._patience = patience or Patience()
        self._client = httpx.Client(
            auth=(key.reveal(), secret.reveal()), headers=_HEADERS, timeout=self._patience.timeout_seconds
        )

    def __repr__(self) -> str:
        return f"FivetranApi({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def connection(self, connection_id: str) -> Connection:
        """Look at a connection.

        Raises AuthenticationFailed, SourceUnavailable (no answer, 429 or 5xx beyond the patience), MalformedPage,
        SourceError (any other refusal, such as an unknown connection).
        """
        data = self._call("GET", connection_id, "").get("data")
        try:
            return _connection(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedPage(
                f"Fivetran connection {connection_id}: the answer is no description of a connection "
                f"({type(error).__name__}); see whether its API has changed"
            ) from None

    def start_sync(self, connection_id: str) -> None:
        """Ask for a sync now; one that runs already goes on."""
        self._call("POST", connection_id, "/sync", {"force": False})

    def _call(self, method: str, connection_id: str, action: str, body: object = None) -> dict[str, Any]:
        if not _ID.fullmatch(connection_id):
            raise ConfigError(f"{connection_id[:70]!r} is no id of a Fivetran connection, such as warm_sun")
        url = f"{self._url}/v1/connections/{connection_id}{action}"
        request = self._client.build_request(method, url, json=body)
        return _opened(persist(lambda: self._sent(request), self._patience), connection_id)

    def _sent(self, request: httpx.Request) -> httpx.Response:
        """One try; raises Again where another may succeed."""
        place = f"{request.method} {request.url.host}{request.url.path}"
        response, failure = None, ""
        try:
            response = self._client.send(request)
        except (httpx.TransportError, httpx.DecodingError) as error:
            failure = type(error).__name__
        if response is None:  # outside: the error holds the request, and that the secret
            raise Again(SourceUnavailable(f"{place}: no answer ({failure}); check host and network"))
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            unavailable = SourceUnavailable(f"{place}: answers {response.status_code}; run again later")
            raise Again(unavailable, wait_seconds=retry_after_seconds(response.headers))
        return response


def _opened(response: httpx.Response, connection_id: str) -> dict[str, Any]:
    status = response.status_code
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise AuthenticationFailed(
            f"Fivetran connection {connection_id}: answered {status}; check API key and secret and what they may do"
        )
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if not response.is_success:
        code = body.get("code") if isinstance(body, dict) else None
        told = f" {code}" if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]{1,60}", code) else ""
        raise SourceError(f"Fivetran connection {connection_id}: answered {status}{told}; check its id and state")
    if not isinstance(body, dict):
        raise MalformedPage(
            f"Fivetran connection {connection_id}: expected a JSON object, got {len(response.content)} bytes of "
            f"{'something else' if body is not None else 'no JSON'}"
        )
    return body


def _connection(data: Any) -> Connection:
    status = data["status"]
    return Connection(
        id=_text(data["id"]),
        schema=_text(data.get("schema", "")),
        is_paused=bool(data.get("paused", False)),
        setup_state=_text(status["setup_state"]),
        sync_state=_text(status["sync_state"]),
        succeeded_at=_moment(data["succeeded_at"]),
        failed_at=_moment(data["failed_at"]),
        tasks=tuple(_text(task["code"]) for task in status.get("tasks") or ()),
        warnings=tuple(_text(warning["code"]) for warning in status.get("warnings") or ()),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(UTC)


def _checked(url: str) -> str:
    try:
        return host_url(url)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"the URL of Fivetran's API: expected https://HOST; {problem}")
