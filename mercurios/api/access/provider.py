"""Tokens of an OIDC provider: who somebody is, said by the merchant's own single sign-on.

    provider = Provider(Registration("https://idp.example", "mercurios"), pseudonyms)
    await provider.identify(token)          # Identity(tenant='north', role='buyer', …)

Signed asymmetrically, with a key the provider publishes for it. Clocks may be 60 seconds apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mercurios.api.access.identity import ROLES, Identity, Pseudonyms
from mercurios.api.access.jwts import Expected, claims, header, invalid
from mercurios.api.access.keyring import Keyring, check_url, fetch_keys
from mercurios.errors import ConfigError, Forbidden
from mercurios.tenancy import TENANT_ID

SKEW_SECONDS = 60


@dataclass(frozen=True)
class Registration:
    """How Mercurios is known to the provider, and the names of the claims that say tenant and role."""

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    role_claim: str = "roles"

    def __post_init__(self) -> None:
        """Raise ConfigError unless it can be trusted."""
        check_url(self.issuer)
        if not (self.audience and self.tenant_claim and self.role_claim):
            raise ConfigError(
                f"sign-on provider {self.issuer}: expected what it calls this API, and the claims for tenant and role; "
                "set MERCURIOS_OIDC_AUDIENCE"
            )


class Provider:
    """One provider; its keys are fetched when they are first needed."""

    def __init__(self, registration: Registration, pseudonyms: Pseudonyms, keyring: Keyring | None = None) -> None:
        self._registration = registration
        self._pseudonyms = pseudonyms
        self._keyring = keyring or Keyring(lambda: fetch_keys(registration.issuer))

    async def identify(self, token: str) -> Identity:
        """Whom a token speaks for; raises Unauthenticated, or Forbidden when it names no tenant or role of ours."""
        kid = header(token).get("kid")
        if not isinstance(kid, str):
            raise invalid("malformed")
        key = await self._keyring.find(kid)
        ours = self._registration
        required = ("sub", "exp", "iat", "iss", "aud")
        expected = Expected((str(key.algorithm_name),), ours.issuer, ours.audience, required, SKEW_SECONDS)
        return self._identity(claims(token, key, expected))

    def _identity(self, told: Mapping[str, Any]) -> Identity:
        tenants = _texts(told.get(self._registration.tenant_claim))
        roles = _texts(told.get(self._registration.role_claim))
        known = [role for role in ROLES if role in roles]
        if len(tenants) != 1 or not TENANT_ID.fullmatch(tenants[0]) or not known:
            raise Forbidden(
                f"your sign-on names no tenant, or no role of {', '.join(ROLES)}; ask whoever administers it",
                reason="tenant_or_role",
            )
        subject = self._pseudonyms.of(self._registration.issuer, tenants[0], told["sub"])
        return Identity(tenants[0], known[-1], subject, "oidc")


def _texts(claim: object) -> list[str]:
    """A claim that is one text or a list of texts; nothing when it is anything else."""
    given = claim if isinstance(claim, list) else [claim]
    return given if all(isinstance(one, str) for one in given) else []
