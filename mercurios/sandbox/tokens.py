"""Tokens of the sandbox: who logged in as which merchant, and until when.

desk = TokenDesk(merchants, access_seconds=1800, refresh_seconds=86_400)
desk.login("key", "secret").access
"""

import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mercurios.sandbox.merchant import Merchant


@dataclass(frozen=True)
class Grant:
    """A pair of tokens of one merchant."""

    merchant: str
    access: str
    refresh: str


@dataclass(frozen=True)
class _Token:
    merchant: str
    kind: str
    expires_at: float


class TokenDesk:
    """Issues and knows the tokens of all merchants of one sandbox. Lifetimes in seconds."""

    def __init__(
        self,
        merchants: Iterable[Merchant],
        *,
        access_seconds: float,
        refresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._merchants = tuple(merchants)
        self._seconds = {"access": access_seconds, "refresh": refresh_seconds}
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._requests: Counter[str] = Counter()
        self._most = {merchant.name: merchant.faults.token_requests for merchant in self._merchants}

    def owner(self, api_key: str) -> str | None:
        """Name of the merchant whose key this is, whatever the secret."""
        return next((merchant.name for merchant in self._merchants if _same(merchant.api_key, api_key)), None)

    def login(self, api_key: str, secret: str) -> Grant | None:
        """Tokens for a key and its secret; None when they do not fit."""
        for merchant in self._merchants:
            if _same(merchant.api_key, api_key) and _same(merchant.api_secret, secret):
                return self._grant(merchant.name)
        return None

    def renew(self, refresh: str) -> Grant | None:
        """New tokens for a valid refresh token; None otherwise."""
        merchant = self.merchant(refresh, "refresh")
        return self._grant(merchant) if merchant else None

    def merchant(self, value: str, kind: str = "access") -> str | None:
        """Name of the merchant whose token of that kind this is; None when it is unknown or has expired."""
        token = self._tokens.get(value)
        valid = token is not None and token.kind == kind and self._clock() < token.expires_at
        return token.merchant if valid and token is not None else None

    def admit(self, access: str) -> str | None:
        """Name of the merchant whose access token this is; a token may be good for so many requests only."""
        merchant = self.merchant(access)
        most = self._most[merchant] if merchant else None
        if most is None:
            return merchant
        self._requests[access] += 1
        if self._requests[access] > most:
            self.revoke(access)
            return None
        return merchant

    def revoke(self, value: str) -> None:
        """End a token."""
        self._tokens.pop(value, None)
        self._requests.pop(value, None)

    def _grant(self, merchant: str) -> Grant:
        now = self._clock()
        self._tokens = {value: token for value, token in self._tokens.items() if token.expires_at > now}
        grant = Grant(merchant, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        for kind, value in (("access", grant.access), ("refresh", grant.refresh)):
            self._tokens[value] = _Token(merchant, kind, now + self._seconds[kind])
        return grant


def _same(expected: str, got: str) -> bool:
    return hmac.compare_digest(expected.encode(), got.encode(errors="surrogatepass"))
