"""Tokens of the ProHandel API: log in, refresh before they end, log in again when a refresh is refused.

    keeper = TokenKeeper(tenant.source, client, patience)
    tokens = keeper.current()
    tokens.api_url, tokens.access

Access tokens live 1800 s, refresh tokens a day; the auth host hands out both and names the merchant's own.
"""

from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from mercurios.errors import AuthenticationFailed, MalformedPage, SourceError
from mercurios.secrets import SecretRef
from mercurios.sources.retrying import Patience, send
from mercurios.tenancy import ProHandelSource

TOKEN_PATH = "/api/v4/token"
API_PATH = "/api/v2"
MARGIN_SECONDS = 60.0
"""A token is renewed this long before it ends, or after half of a life shorter than twice that."""


@dataclass(frozen=True)
class Tokens:
    """One login: bearer values are masked, `renew_at` is on the clock of the keeper's patience."""

    api_url: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    renew_at: float


class TokenKeeper:
    """Holds the tokens of one merchant."""

    def __init__(self, source: ProHandelSource, client: httpx.Client, patience: Patience) -> None:
        self._source = source
        self._client = client
        self._patience = patience
        self._tokens: Tokens | None = None

    def __repr__(self) -> str:
        return f"TokenKeeper(auth_url={self._source.auth_url!r})"

    def current(self) -> Tokens:
        """Tokens that hold for the next request; logs in or refreshes when they would not.

        Raises AuthenticationFailed, SourceUnavailable, or MalformedPage for an answer without tokens.
        """
        if self._tokens is None:
            self._tokens = self._log_in()
        elif self._patience.clock() >= self._tokens.renew_at:
            self._tokens = self._renewed(self._tokens)
        return self._tokens

    def renew(self) -> None:
        """Replace tokens that the server no longer takes, whatever their age."""
        self._tokens = self._log_in() if self._tokens is None else self._renewed(self._tokens)

    def _log_in(self) -> Tokens:
        """A login costs the key and secret one trip; they are looked up for it and not kept."""
        body = {"apiKey": self._source.api_key.reveal(), "secret": self._source.api_secret.reveal()}
        request = self._client.build_request("POST", self._source.auth_url + TOKEN_PATH, json=body)
        response = send(self._client, request, self._patience)
        if response.status_code in {400, 401, 403}:
            raise AuthenticationFailed(
                f"{request.url.host} refuses the API key or secret ({response.status_code}); "
                f"check {_place(self._source.api_key)} and {_place(self._source.api_secret)}"
            )
        if response.status_code != httpx.codes.OK:
            raise SourceError(f"{request.url}: expected 200 with tokens, got {response.status_code}; check auth_url")
        return self._read(response)

    def _renewed(self, tokens: Tokens) -> Tokens:
        request = self._client.build_request(
            "POST",
            f"{self._source.auth_url}{TOKEN_PATH}/refresh",
            headers={"Authorization": f"Bearer {tokens.refresh}"},
        )
        response = send(self._client, request, self._patience)
        try:
            return self._read(response) if response.status_code == httpx.codes.OK else self._log_in()
        except MalformedPage:  # the shape of a refresh was never seen; a login's was
            return self._log_in()

    def _read(self, response: httpx.Response) -> Tokens:
        try:
            body: Any = orjson.loads(response.content)
            pair = body["token"]
            access, lifetime = str(pair["token"]["value"]), float(pair["token"]["expiresIn"])
            refresh, host = str(pair["refreshToken"]["value"]), str(body["serverUrl"]).rstrip("/")
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise MalformedPage(
                f"{response.request.url}: expected token.token, token.refreshToken and serverUrl, got something else "
                f"({type(error).__name__}); check that auth_url is ProHandel's"
            ) from error
        if not host.startswith(("https://", "http://")):
            raise MalformedPage(f"{response.request.url}: expected a serverUrl with http(s), got {host[:80]!r}")
        if not all(token.isascii() and token.isprintable() for token in (access, refresh)):
            raise MalformedPage(f"{response.request.url}: expected tokens of plain characters, got others")
        if host.startswith("http://") and response.request.url.scheme == "https":
            raise MalformedPage(f"{response.request.url}: the serverUrl is not https; the token would travel open")
        margin = min(MARGIN_SECONDS, lifetime / 2)
        return Tokens(host + API_PATH, access, refresh, self._patience.clock() + lifetime - margin)


def _place(reference: SecretRef) -> str:
    return f"{reference.scheme}:{reference.place}"
