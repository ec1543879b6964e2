"""The items an account should have, from what is declared, the tenants and the keys.

items = wanted(read_declaration(), ("north", "south"), keys={})
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from string import Template

import yaml

from mercurios.account import policies
from mercurios.account.declaration import Declaration, Role, Size
from mercurios.account.items import Fact, Facts, Item
from mercurios.account.keys import PublicKey
from mercurios.account.names import flat, plain, texts
from mercurios.errors import ConfigError

_COSTS = Path(__file__).with_name("costs.yaml")
_SERVICES_RULE, _SERVICES_POLICY, _ACCOUNT_MONITOR = "services", "mercurios_services", "mercurios_account"
_UPPERMOST = "sysadmin"


def tenant_role(tenant: str) -> str:
    """The role, and the warehouse, of a tenant."""
    return plain(f"tenant_{plain(tenant)}")


def wanted(declaration: Declaration, tenants: Sequence[str], keys: Mapping[str, PublicKey]) -> tuple[Item, ...]:
    """Everything but what follows from the tables that are there (see `planning`).

    Raises ConfigError when a quota does not fit under the account's, or a tenant's id is not plain.
    """
    _check_quotas(declaration, tenants)
    return (
        *_monitors(declaration, tenants),
        *_warehouses(declaration, tenants),
        Item("account", "account", {"resource_monitor": _ACCOUNT_MONITOR}),
        *_places(declaration),
        *_roles(declaration, tenants),
        *_tenants(declaration, tenants),
        *_policies(declaration),
        *_network(declaration),
        *_users(declaration, keys),
        *_costs(declaration),
        *(Item("grant", grant) for grant in sorted({*_grants(declaration), *_tenant_grants(declaration, tenants)})),
        *_taggings(declaration, tenants),
    )


def budget(declaration: Declaration, tenant: str) -> int:
    """Credits a month of a tenant's warehouse."""
    return declaration.tenants.budgets.get(tenant, declaration.tenants.credits)


def _check_quotas(declaration: Declaration, tenants: Sequence[str]) -> None:
    """Else the account's monitor would stop everybody while tenants are still within what they were promised."""
    ours = sum(each.credits for each in declaration.warehouses.values())
    theirs = sum(budget(declaration, tenant) for tenant in tenants)
    needed, given = ours + theirs, declaration.account_credits
    if needed > given:
        raise ConfigError(
            f"account_credits is {given} a month, {needed - given} too few: the warehouses may spend {ours}, the "
            f"{len(tenants)} tenants {theirs}; write account_credits: {needed} or more, or smaller tenants.credits or "
            "tenants.budgets, into a copy of account.yaml and name it with --declaration"
        )


def _monitors(declaration: Declaration, tenants: Sequence[str]) -> Iterator[Item]:
    quotas = {_ACCOUNT_MONITOR: declaration.account_credits}
    quotas |= {name: each.credits for name, each in declaration.warehouses.items()}
    quotas |= {tenant_role(tenant): budget(declaration, tenant) for tenant in tenants}
    steps = declaration.steps
    for name, quota in quotas.items():
        facts: Facts = {"credit_quota": quota, "frequency": "monthly", "notify": tuple(sorted(set(steps.notify)))}
        yield Item("monitor", name, {**facts, "suspend": steps.suspend, "suspend_immediate": steps.suspend_immediate})


def _warehouses(declaration: Declaration, tenants: Sequence[str]) -> Iterator[Item]:
    for name, each in declaration.warehouses.items():
        yield _warehouse(name, each.size, each.auto_suspend_seconds, each.timeout_seconds)
    each_tenant = declaration.tenants
    for tenant in tenants:
        yield _warehouse(tenant_role(tenant), each_tenant.size, 60, each_tenant.timeout_seconds)


def _warehouse(name: str, size: Size, auto_suspend: int, timeout: int) -> Item:
    facts: Facts = {"warehouse_size": size, "auto_suspend": auto_suspend, "auto_resume": True, "resource_monitor": name}
    return Item("warehouse", name, {**facts, "statement_timeout_in_seconds": timeout})


def _places(declaration: Declaration) -> Iterator[Item]:
    database = declaration.database
    yield Item("database", database, {"data_retention_time_in_days": declaration.retention_days})
    for name, comment in declaration.schemas.items():
        yield Item("schema", f"{database}.{name}", {"managed_access": True, "comment": comment})
    governance = declaration.governance
    yield Item("tag", f"{governance}.{policies.COST_TAG}", {"allowed_values": tuple(sorted(declaration.cost_centers))})
    yield Item("tag", f"{governance}.{policies.PERSONAL_TAG}", {"allowed_values": ("yes",)})
    yield Item("table", f"{governance}.{policies.TENANTS_TABLE}", {"columns": policies.TENANTS_COLUMNS})


def _policies(declaration: Declaration) -> Iterator[Item]:
    governance = declaration.governance
    body = policies.isolation(declaration)
    yield Item("row policy", f"{governance}.{policies.ROW_POLICY}", {"signature": policies.ROW_SIGNATURE, "body": body})
    facts = {"signature": policies.MASKING_SIGNATURE, "body": policies.masking(declaration)}
    yield Item("masking policy", f"{governance}.{policies.MASKING_POLICY}", facts)
    masked = {"masking_policy": f"{governance}.{policies.MASKING_POLICY}"}
    yield Item("masked tag", f"{governance}.{policies.PERSONAL_TAG}", masked)


def _network(declaration: Declaration) -> Iterator[Item]:
    rule = f"{declaration.governance}.{_SERVICES_RULE}"
    facts: Facts = {"type": "ipv4", "mode": "ingress", "value_list": tuple(sorted(declaration.networks))}
    yield Item("network rule", rule, facts)
    yield Item("network policy", _SERVICES_POLICY, {"allowed_network_rule_list": (rule,)})


def _roles(declaration: Declaration, tenants: Sequence[str]) -> Iterator[Item]:
    for name, role in declaration.roles.items():
        yield Item("role", name, {"comment": role.comment})
    for tenant in tenants:
        yield Item("role", tenant_role(tenant), {"comment": f"sees the rows of tenant {tenant}"})


def _tenants(declaration: Declaration, tenants: Sequence[str]) -> Iterator[Item]:
    table = f"{declaration.governance}.{policies.TENANTS_TABLE}"
    for tenant in tenants:
        name = tenant_role(tenant).upper()
        facts: Facts = {"role_name": name, "warehouse_name": name, "budget_credits": budget(declaration, tenant)}
        yield Item("tenant", f"{table}.{tenant}", facts)


def _users(declaration: Declaration, keys: Mapping[str, PublicKey]) -> Iterator[Item]:
    for name, user in declaration.users.items():
        facts: dict[str, Fact] = {
            "type": "service",
            "default_role": user.role,
            "default_warehouse": user.warehouse,
            "default_secondary_roles": (),
            "network_policy": _SERVICES_POLICY,
            "disabled": False,
        }
        if name in keys:
            facts |= {"rsa_public_key": keys[name].body, "rsa_public_key_fp": keys[name].fingerprint}
        yield Item("user", name, facts)


def _costs(declaration: Declaration) -> Iterator[Item]:
    content = yaml.safe_load(_COSTS.read_text(encoding="utf-8"))
    values = {"database": declaration.database, "shared": texts(name.upper() for name in declaration.warehouses)}
    place = f"{declaration.database}.costs"
    for name, columns in content["tables"].items():
        yield Item("table", f"{place}.{name}", {"columns": flat(columns)})
    for name, view in content["views"].items():
        facts = {"text": flat(Template(view["sql"]).substitute(values))}
        if "waits_for" in view:
            facts["waits_for"] = f"{declaration.database}.{view['waits_for']}"
        yield Item("view", f"{place}.{name}", facts)
    for name, task in content["tasks"].items():
        facts = {"schedule": task["schedule"], "definition": flat(Template(task["definition"]).substitute(values))}
        yield Item("task", f"{place}.{name}", {**facts, "state": "started"})


def _grants(declaration: Declaration) -> Iterator[str]:
    database = declaration.database
    for name, role in declaration.roles.items():
        watched = declaration.warehouses if role.watches else ()
        yield f"role {name} to role {_UPPERMOST}"
        yield f"usage on database {database} to role {name}"
        yield from (f"usage on warehouse {warehouse} to role {name}" for warehouse in role.warehouses)
        yield from (f"monitor on warehouse {warehouse} to role {name}" for warehouse in watched)
        yield from (f"usage on stage {database}.{stage} to role {name}" for stage in role.unloads)
        yield from (f"usage on schema {database}.{schema} to role {name}" for schema in role.schemas)
        for schema, which, what in product(role.reads, ("all", "future"), ("tables", "views")):
            yield f"select on {which} {what} in schema {database}.{schema} to role {name}"
        yield from _building_grants(declaration, name, role)
    for name, user in declaration.users.items():
        yield f"role {user.role} to user {name}"


def _building_grants(declaration: Declaration, name: str, role: Role) -> Iterator[str]:
    """Who builds a table binds the policies to it, and so must see where they are."""
    governance = declaration.governance
    for schema, what in product(role.builds, ("table", "view")):
        yield f"create {what} on schema {declaration.database}.{schema} to role {name}"
    if role.builds:
        yield f"usage on schema {governance} to role {name}"
        yield f"apply on row access policy {governance}.{policies.ROW_POLICY} to role {name}"
        yield f"apply on masking policy {governance}.{policies.MASKING_POLICY} to role {name}"


def _tenant_grants(declaration: Declaration, tenants: Sequence[str]) -> Iterator[str]:
    for name in map(tenant_role, tenants):
        yield f"role {name} to role {_UPPERMOST}"
        yield f"role {declaration.tenants.role} to role {name}"
        yield f"usage on warehouse {name} to role {name}"


def _taggings(declaration: Declaration, tenants: Sequence[str]) -> Iterator[Item]:
    tag = f"{declaration.governance}.{policies.COST_TAG}"
    centers = {f"warehouse {name}": each.cost_center for name, each in declaration.warehouses.items()}
    centers |= {f"warehouse {tenant_role(tenant)}": "tenant" for tenant in tenants}
    centers |= {f"user {name}": user.cost_center for name, user in declaration.users.items()}
    for name, center in centers.items():
        yield Item("tagging", name, {tag: center})
