"""The public keys of an OIDC provider, fetched while requests go on.

    keyring = Keyring(lambda: fetch_keys("https://idp.example"))
    await keyring.find("key-2026-11")       # a jwt.PyJWK

PyJWT's own client was not taken: it fetches under a lock that every request waits for, forgets its keys while the
provider is down, and then asks it again for every request. Here a key that is known is used at once, an unknown one
causes at most one fetch in ten seconds, and keys outlive a provider that does not answer by a day.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import orjson
import structlog

from mercurios.api.access.jwts import invalid
from mercurios.errors import AccessUnavailable, ConfigError

ALGORITHMS = ("RS256", "ES256", "EdDSA")
_LOG = structlog.get_logger(__name__)
_FRESH_SECONDS = 300.0
_KEPT_SECONDS = 86_400.0
_PAUSE_SECONDS = 10.0
_TIMEOUT_SECONDS = 3.0
_LARGEST_BYTES = 256_000
Keys = Mapping[str, jwt.PyJWK]


class Keyring:
    """Keys by their id; used from one event loop. fetch: blocks, and runs on a thread."""

    def __init__(self, fetch: Callable[[], Keys], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Keys = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> jwt.PyJWK:
        """The key of that id; raises Unauthenticated, or AccessUnavailable when the provider has never answered."""
        now = self._clock()
        is_known = kid in self._keys and now - self._fetched_at < _KEPT_SECONDS
        if not is_known or now - self._fetched_at >= _FRESH_SECONDS:
            await self._refresh(now, wait=not is_known or self._fetched_at >= self._tried_at)
        if self._clock() - self._fetched_at >= _KEPT_SECONDS:
            raise AccessUnavailable("the sign-on provider does not answer; try again in a minute", reason="provider")
        key = self._keys.get(kid)
        if key is None:
            raise invalid("key_id")
        return key

    async def _refresh(self, now: float, *, wait: bool) -> None:
        """Fetch once at a time and once in a while; who knows the key does not wait for a provider that was down."""
        if self._fetching is None and now - self._tried_at >= _PAUSE_SECONDS:
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch_all(now))
        if self._fetching is not None and wait:
            await asyncio.shield(self._fetching)

    async def _fetch_all(self, now: float) -> None:
        try:
            self._keys = await asyncio.wait_for(asyncio.to_thread(self._fetch), 2 * _TIMEOUT_SECONDS)
            self._fetched_at = now
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError, ConfigError) as error:
            _LOG.warning("api.provider_unreachable", error=type(error).__name__)
        finally:
            self._fetching = None


def fetch_keys(issuer: str) -> Keys:
    """Discover where the provider publishes its keys, and fetch them.

    Raises httpx.HTTPError when it does not answer, ValueError or ConfigError when the answer is not what was promised.
    """
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client:
        place = _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if place.get("issuer") != issuer:
            raise ValueError("the discovery document is of another issuer")
        named = place.get("id_token_signing_alg_values_supported")
        found = _get(client, check_url(str(place.get("jwks_uri"))))
    algorithms = {name for name in ALGORITHMS if not isinstance(named, list) or name in named}
    listed = found.get("keys")
    keys = [_key(one) for one in listed] if isinstance(listed, list) else []
    usable = {str(key.key_id): key for key in keys if key and key.algorithm_name in algorithms}
    if not usable:
        raise ValueError(f"the provider publishes no key for {', '.join(ALGORITHMS)}")
    return usable


def check_url(url: str) -> str:
    """Return the URL; raises ConfigError unless it is https, or http on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ConfigError(f"sign-on provider at {parts.scheme}://{parts.hostname}: expected https://")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _get(client: httpx.Client, url: str) -> Mapping[str, Any]:
    with client.stream("GET", url) as reply:
        reply.raise_for_status()
        received = bytearray()
        for part in reply.iter_bytes():
            received += part
            if len(received) > _LARGEST_BYTES:
                raise ValueError(f"the answer is larger than {_LARGEST_BYTES} bytes")
    content = orjson.loads(received)
    if not isinstance(content, dict):
        raise ValueError("the answer is no JSON object")
    return content


def _key(listed: Any) -> jwt.PyJWK | None:
    """A key that signs, or None for one that is meant for something else or cannot be read."""
    if not isinstance(listed, dict) or not listed.get("kid") or listed.get("use") not in ("sig", None):
        return None
    try:
        return jwt.PyJWK.from_dict(listed)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
