"""The API behind the provider of `oidc_double`, with a clock for its keyring."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from mercurios.api.access.identity import Pseudonyms
from mercurios.api.access.keyring import Keyring, fetch_keys
from mercurios.api.access.provider import Provider, Registration
from tests.api_world import SECRET, ApiWorld, listening, make_world
from tests.oidc_double import AUDIENCE, OidcDouble, providing

QUERY = {"query": "{ tenant { id } }"}


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Sso:
    """The API behind a provider; the clock is that of its keyring."""

    api: ApiWorld
    provider: OidcDouble
    clock: Clock

    def ask(self, token: str) -> httpx.Response:
        return self.api.post(QUERY, tenant=None, Authorization=f"Bearer {token}")


@contextmanager
def signing_on(folder: Path) -> Iterator[Sso]:
    """Serve both on loopback."""
    with providing() as double, listening(_world(folder, double, clock := Clock())) as api:
        yield Sso(api, double, clock)


def _world(folder: Path, double: OidcDouble, clock: Clock) -> ApiWorld:
    keyring = Keyring(lambda: fetch_keys(double.issuer), clock)
    provider = Provider(Registration(double.issuer, AUDIENCE), Pseudonyms(SECRET), keyring)
    return make_world(folder, provider=provider)
