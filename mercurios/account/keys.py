"""Public keys of service users: PEM files in a folder, one a user. A private key is refused, and never shown.

keys = read_keys(Path("keys"), ("loader", "transformer"))
keys["loader"].fingerprint           # SHA256:…, as DESCRIBE USER tells it
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mercurios.errors import ConfigError

_SMALLEST_BITS = 2048


@dataclass(frozen=True)
class PublicKey:
    """An RSA public key. body: what Snowflake takes, the PEM without its first and last line."""

    body: str
    fingerprint: str


def read_keys(folder: Path | None, users: Iterable[str]) -> Mapping[str, PublicKey]:
    """Read USER.pub of those users that have one; raises ConfigError for what is no RSA public key."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; put USER.pub (PEM) of every service user into one")
    paths = {user: folder / f"{user}.pub" for user in users}
    return {user: _read(path) for user, path in paths.items() if path.is_file()}


def _read(path: Path) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    content = path.read_bytes()
    if b"PRIVATE" in content:
        raise ConfigError(
            f"{path} holds a private key: move it where only its service reads it, put the public one here"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: expected a public key as PEM; make it with openssl rsa -pubout") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_BITS:
        raise ConfigError(f"{path}: expected an RSA key of {_SMALLEST_BITS} bits or more")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(der).digest()).decode()
    return PublicKey(base64.b64encode(der).decode(), f"SHA256:{digest}")
