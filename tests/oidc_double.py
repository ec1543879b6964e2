"""An OIDC provider on loopback: discovery, published keys that can be rotated, and tokens it signs.

with providing() as provider:
    token = provider.sign({"tenant": "north", "roles": ["buyer"]})
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from mercurios.api.processes import listen

AUDIENCE = "api://mercurios"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_JWK: Mapping[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def make_key(algorithm: str) -> PrivateKey:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


@dataclass
class SigningKey:
    """A key pair as the provider knows it."""

    kid: str
    algorithm: str
    private: PrivateKey

    @classmethod
    def make(cls, kid: str, algorithm: str) -> "SigningKey":
        return cls(kid, algorithm, make_key(algorithm))

    def published(self) -> dict[str, Any]:
        jwk: dict[str, Any] = _JWK[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        return jwk | {"kid": self.kid, "use": "sig"}  # no `alg`, as Entra ID leaves it out

    def sign(self, claims: Mapping[str, Any], **headers: Any) -> str:
        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers={"kid": self.kid} | headers)


@dataclass
class OidcDouble:
    """The provider: what it publishes now, and how often it was asked."""

    issuer: str = ""
    keys: list[SigningKey] = field(default_factory=list)
    asked: int = 0
    status: int = 200
    discovery: dict[str, Any] = field(default_factory=dict)

    def claims(self, **changed: object) -> dict[str, Any]:
        """Claims of a good token of north, some changed; None leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": AUDIENCE, "sub": "anna", "iat": now, "nbf": now, "exp": now + 600}
        good |= {"tenant": "north", "roles": ["buyer"]}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, **changed: object) -> str:
        """A token signed with the newest key."""
        return self.keys[-1].sign(self.claims(**changed))


class _Answer(RequestHandler):
    def initialize(self, double: OidcDouble) -> None:
        self.double = double

    def get(self) -> None:
        self.set_status(self.double.status)
        if self.request.path == "/keys":
            self.double.asked += 1
            self.finish({"keys": [key.published() for key in self.double.keys]})
        else:
            told = {"issuer": self.double.issuer, "jwks_uri": f"{self.double.issuer}/keys"}
            self.finish(told | self.double.discovery)


@contextmanager
def providing(port: int = 0) -> Iterator[OidcDouble]:
    """Serve a provider with an RSA and an EC key on a loopback port from a thread of its own."""
    listener = listen(port, "127.0.0.1")
    double = OidcDouble(f"http://127.0.0.1:{listener.getsockname()[1]}")
    double.keys = [SigningKey.make("rsa-1", "RS256"), SigningKey.make("ec-1", "ES256")]
    loop, ready, stopping = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        server = HTTPServer(Application([(r"/.*", _Answer, {"double": double})], log_function=lambda handler: None))
        server.add_sockets([listener])
        ready.set()
        await stopping.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield double
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()
