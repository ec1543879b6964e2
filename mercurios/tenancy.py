"""Tenants: who a merchant is and how their system is reached.

    tenants = TenantDirectory(Path("var/tenants"))
    north = tenants.get("north")
    north.source.api_secret.reveal()

One YAML file a tenant. Credentials are references (see `mercurios.secrets`), never values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from mercurios.errors import ConfigError, UnknownTenant
from mercurios.secrets import SecretRef

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TENANT_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class ProHandelSource:
    """How one merchant's ProHandel is reached. `auth_url` is a host; the API's own host comes with the token."""

    auth_url: str
    api_key: SecretRef
    api_secret: SecretRef
    page_size: int = 1000


@dataclass(frozen=True)
class Tenant:
    """A merchant. `vat_rates` maps ProHandel tax numbers to fractions (0.19 is 19 %)."""

    id: str
    name: str
    currency: str
    time_zone: str
    locale: str
    vat_rates: Mapping[int, float]
    source: ProHandelSource


def parse_tenant(text: str, folder: Path) -> Tenant:
    """Read one tenant from YAML; raises ConfigError naming the first field that is wrong."""
    try:
        raw = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:  # its text would quote the line, and the line may hold a secret
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"the tenant file is no YAML: {error.problem} in line {line}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError("the tenant file is no YAML") from error
    if not isinstance(raw, dict):
        raise ConfigError("a tenant file holds a mapping with id, name, currency, time_zone, locale, vat_rates, source")
    try:
        return _tenant(raw, folder)
    except KeyError as error:
        raise ConfigError(f"the tenant file lacks {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"the tenant file has a value of the wrong kind: {error}") from error


def _tenant(raw: Mapping[str, Any], folder: Path) -> Tenant:
    source = raw["source"]
    tenant = Tenant(
        id=str(raw["id"]),
        name=str(raw["name"]),
        currency=str(raw["currency"]),
        time_zone=str(raw["time_zone"]),
        locale=str(raw.get("locale", "de")),
        vat_rates={int(number): float(rate) for number, rate in raw["vat_rates"].items()},
        source=ProHandelSource(
            auth_url=str(source["auth_url"]).rstrip("/"),
            api_key=SecretRef.parse(str(source["api_key"]), folder),
            api_secret=SecretRef.parse(str(source["api_secret"]), folder),
            page_size=int(source.get("page_size", 1000)),
        ),
    )
    _check(tenant)
    return tenant


def _check(tenant: Tenant) -> None:
    check_facts(tenant.id, tenant.currency, tenant.time_zone, tenant.vat_rates)
    url = urlsplit(tenant.source.auth_url)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
        raise ConfigError(
            f"tenant {tenant.id}: auth_url must be https://HOST (http on loopback only), or secrets travel open"
        )
    if not url.hostname or url.username or url.password:
        raise ConfigError(f"tenant {tenant.id}: auth_url names a host and no user or password")
    if not 1 <= tenant.source.page_size <= 10_000:
        raise ConfigError(f"tenant {tenant.id}: page_size {tenant.source.page_size}, expected 1 to 10,000")


def check_facts(tenant_id: str, currency: str, time_zone: str, vat_rates: Mapping[int, float]) -> None:
    """Raise ConfigError when an id, currency, time zone or VAT rate is none."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise ConfigError(f"tenant id {tenant_id!r}: expected lower case letters, digits and _, starting with a letter")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise ConfigError(f"tenant {tenant_id}: currency {currency!r} is no ISO 4217 code such as EUR")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"tenant {tenant_id}: unknown time zone {time_zone!r}, e.g. Europe/Berlin") from error
    if any(not 0 <= rate < 1 for rate in vat_rates.values()):
        raise ConfigError(f"tenant {tenant_id}: VAT rates are fractions, 0.19 for 19 %")


@dataclass(frozen=True)
class TenantDirectory:
    """The folder of tenant files, one `<id>.yaml` each."""

    folder: Path

    def ids(self) -> tuple[str, ...]:
        """Ids of all tenants, sorted."""
        files = (path for path in self.folder.glob("*.yaml") if path.is_file())
        return tuple(sorted(path.stem for path in files if TENANT_ID.fullmatch(path.stem)))

    def get(self, tenant_id: str) -> Tenant:
        """Return one tenant; raises UnknownTenant listing those that exist."""
        path = self.folder / f"{tenant_id}.yaml"
        if not TENANT_ID.fullmatch(tenant_id) or not path.is_file():
            known = ", ".join(self.ids()) or "none yet"
            raise UnknownTenant(f"no tenant {tenant_id!r}; known: {known}; add one as {self.folder}/<id>.yaml")
        try:
            tenant = parse_tenant(path.read_text(encoding="utf-8"), path.parent)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is no UTF-8 text") from error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        if tenant.id != tenant_id:
            raise ConfigError(f"{path} holds tenant {tenant.id!r}; its name must be {tenant.id}.yaml")
        return tenant

    def all(self) -> tuple[Tenant, ...]:
        """Every tenant, sorted by id."""
        return tuple(self.get(tenant_id) for tenant_id in self.ids())
