"""Tokens of our own: for a laptop and for tests, where no OIDC provider is set.

    token = issue(secret, "north", "analyst", timedelta(hours=8))
    verify(secret, token)           # Identity(tenant='north', role='analyst', …)

JSON Web Tokens signed with HS256. The tenant of a request comes from its credential and from nowhere else.
"""

import secrets
from datetime import UTC, datetime, timedelta

import jwt

from mercurios.api.access.identity import ROLES, Identity, Pseudonyms
from mercurios.api.access.jwts import Expected
from mercurios.api.access.jwts import claims as read_claims
from mercurios.errors import BadRequest, ConfigError, Unauthenticated
from mercurios.tenancy import TENANT_ID

ISSUER = "mercurios"
AUDIENCE = "mercurios-api"
_EXPECTED = Expected(("HS256",), ISSUER, AUDIENCE, ("tenant", "role", "exp", "iat", "iss", "aud"), only_audience=True)
_LEAST_SECRET_BYTES = 32


def check_secret(secret: str) -> str:
    """Return the secret; raises ConfigError when it is too short to sign with (RFC 7518 asks for 32 bytes)."""
    if len(secret.encode()) < _LEAST_SECRET_BYTES:
        raise ConfigError(
            f"the token secret has {len(secret.encode())} bytes, expected {_LEAST_SECRET_BYTES} or more; "
            "set MERCURIOS_TOKEN_SECRET to a random value, e.g. of `openssl rand -hex 32`"
        )
    try:
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise ConfigError("the token secret looks like a key of another kind; set a random text instead") from error
    return secret


def check_grant(tenant: str, role: str) -> None:
    """Raise BadRequest for a role or tenant id that cannot be."""
    if role not in ROLES:
        raise BadRequest(f"role {role!r}: expected one of {', '.join(ROLES)}")
    if not TENANT_ID.fullmatch(tenant):
        raise BadRequest(f"tenant {tenant!r}: expected lower case letters, digits and _, starting with a letter")


def issue(secret: str, tenant: str, role: str, lifetime: timedelta) -> str:
    """Sign a token that is valid from now for `lifetime`; raises BadRequest for a role or tenant id that cannot be."""
    check_grant(tenant, role)
    now = datetime.now(UTC)
    claims = {"tenant": tenant, "role": role, "iat": now, "exp": now + lifetime, "iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(claims | {"sub": secrets.token_hex(8)}, check_secret(secret), algorithm="HS256")


def verify(secret: str, token: str) -> Identity:
    """Return whom the token speaks for; raises Unauthenticated with a reason that repeats nothing of the token."""
    claims = read_claims(token, secret, _EXPECTED)
    tenant, role = claims["tenant"], claims["role"]
    if not isinstance(tenant, str) or not TENANT_ID.fullmatch(tenant) or role not in ROLES:
        message = f"the token must name a tenant and one role of {', '.join(ROLES)}; ask for a new one"
        raise Unauthenticated(message, reason="tenant_or_role")
    return Identity(tenant, role, Pseudonyms(secret).of(ISSUER, tenant, claims.get("sub", "")), "token")
