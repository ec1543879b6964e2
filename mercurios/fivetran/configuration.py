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

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from mercurios.errors import ConfigError
from mercurios.secrets import SecretRef
from mercurios.sources.contracts import CONTRACTS
from mercurios.tenancy import ProHandelSource, Tenant, check_facts, parse_tenant

SECRETS = ("api_key", "api_secret")
REQUIRED = ("tenant_id", "auth_url", *SECRETS)
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
    return Configuration(_tenant(texts), _entities(texts.get("entities", "")), _response_bytes(texts))


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


def _tenant(texts: Mapping[str, str]) -> Tenant:
    """The tenant as its file would tell it, with the secrets at hand instead of references to them."""
    tenant_id, time_zone = texts["tenant_id"], texts.get("time_zone", "Europe/Berlin")
    try:
        check_facts(tenant_id, "EUR", time_zone, {})
    except ConfigError:  # its text quotes what came
        raise ConfigError(
            "tenant_id: expected lower case letters, digits and _, starting with a letter; time_zone: one like "
            "Europe/Berlin; one of them is none"
        ) from None
    file = {"id": tenant_id, "name": tenant_id, "currency": "EUR", "time_zone": time_zone, "vat_rates": {}}
    try:
        tenant = parse_tenant(yaml.safe_dump({**file, "source": _source(texts)}), Path())
    except ConfigError as error:
        raise ConfigError(_as_setting(str(error))) from None
    assert isinstance(tenant.source, ProHandelSource)
    key, secret = (_Given("configuration", name, value=texts[name]) for name in SECRETS)
    return replace(tenant, source=replace(tenant.source, api_key=key, api_secret=secret))


def _source(texts: Mapping[str, str]) -> dict[str, object]:
    """`source` of a tenant file. References stand for the secrets: what is read here may be quoted."""
    numbers = {name: _number(texts[name]) for name in ("page_size", "calls_per_minute") if name in texts}
    filters = {name: texts.get(f"{name}_parameter") for name in ("changed_from", "day_from", "day_until")}
    secrets = {name: f"env:{name}" for name in SECRETS}
    return {"auth_url": texts["auth_url"], "filters": filters, **secrets, **numbers}


def _as_setting(message: str) -> str:
    return re.sub(r"source\.", "", re.sub(r"source\.filters\.(\w+)", r"\1_parameter", message))


def _number(text: str) -> int | str:
    """A whole number; the text itself when it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text


def _response_bytes(texts: Mapping[str, str]) -> int:
    number = _number(texts.get("response_bytes", str(_RESPONSE)))
    if not isinstance(number, int) or not 1 <= number <= LARGEST_RESPONSE:
        raise ConfigError(f"response_bytes: expected a whole number from 1 to {LARGEST_RESPONSE:,}")
    return number


def _entities(text: str) -> tuple[str, ...]:
    """The named entities in the order of the contracts, all of them when none are named."""
    named = set(text.replace(",", " ").split())
    if named - set(CONTRACTS):
        raise ConfigError(f"entities: one of them is not known; expected some of {', '.join(CONTRACTS)}")
    return tuple(entity for entity in CONTRACTS if entity in named or not named)
