"""Sealed texts: what the API gives out and takes back, such as cursors, and knows to be its own.

    seals = Seals(secret)
    text = seals.seal("north", "cursor", ["r000007", 88])
    seals.open("north", "cursor", text)                        # ["r000007", 88]

AES-SIV (RFC 5297) with tenant and kind as associated data: nobody reads the content, and a text that was changed, is of
another merchant, or was given out for something else is refused. The same content makes the same text.
"""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mercurios.errors import BadRequest

MAX_CHARACTERS = 4_000


class Seals:
    """Under keys of their own, derived from the token secret, so that every process takes what another gave out."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESSIV(hmac.digest(secret.encode(), b"mercurios seals", "sha512"))
        self._pepper = hmac.digest(secret.encode(), b"mercurios pepper", "sha256")

    def seal(self, tenant: str, kind: str, content: Any) -> str:
        """The text of some JSON."""
        sealed = self._cipher.encrypt(orjson.dumps(content), [tenant.encode(), kind.encode()])
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, tenant: str, kind: str, text: str) -> Any:
        """The content; raises BadRequest unless it was sealed for this tenant as this kind."""
        try:
            if len(text) > MAX_CHARACTERS:
                raise ValueError
            sealed = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
            return orjson.loads(self._cipher.decrypt(sealed, [tenant.encode(), kind.encode()]))
        except (ValueError, InvalidTag) as error:
            raise BadRequest(
                f"that is no {kind} of ours; hand it back as it was given out, whole and to its own field"
            ) from error

    def pepper(self, tenant: str) -> str:
        """What the merchant's pseudonyms are made with; never given out."""
        return hmac.digest(self._pepper, tenant.encode(), hashlib.sha256).hex()
