"""Bearer tokens: who asks, for which tenant, in which role.

    token = issue(secret, "north", "analyst", timedelta(hours=8))
    verify(secret, token)           # Identity(tenant='north', role='analyst')

JSON Web Tokens signed with HS256. The tenant of a request comes from here and from nowhere else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from mercurios.errors import BadRequest, ConfigError, Unauthenticated
from mercurios.tenancy import TENANT_ID

ROLES = ("viewer", "analyst", "buyer", "admin")
ISSUER = "mercurios"
AUDIENCE = "mercurios-api"
_ALGORITHM = "HS256"
_CLAIMS = ["tenant", "role", "exp", "iat", "iss", "aud"]
_LEAST_SECRET_BYTES = 32


@dataclass(frozen=True)
class Identity:
    """Whom a token speaks for."""

    tenant: str
    role: str


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


def issue(secret: str, tenant: str, role: str, lifetime: timedelta) -> str:
    """Sign a token that is valid from now for `lifetime`; raises BadRequest for a role or tenant id that cannot be."""
    if role not in ROLES:
        raise BadRequest(f"role {role!r}: expected one of {', '.join(ROLES)}")
    if not TENANT_ID.fullmatch(tenant):
        raise BadRequest(f"tenant {tenant!r}: expected lower case letters, digits and _, starting with a letter")
    now = datetime.now(UTC)
    claims = {"tenant": tenant, "role": role, "iat": now, "exp": now + lifetime, "iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(claims, check_secret(secret), algorithm=_ALGORITHM)


def verify(secret: str, token: str) -> Identity:
    """Return whom the token speaks for; raises Unauthenticated with a reason that repeats nothing of the token."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": _CLAIMS, "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("the token has expired; ask for a new one") from error
    except (jwt.InvalidTokenError, jwt.InvalidKeyError) as error:
        raise Unauthenticated("the token is not valid here; ask for a new one") from error
    tenant, role = claims["tenant"], claims["role"]
    if not isinstance(tenant, str) or not TENANT_ID.fullmatch(tenant) or role not in ROLES:
        raise Unauthenticated(f"the token must name a tenant and one role of {', '.join(ROLES)}; ask for a new one")
    return Identity(tenant, role)
