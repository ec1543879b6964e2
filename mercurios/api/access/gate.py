"""Every way in, joined: which credential it is, and whom it speaks for.

    identity = await access.identify(request.headers.get_list("Authorization"))

Only API keys wait for a file, and an unknown key of the provider for the network, both on threads.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from mercurios.api.access.audit import AuditLog
from mercurios.api.access.identity import Identity, Pseudonyms
from mercurios.api.access.keys import PREFIX, ApiKeys
from mercurios.api.access.limits import RateLimits
from mercurios.api.access.provider import Provider
from mercurios.api.access.tokens import check_secret, verify
from mercurios.errors import Unauthenticated

MAX_CHARACTERS = 8_192


@dataclass(frozen=True)
class Access:
    """Who may ask. provider: None where our own tokens are taken; with one they are not.

    Raises ConfigError when the secret is too short.
    """

    secret: str = field(repr=False)
    keys: ApiKeys
    limits: RateLimits
    audit: AuditLog
    provider: Provider | None = None

    def __post_init__(self) -> None:
        check_secret(self.secret)

    @property
    def pseudonyms(self) -> Pseudonyms:
        """Keyed hashes for what the audit log must not hold in clear."""
        return Pseudonyms(self.secret)

    async def identify(self, headers: Sequence[str]) -> Identity:
        """Whom the `Authorization` headers of a request speak for.

        Raises Unauthenticated, Forbidden, or AccessUnavailable when it cannot be known.
        """
        text = credential(headers)
        if text.startswith(PREFIX):
            return await asyncio.to_thread(self.keys.identify, text)
        if self.provider is not None:
            return await self.provider.identify(text)
        return verify(self.secret, text)


def credential(headers: Sequence[str]) -> str:
    """The one bearer credential in the headers; raises Unauthenticated."""
    if len(headers) > 1:
        raise Unauthenticated("expected one Authorization header, got several", reason="several_headers")
    scheme, _, text = (headers[0] if headers else "").partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text:
        message = "expected a header `Authorization: Bearer TOKEN`; `mercurios token` prints one"
        raise Unauthenticated(message, reason="scheme" if headers else "no_credential")
    if len(text) > MAX_CHARACTERS:
        raise Unauthenticated(f"the token has more than {MAX_CHARACTERS:,} characters", reason="too_long")
    return text
