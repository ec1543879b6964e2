"""Tenant files and credentials of sandbox merchants, so that Mercurios finds them like any other merchant.

merchants = enrol([("north", entities, profile)], Path("var/tenants"))
write_tenant_files(merchants, Path("var/tenants"), sandbox.auth_url)
"""

import os
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import yaml

from mercurios.errors import ConfigError
from mercurios.sandbox.merchant import Entities, Merchant, Profile
from mercurios.sandbox.rules import Rules
from mercurios.tenancy import check_facts

_MARK = "# Written by `mercurios sandbox`; it is written anew at every start.\n"
_DATA = "# Data: "
_KINDS = ("key", "secret")


def check_place(name: str, profile: Profile, folder: Path, *, replace: bool = False) -> None:
    """Raise ConfigError for facts that no tenant file may hold, or when another merchant's file is in the way.

    replace: whether a file that the sandbox wrote for other data, or in another currency, may be written anew.
    """
    check_facts(name, profile.currency, profile.time_zone, profile.vat_rates)
    path = folder / f"{name}.yaml"
    if not path.exists():
        return
    if not is_sandbox_file(path):
        raise ConfigError(f"{path} was not written by the sandbox; rename the merchant or move the file away")
    if not replace and (was := _other(path, profile)):
        raise ConfigError(
            f"tenant {name} is there already with other data ({was}); say another name with --merchant, or --replace"
        )


def _other(path: Path, profile: Profile) -> str | None:
    """What a file of the sandbox was written for, when that is something else; older files tell name and currency."""
    text = path.read_text(encoding="utf-8")
    data = text.removeprefix(_MARK).partition("\n")[0]
    try:
        facts = yaml.safe_load(text)
        was, now = (facts["name"], facts["currency"]), (profile.title, profile.currency)
    except (yaml.YAMLError, KeyError, TypeError):
        return "which cannot be read"
    if data.startswith(_DATA) and profile.origin:
        was, now = (data.removeprefix(_DATA), was[1]), (profile.origin, profile.currency)
    return None if was == now else ", ".join(was)


def enrol(offers: Iterable[tuple[str, Entities, Profile]], folder: Path) -> list[Merchant]:
    """Merchants with the credentials kept in `folder`; made at random and kept there when they are missing.

    Raises ConfigError, before anything is written, for a name, currency or time zone that no tenant file may hold.
    """
    for name, _, profile in (offered := list(offers)):
        check_facts(name, profile.currency, profile.time_zone, profile.vat_rates)
    return [
        Merchant(name, _credential(folder, name, "key"), _credential(folder, name, "secret"), entities, profile)
        for name, entities, profile in offered
    ]


def write_tenant_files(
    merchants: Iterable[Merchant], folder: Path, auth_url: str, *, rules: Rules | None = None
) -> list[Path]:
    """Write `<name>.yaml` and the two credential files (mode 0600) of every merchant; returns the tenant files.

    The filters of `rules` stand in the tenant files, as an engineer would write them who knows the merchant's API.
    Raises ConfigError, before anything is written, when a tenant file of that name was not written by the sandbox.
    """
    named = {folder / f"{merchant.name}.yaml": merchant for merchant in merchants}
    for path in named:
        if path.exists() and not is_sandbox_file(path):
            raise ConfigError(f"{path} was not written by the sandbox; rename the merchant or move the file away")
    for path, merchant in named.items():
        for kind, value in zip(_KINDS, (merchant.api_key, merchant.api_secret), strict=True):
            _write(_place(folder, merchant.name, kind), value + "\n", mode=0o600)
        origin = f"{_DATA}{merchant.profile.origin}\n" if merchant.profile.origin else ""
        _write(path, _MARK + origin + _tenant(merchant, auth_url, rules or Rules()), mode=0o644)
    return list(named)


def is_sandbox_file(path: Path) -> bool:
    """Whether the sandbox wrote this tenant file."""
    return path.read_text().startswith(_MARK)


def _tenant(merchant: Merchant, auth_url: str, rules: Rules) -> str:
    profile = merchant.profile
    source: dict[str, object] = {f"api_{kind}": f"file:{_place(Path(), merchant.name, kind)}" for kind in _KINDS}
    if rules.filters:
        source["filters"] = {bound: name for bound, name in asdict(rules.filters).items() if name}
    tenant = {
        "id": merchant.name,
        "name": profile.title,
        "currency": profile.currency,
        "time_zone": profile.time_zone,
        "locale": profile.locale,
        "vat_rates": dict(profile.vat_rates),
        "source": {"auth_url": auth_url, **source},
    }
    return yaml.safe_dump(tenant, sort_keys=False, allow_unicode=True)


def _credential(folder: Path, name: str, kind: str) -> str:
    path = _place(folder, name, kind)
    kept = path.read_text().strip() if path.is_file() else ""
    if not kept:
        kept = secrets.token_urlsafe(24)
        _write(path, kept + "\n", mode=0o600)
    return kept


def _place(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}.api_{kind}"


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file in one step; its mode holds from the first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
    os.replace(unfinished, path)
