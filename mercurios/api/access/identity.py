"""Whoever asks, once the credential has been judged.

    Identity("north", "analyst", subject="5b1c…", how="oidc").may("viewer")     # True
    Pseudonyms(secret).of("https://idp.example", "north", "anna@north.example") # '5b1c…', the same every time

Nothing here says who a person is: the subject is a keyed hash, and only who has the secret can try names against it.
"""

import hmac
from dataclasses import dataclass

ROLES = ("viewer", "analyst", "buyer", "admin")
"""Each may do what those before it may."""


@dataclass(frozen=True)
class Identity:
    """Tenant and role of whoever asks. subject: a pseudonym, or the id of an API key. how: oidc, token or key."""

    tenant: str
    role: str
    subject: str = ""
    how: str = "token"

    def may(self, needed: str) -> bool:
        """Whether the role is the one that is needed, or above it."""
        return ROLES.index(self.role) >= ROLES.index(needed)


class Pseudonyms:
    """Keyed hashes (HMAC-SHA-256, 128 bits kept) under a key of their own, derived from the token secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"mercurios pseudonyms", "sha256")

    def of(self, *parts: str) -> str:
        """The pseudonym of these parts, in this order."""
        joined = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, joined, "sha256").hex()[:32]
