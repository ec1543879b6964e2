"""JSON Web Tokens, read strictly: what is signed and yet written oddly is refused as well.

    keyed_by = header(token).get("kid")
    claims(token, key, Expected(("RS256",), issuer, audience, ("sub", "exp")))

Refused whoever signed it: more or fewer than three parts (a JWE, a token in a token), a name twice in one object, a
header that brings its own key or asks for an extension.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jwt
from jwt.utils import base64url_decode

from mercurios.errors import Unauthenticated

_FOREIGN = {"b64", "crit", "jku", "jwk", "x5c", "x5u", "zip"}
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.MissingRequiredClaimError, "claim_missing"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidSignatureError, "signature"),
)


@dataclass(frozen=True)
class Expected:
    """What a token must show. claims: those that must be there. only_audience: whether `aud` may name others as well.

    skew_seconds: how far clocks may be apart.
    """

    algorithms: tuple[str, ...]
    issuer: str
    audience: str
    claims: tuple[str, ...]
    skew_seconds: int = 0
    only_audience: bool = False


class _Strict(jwt.PyJWT):
    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        return _object(decoded["payload"])


_JWT = _Strict()


def header(token: str) -> Mapping[str, Any]:
    """The header of a token, before anything is verified; raises Unauthenticated."""
    try:
        found = _object(base64url_decode(token.partition(".")[0]))
    except (ValueError, jwt.DecodeError) as error:
        raise invalid("malformed") from error
    if found.keys() & _FOREIGN:
        raise invalid("header")
    return found


def claims(token: str, key: Any, expected: Expected) -> Mapping[str, Any]:
    """The claims of a token that is what was expected; raises Unauthenticated, repeating nothing of the token."""
    header(token)
    try:
        return _JWT.decode(
            token,
            key,
            algorithms=list(expected.algorithms),
            audience=expected.audience,
            issuer=expected.issuer,
            leeway=expected.skew_seconds,
            options={
                "require": list(expected.claims),
                "strict_aud": expected.only_audience,
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("the token has expired; ask for a new one", reason="expired") from error
    except (jwt.InvalidTokenError, jwt.InvalidKeyError) as error:
        raise invalid(next((name for kind, name in _REASONS if isinstance(error, kind)), "malformed")) from error


def invalid(reason: str) -> Unauthenticated:
    """The refusal of a token; the reason is for the audit log."""
    return Unauthenticated("the token is not valid here; ask for a new one", reason=reason)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise jwt.DecodeError("no plain JSON") from error
    if not isinstance(found, dict):
        raise jwt.DecodeError("no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
