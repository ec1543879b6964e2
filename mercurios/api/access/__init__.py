"""Who may ask: credentials, roles, rates, and the log of who asked what.

    access = Access(secret, keys, limits, audit, provider)
    identity = await access.identify(["Bearer eyJ…"])     # Identity(tenant='north', role='analyst', …)
    access.limits.admit(identity)                         # raises RateLimited

A credential is one of three: a JSON Web Token of an OIDC provider, one of our own where no provider is set, or an API
key.
"""

from mercurios.api.access.gate import Access
from mercurios.api.access.identity import ROLES, Identity

__all__ = ["ROLES", "Access", "Identity"]
