"""Configuration: what is set up for one connection, flat texts as Fivetran keeps them, as a tenant.

    parse({"tenant_id": "north", "auth_url": "https://…", "api_key": "…", "api_secret": "…"}).tenant

| setting | default | meaning |
|---|---|---|
| `tenant_id` | required | the merchant, in lower case; only messages show it |
| `auth_url` | required | host that answers logins |
| `api_key` `api_secret` | required | the merchant's ProHandel credentials |
| `time_zone` | `Europe/Berlin` | the merchant's; ProHandel's times carry none |
| `page_size` | `1000` | records a page |
| `entities` | all | names separated by blanks or commas |
| `calls_per_minute` | as many as it takes | requests are spread so that no more are sent |
| `changed_from_parameter` `day_from_parameter` `day_until_parameter` | none | the API's filters, if it has any |
| `response_bytes` | `5000000` | Functions only: size of one answer |

No message repeats a value: it may be the secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mercurios.errors import ConfigError
from mercurios.secrets import SecretRef
from mercurios.sources.contracts import CONTRACTS
from mercurios.tenancy import Filters, ProHandelSource, Tenant, check_facts

REQUIRED = ("tenant_id", "auth_url", "api_key", "api_secret")
OPTIONAL = (
    "time_zone",
    "page_size",
    "entities",
    "calls_per_minute",
    "changed_from_parameter",
    "day_from_parameter",
    "day_until_parameter",
    "response_bytes",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_PAGE = 10_000
LARGEST_RESPONSE = 6_000_000
_RESPONSE = 5_000_000


@dataclass(frozen=True)
class Configuration:
    """One connection: whose records, which of them, and how large an answer may be."""

    tenant: Tenant
    entities: tuple[str, ...]
    response_bytes: int = _RESPONSE


@dataclass(frozen=True)
class _Given(SecretRef):
    """A secret that Fivetran keeps and hands over with every call."""

    value: str = field(default="", repr=False)

    def reveal(self) -> str:
        return self.value


def parse(settings: Mapping[str, object]) -> Configuration:
    """Read a connection's settings; raises ConfigError naming the setting that is wrong, never its value."""
    texts = _texts(settings)
    tenant_id, time_zone = texts["tenant_id"], texts.get("time_zone", "Europe/Berlin")
    _check(tenant_id, time_zone, texts["auth_url"])
    source = ProHandelSource(
        auth_url=texts["auth_url"].rstrip("/"),
        api_key=_Given("configuration", "api_key", value=texts["api_key"]),
        api_secret=_Given("configuration", "api_secret", value=texts["api_secret"]),
        page_size=_whole(texts, "page_size", 1000, most=LARGEST_PAGE),
        filters=Filters(*(texts.get(f"{name}_parameter") for name in ("changed_from", "day_from", "day_until"))),
        calls_per_minute=_whole(texts, "calls_per_minute", 0, most=60_000) or None,
    )
    tenant = Tenant(tenant_id, tenant_id, "EUR", time_zone, "de", {}, source)
    size = _whole(texts, "response_bytes", _RESPONSE, most=LARGEST_RESPONSE)
    return Configuration(tenant, _entities(texts.get("entities", "")), size)


def _texts(settings: Mapping[str, object]) -> dict[str, str]:
    """The settings that are set; all are texts and all are known."""
    if not isinstance(settings, Mapping):
        raise ConfigError("the configuration must be a flat mapping of texts")
    known = (*REQUIRED, *OPTIONAL)
    if set(settings) - set(known):
        raise ConfigError(f"the configuration has a setting that is not known; expected {', '.join(known)}")
    for name, value in settings.items():
        if not isinstance(value, str):
            raise ConfigError(f"{name}: expected a text, got {type(value).__name__}; quote it")
    texts = {name: str(value).strip() for name, value in settings.items() if str(value).strip()}
    if missing := [name for name in REQUIRED if name not in texts]:
        raise ConfigError(f"the configuration lacks {', '.join(missing)}")
    return texts


def _check(tenant_id: str, time_zone: str, auth_url: str) -> None:
    try:
        check_facts(tenant_id, "EUR", time_zone, {})
    except ConfigError:
        raise ConfigError(
            "tenant_id: expected lower case letters, digits and _, starting with a letter; time_zone: one like "
            "Europe/Berlin; one of them is none"
        ) from None
    try:
        url = urlsplit(auth_url)
        is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
        names_a_host = bool(url.hostname) and not url.username and not url.password and (url.port or 1) > 0
    except ValueError:
        is_safe = names_a_host = False
    if not (is_safe and names_a_host):
        raise ConfigError("auth_url: expected https://HOST without user and password")


def _whole(texts: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    text = texts.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:10]) <= most:
        raise ConfigError(f"{name}: expected a whole number from 1 to {most:,}")
    return int(text[:10])


def _entities(text: str) -> tuple[str, ...]:
    """The named entities in the order of the contracts, all of them when none are named."""
    named = set(text.replace(",", " ").split())
    if named - set(CONTRACTS):
        raise ConfigError(f"entities: one of them is not known; expected some of {', '.join(CONTRACTS)}")
    return tuple(entity for entity in CONTRACTS if entity in named or not named)
