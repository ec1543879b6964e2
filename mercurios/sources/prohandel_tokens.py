"""Tokens of the ProHandel API: log in, refresh before they end, log in again when a refresh is refused.

    keeper = TokenKeeper(tenant.source, connection)
    tokens = keeper.current()
    tokens.api_url, tokens.access

Access tokens live 1800 s, refresh tokens a day; the auth host hands out both and names the merchant's own.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from mercurios.errors import AuthenticationFailed, ConfigError, MalformedPage, SourceError, SourceUnavailable
from mercurios.secrets import SecretRef
from mercurios.sources.connection import Answer, Connection
from mercurios.sources.retrying import persist
from mercurios.tenancy import ProHandelSource

TOKEN_PATH = "/api/v4/token"
API_PATH = "/api/v2"
MARGIN_SECONDS = 60.0
"""A token is renewed this long before it ends, or after half of a life shorter than twice that."""
REFRESH_TRIES = 2
"""Nobody has seen a refresh yet: where it does not work, a login does."""


@dataclass(frozen=True)
class Tokens:
    """One login: bearer values are masked, `renew_at` is on the clock of the connection's patience."""

    api_url: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    renew_at: float


class TokenKeeper:
    """Holds the tokens of one merchant."""

    def __init__(self, source: ProHandelSource, connection: Connection) -> None:
        self._source = source
        self._connection = connection
        self._tokens: Tokens | None = None

    def __repr__(self) -> str:
        return f"TokenKeeper(auth_url={self._source.auth_url!r})"

    def current(self) -> Tokens:
        """Tokens that hold for the next request; logs in or refreshes when they would not.

        Raises AuthenticationFailed, SourceUnavailable, BudgetSpent, or MalformedPage for an answer without tokens.
        """
        if self._tokens is None or self._connection.patience.clock() >= self._tokens.renew_at:
            return self.renewed()
        return self._tokens

    def renewed(self) -> Tokens:
        """New tokens in place of those that the server no longer takes, whatever their age."""
        self._tokens = self._log_in() if self._tokens is None else self._refreshed(self._tokens)
        return self._tokens

    def _log_in(self) -> Tokens:
        """A login costs the key and secret one trip; they are looked up for it and not kept."""
        credentials = {
            "apiKey": self._revealed(self._source.api_key),
            "secret": self._revealed(self._source.api_secret),
        }
        answer = self._post(TOKEN_PATH, json=credentials)
        if answer.status in {400, 401, 403}:
            raise AuthenticationFailed(
                f"{answer.place} refuses the API key or secret ({answer.status}); "
                f"check {_place(self._source.api_key)} and {_place(self._source.api_secret)}"
            )
        if answer.status != httpx.codes.OK:
            raise SourceError(f"{answer.place}: expected 200 with tokens, got {answer.status}; check auth_url")
        return self._read(answer)

    def _revealed(self, reference: SecretRef) -> str:
        try:
            return reference.reveal()
        except ConfigError as error:
            told = str(error)
        raise ConfigError(f"tenant {self._connection.tenant_id}: {told}")

    def _refreshed(self, tokens: Tokens) -> Tokens:
        try:
            answer = self._post(f"{TOKEN_PATH}/refresh", token=tokens.refresh, attempts=REFRESH_TRIES)
            return self._read(answer) if answer.status == httpx.codes.OK else self._log_in()
        except (MalformedPage, SourceUnavailable):  # the shape of a refresh was never seen; a login's was
            return self._log_in()

    def _post(
        self, path: str, *, json: dict[str, str] | None = None, token: str | None = None, attempts: int | None = None
    ) -> Answer:
        url = self._source.auth_url + path
        send = self._connection.send
        return persist(lambda: send("POST", url, json=json, token=token), self._connection.patience, attempts=attempts)

    def _read(self, answer: Answer) -> Tokens:
        try:
            access, lifetime, refresh, host = _told(answer.body)
        except (KeyError, TypeError, ValueError) as error:
            kind = type(error).__name__
        else:
            return self._checked(answer.place, access, lifetime, refresh, host)
        raise MalformedPage(  # outside: the error holds the body
            f"{answer.place}: expected token.token, token.refreshToken and serverUrl, got something else "
            f"({kind}); check that auth_url is ProHandel's"
        )

    def _checked(self, place: str, access: str, lifetime: float, refresh: str, host: str) -> Tokens:
        if not all(token.isascii() and token.isprintable() for token in (access, refresh)):
            raise MalformedPage(f"{place}: expected tokens of plain characters, got others")
        self._check_host(host, place)
        margin = min(MARGIN_SECONDS, lifetime / 2)
        return Tokens(host + API_PATH, access, refresh, self._connection.patience.clock() + lifetime - margin)

    def _check_host(self, text: str, place: str) -> None:
        """Refuse a host that no token can be sent to, or only openly."""
        try:
            urlsplit(text)
            url = httpx.URL(text)
        except (ValueError, httpx.InvalidURL):
            url = httpx.URL("")
        if url.scheme not in {"https", "http"} or not url.host or url.userinfo or url.query or url.fragment:
            raise MalformedPage(f"{place}: expected a serverUrl as http(s)://HOST, got something else")
        if url.scheme == "http" and self._source.auth_url.startswith("https://"):
            raise MalformedPage(f"{place}: the serverUrl is not https; the token would travel open")


def _told(raw: bytearray) -> tuple[str, float, str, str]:
    """Access token, its lifetime in seconds, refresh token, the merchant's host."""
    body: Any = orjson.loads(raw)
    pair = body["token"]
    access, lifetime = str(pair["token"]["value"]), float(pair["token"]["expiresIn"])
    return access, lifetime, str(pair["refreshToken"]["value"]), str(body["serverUrl"]).rstrip("/")


def _place(reference: SecretRef) -> str:
    return f"{reference.scheme}:{reference.place}"
