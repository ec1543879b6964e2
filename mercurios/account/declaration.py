"""What is declared: read from YAML, checked as a whole, everything that is wrong told at once.

declaration = read_declaration(PACKAGED)
declaration.warehouses["loading"].auto_suspend_seconds
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mercurios.account.names import PLAIN, Name
from mercurios.errors import ConfigError

PACKAGED = Path(__file__).with_name("account.yaml")
_LARGEST_FILE = 1_000_000

Size = Literal["xsmall", "small", "medium", "large", "xlarge"]
Percent = Annotated[int, Field(ge=1, le=999, strict=True)]
Credits = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Seconds = Annotated[int, Field(ge=60, le=604_800, strict=True)]
Comment = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", strict=True)]
StageName = Annotated[str, Field(pattern=rf"^{PLAIN.pattern}\.{PLAIN.pattern}$", strict=True)]
Network = Annotated[str, Field(strict=True), AfterValidator(lambda value: str(ip_network(value)))]
_MOST_NOTICES = 5
"""Snowflake takes no more steps of a monitor that only tell."""
_GOVERNED = {"governance", "costs"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Steps(_Strict):
    """What a resource monitor does at which per cent of its quota."""

    notify: Annotated[tuple[Percent, ...], Field(max_length=_MOST_NOTICES)]
    suspend: Percent
    suspend_immediate: Percent

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.notify or max(self.notify) >= self.suspend or self.suspend >= self.suspend_immediate:
            raise ValueError("expected notify steps below suspend, and suspend below suspend_immediate")
        return self


class Warehouse(_Strict):
    """A virtual warehouse, with a resource monitor of its name."""

    size: Size
    credits: Credits
    timeout_seconds: Seconds
    cost_center: Name
    auto_suspend_seconds: Seconds = 60


class Role(_Strict):
    """Who may do what; see account.yaml."""

    comment: Comment
    warehouses: tuple[Name, ...] = ()
    reads: tuple[Name, ...] = ()
    builds: tuple[Name, ...] = ()
    unloads: tuple[StageName, ...] = ()
    all_tenants: bool = False
    personal: bool = False
    watches: bool = False

    @property
    def schemas(self) -> set[str]:
        """Every schema that it works in."""
        return {*self.reads, *self.builds, *(stage.partition(".")[0] for stage in self.unloads)}


class User(_Strict):
    """A service user."""

    role: Name
    warehouse: Name
    cost_center: Name


class Tenants(_Strict):
    """What every tenant gets. budgets: credits a month of some, `credits` of all others."""

    role: Name
    size: Size
    timeout_seconds: Seconds
    credits: Credits
    budgets: dict[Name, Credits] = {}


class Personal(_Strict):
    """Names of columns that are masked, and the schemas whose tables have them."""

    schemas: tuple[Name, ...]
    columns: tuple[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$", strict=True)], ...]


class Declaration(_Strict):
    """An account as it should be."""

    database: Name
    retention_days: Annotated[int, Field(ge=0, le=90, strict=True)]
    account_credits: Credits
    steps: Steps
    cost_centers: tuple[Name, ...]
    schemas: dict[Name, Comment]
    warehouses: dict[Name, Warehouse]
    roles: dict[Name, Role]
    users: dict[Name, User]
    networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    tenants: Tenants
    personal: Personal

    @property
    def governance(self) -> str:
        """The schema of policies, tags and tenants, with its database."""
        return f"{self.database}.governance"

    @model_validator(mode="after")
    def _refer(self) -> Self:
        if wrong := sorted((*self._dangling(), *self._forbidden())):
            raise ValueError("; ".join(wrong))
        return self

    def _dangling(self) -> Iterator[str]:
        roles, users = self.roles.values(), self.users.values()
        payers: tuple[Warehouse | User, ...] = (*self.warehouses.values(), *users)
        used: dict[str, tuple[Iterable[str], set[str]]] = {
            "schema": (self.schemas, _GOVERNED.union(self.personal.schemas, *(role.schemas for role in roles))),
            "warehouse": (self.warehouses, {u.warehouse for u in users}.union(*(role.warehouses for role in roles))),
            "role": (self.roles, {self.tenants.role, *(user.role for user in users)}),
            "cost_center": (self.cost_centers, {"tenant", *(each.cost_center for each in payers)}),
        }
        for kind, (known, names) in used.items():
            yield from (f"{kind} {name} is used and not declared" for name in names.difference(known))

    def _forbidden(self) -> Iterator[str]:
        for name, role in self.roles.items():
            if _GOVERNED & set(role.builds):
                yield f"role {name} may not build in {' or '.join(sorted(_GOVERNED))}: only apply does"
        if self.roles.get(self.tenants.role, Role(comment="none")).all_tenants:
            yield f"role {self.tenants.role} is every tenant's and may not see all tenants"
        for name in (*self.roles, *self.warehouses):
            if name.startswith("tenant_"):
                yield f"{name}: names that begin with tenant_ are made for tenants"


def read_declaration(path: Path = PACKAGED) -> Declaration:
    """Read a declaration; raises ConfigError that names everything wrong with it."""
    if path.stat().st_size > _LARGEST_FILE:
        raise ConfigError(f"{path}: expected a declaration of at most {_LARGEST_FILE:,} bytes")
    try:
        return Declaration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected YAML in UTF-8 ({type(error).__name__}); see {PACKAGED.name}") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"{path}: " + "; ".join(wrong)) from None
