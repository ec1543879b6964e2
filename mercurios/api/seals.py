"""Sealed texts: what the API gives out and takes back, such as cursors, and knows to be its own.

    seals = Seals(secret)
    text = seals.seal("north", "cursor", ["r000007", 88])
    seals.open("north", "cursor", text)                        # ["r000007", 88]

A seal is a keyed hash (HMAC-SHA-256, 128 bits kept) over tenant, kind and content, so a text that was changed, is of
another merchant, or was given out for something else is refused. The content can be read by who holds the text: it has
nothing in it that was not shown to him.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson

from mercurios.errors import BadRequest

MAX_CHARACTERS = 4_000
_MAC_BYTES = 16


class Seals:
    """Under a key of its own, derived from the token secret, so that every process takes what another gave out."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"mercurios seals", "sha256")

    def seal(self, tenant: str, kind: str, content: Any) -> str:
        """The text of some JSON."""
        body = orjson.dumps(content)
        return urlsafe_b64encode(self._mac(tenant, kind, body) + body).decode().rstrip("=")

    def open(self, tenant: str, kind: str, text: str) -> Any:
        """The content; raises BadRequest unless it was sealed for this tenant as this kind."""
        try:
            if len(text) > MAX_CHARACTERS:
                raise ValueError
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError:
            sealed = b""
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not body or not hmac.compare_digest(mac, self._mac(tenant, kind, body)):
            raise BadRequest(f"that is no {kind} of ours; hand it back as it was given out, whole and to its own field")
        return orjson.loads(body)

    def pepper(self, tenant: str) -> str:
        """What the merchant's pseudonyms are made with; never given out."""
        return hmac.digest(self._key, f"pepper\0{tenant}".encode(), "sha256").hex()

    def _mac(self, tenant: str, kind: str, body: bytes) -> bytes:
        return hmac.digest(self._key, f"{tenant}\0{kind}\0".encode() + body, "sha256")[:_MAC_BYTES]
