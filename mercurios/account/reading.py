"""What an account has, from SHOW and DESCRIBE, in the words of what is declared.

    live = read_account(session, declaration, wanted)
    live.items["warehouse", "loading"].facts["auto_suspend"]

SHOW needs no warehouse; which policies and tags are bound is told by table functions, which do.
"""

import json
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mercurios.account import bindings, policies
from mercurios.account.declaration import Declaration
from mercurios.account.grants import read_grants
from mercurios.account.items import Fact, Item
from mercurios.account.names import flat, found, found_path, granted_path, shown, text
from mercurios.account.session import Row, Session
from mercurios.errors import WarehouseError

_SYSTEM_ROLES = {"accountadmin", "orgadmin", "securityadmin", "useradmin", "sysadmin", "public", "globalorgadmin"}
_SYSTEM_DATABASES = {"snowflake", "snowflake_sample_data"}
_SYSTEM_SCHEMAS = {"information_schema", "public"}
_LENGTH = re.compile(r"varchar\(\d+\)")
"""Signatures are told with the greatest length of a text, or without."""
_STEPS = {"notify": "notify_at", "suspend": "suspend_at", "suspend_immediate": "suspend_immediately_at"}


@dataclass(frozen=True)
class Live:
    """What is there. tables: `database.schema.table`; tenant_tables: those with a column tenant_id.

    unmaskable: personal columns that are no text, which the mask does not fit.
    """

    items: Mapping[tuple[str, str], Item]
    tables: frozenset[str] = frozenset()
    tenant_tables: frozenset[str] = frozenset()
    personal_columns: frozenset[str] = frozenset()
    unmaskable: frozenset[str] = frozenset()


def read_account(session: Session, declaration: Declaration, wanted: Iterable[Item]) -> Live:
    """Read everything that is declared in depth, and the names of what is not.

    Raises WarehouseError, also where the account answers otherwise than Snowflake documents it.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for item in wanted:
        names[item.kind].append(item.name)
    try:
        return _read(session, declaration, names)
    except (KeyError, ValueError) as error:
        raise WarehouseError(
            f"the account answered otherwise than documented ({type(error).__name__}: {shown(str(error))[:80]}), so it "
            "cannot be compared; nothing was changed"
        ) from error


def _read(session: Session, declaration: Declaration, names: Mapping[str, list[str]]) -> Live:
    items = [*_monitors(session), *_warehouses(session, names), *_roles(session)]
    items += [*_databases(session), *_users(session, names), *_network_policies(session, names)]
    if ("database", declaration.database) not in (known := _keys(items)):
        items += read_grants(session, declaration.database, names, known, {})
        return Live({item.key: item for item in items})
    _use_warehouse(session, items, names["warehouse"])
    return _with_database(session, declaration, items, names)


def _keys(items: Iterable[Item]) -> set[tuple[str, str]]:
    return {item.key for item in items}


def _with_database(
    session: Session, declaration: Declaration, items: list[Item], names: Mapping[str, list[str]]
) -> Live:
    database = declaration.database
    items += _schemas(session, database)
    relations = {kind: _relations(session, kind, database) for kind in ("table", "view")}
    items += [Item("table", name) for name in relations["table"] if name in names["table"]]
    known = _keys(items)
    if ("schema", declaration.governance) in known:
        items += _governed(session, declaration, known, names)
    if ("schema", costs := f"{database}.costs") in known:
        items += _costs(session, costs)
    items += read_grants(session, database, names, known, relations)
    items += bindings.taggings(session, database, items, names["tagging"])
    wanted = (*declaration.personal.columns, "tenant_id")
    columns = bindings.columns(session, database, wanted, relations["table"])
    personal = frozenset(name for name in columns if _is_personal(declaration, name))
    unmasked = frozenset(name for name in personal if columns[name] != "TEXT")
    items += bindings.column_tags(session, database, personal - unmasked)
    owners = frozenset(name.rpartition(".")[0] for name in columns if name.endswith(".tenant_id"))
    bound = {item.name for item in items if item.kind == "protection"}
    items += bindings.other_protections(session, database, sorted(owners - bound))
    tables = frozenset(relations["table"])
    return Live({item.key: item for item in items}, tables, owners, personal - unmasked, unmasked)


def _is_personal(declaration: Declaration, name: str) -> bool:
    _, schema, *_, column = name.split(".")
    return schema in declaration.personal.schemas and column in declaration.personal.columns


def _use_warehouse(session: Session, items: list[Item], declared: list[str]) -> None:
    """Let table functions be answered by a declared warehouse that may run; a small one, first declared."""
    able = {item.name for item in items if item.kind == "warehouse" and item.facts.get("auto_resume")}
    usable = [name for name in declared if name in able]
    if not usable:
        raise WarehouseError(
            "no declared warehouse resumes, so what is bound to tables cannot be read; after an emergency stop: "
            "`mercurios snowflake stop --undo`, else create one of the declared warehouses by hand"
        )
    session.rows(f"use warehouse {usable[0]}")


def _percents(value: object) -> tuple[int, ...]:
    return tuple(sorted(int(each.strip(" %")) for each in str(value or "").split(",") if each.strip(" %")))


def _monitors(session: Session) -> Iterator[Item]:
    for row in session.rows("show resource monitors"):
        name = found(row["name"])
        steps = {ours: _percents(row[theirs]) for ours, theirs in _STEPS.items()}
        single = {step: percents[0] if len(percents) == 1 else percents for step, percents in steps.items()}
        quota = int(float(row["credit_quota"])) if row["credit_quota"] else None
        facts: dict[str, Fact] = {**single, "notify": steps["notify"], "credit_quota": quota}
        yield Item("monitor", name, {**facts, "frequency": str(row["frequency"]).lower()})
        if row["level"] == "ACCOUNT":
            yield Item("account", "account", {"resource_monitor": name})


def _is(value: object) -> bool:
    return str(value).lower() in {"true", "y", "yes"}


def _name_or_none(value: object) -> str | None:
    return None if value in (None, "", "null") else found(str(value))


def _parameter(session: Session, name: str, place: str) -> str:
    rows = session.rows(f"show parameters like {text(name)} in {place}")
    return str(rows[0]["value"]) if rows else ""


def _warehouses(session: Session, names: Mapping[str, list[str]]) -> Iterator[Item]:
    for row in session.rows("show warehouses"):
        name = found(row["name"])
        facts: dict[str, Fact] = {"auto_resume": _is(row["auto_resume"])}
        if name in names["warehouse"]:
            timeout = _parameter(session, "STATEMENT_TIMEOUT_IN_SECONDS", f"warehouse {name}")
            facts |= {
                "warehouse_size": re.sub("[^a-z0-9]", "", str(row["size"]).lower()),
                "auto_suspend": int(row["auto_suspend"] or 0),
                "resource_monitor": _name_or_none(row["resource_monitor"]),
                "statement_timeout_in_seconds": int(timeout),
            }
        yield Item("warehouse", name, facts)


def _roles(session: Session) -> Iterator[Item]:
    for row in session.rows("show roles"):
        if found(row["name"]) not in _SYSTEM_ROLES:
            yield Item("role", found(row["name"]), {"comment": row["comment"]})


def _databases(session: Session) -> Iterator[Item]:
    for row in session.rows("show databases"):
        if found(row["name"]) not in _SYSTEM_DATABASES:
            yield Item("database", found(row["name"]), {"data_retention_time_in_days": int(row["retention_time"] or 0)})


def _schemas(session: Session, database: str) -> Iterator[Item]:
    for row in session.rows(f"show schemas in database {database}"):
        if found(row["name"]) not in _SYSTEM_SCHEMAS:
            facts = {"managed_access": "MANAGED ACCESS" in str(row["options"]), "comment": row["comment"]}
            yield Item("schema", f"{database}.{found(row['name'])}", facts)


def _relations(session: Session, kind: str, database: str) -> tuple[str, ...]:
    rows = session.rows(f"show {kind}s in database {database}")
    return tuple(
        found_path(row["database_name"], row["schema_name"], row["name"])
        for row in rows
        if found(row["schema_name"]) not in _SYSTEM_SCHEMAS
    )


def _users(session: Session, names: Mapping[str, list[str]]) -> Iterator[Item]:
    for row in session.rows("show users"):
        name, kind = found(row["name"]), str(row["type"] or "person").lower()
        if name in names["user"]:
            yield Item("user", name, {"type": kind, **_described_user(session, name)})
        elif kind in {"service", "legacy_service"}:
            yield Item("user", name)


def _described_user(session: Session, name: str) -> dict[str, Fact]:
    told = {row["property"].lower(): row["value"] for row in session.rows(f"describe user {name}")}
    return {
        "default_role": _name_or_none(told["default_role"]),
        "default_warehouse": _name_or_none(told["default_warehouse"]),
        "default_secondary_roles": _json_list(told["default_secondary_roles"]),
        "disabled": _is(told["disabled"]),
        "rsa_public_key_fp": None if told["rsa_public_key_fp"] in (None, "null") else told["rsa_public_key_fp"],
        "network_policy": _name_or_none(_parameter(session, "NETWORK_POLICY", f"user {name}")),
    }


def _json_list(value: object) -> tuple[str, ...] | None:
    return None if value in (None, "", "null") else tuple(sorted(map(str, json.loads(str(value)))))


def _network_policies(session: Session, names: Mapping[str, list[str]]) -> Iterator[Item]:
    for row in session.rows("show network policies"):
        name = found(row["name"])
        facts: dict[str, Fact] = {}
        if name in names["network policy"]:
            told = {row["name"].lower(): row["value"] for row in session.rows(f"describe network policy {name}")}
            rules = json.loads(told.get("allowed_network_rule_list") or "[]")
            listed = (granted_path(rule["fullyQualifiedRuleName"]) for rule in rules)
            facts = {"allowed_network_rule_list": tuple(sorted(listed))}
        yield Item("network policy", name, facts)


_DESCRIBED: Mapping[str, tuple[str, str]] = {
    "row policy": ("row access policy", "row access policies"),
    "masking policy": ("masking policy", "masking policies"),
    "network rule": ("network rule", "network rules"),
}


def _governed(
    session: Session, declaration: Declaration, known: Container[tuple[str, str]], names: Mapping[str, list[str]]
) -> Iterator[Item]:
    place = declaration.governance
    for kind, (one, many) in _DESCRIBED.items():
        for row in session.rows(f"show {many} in schema {place}"):
            name = f"{place}.{found(row['name'])}"
            yield Item(kind, name, _described(session, kind, row, f"{one} {name}") if name in names[kind] else {})
            if kind == "row policy" and name in names[kind]:
                yield from bindings.protections(session, declaration.database, name)
    for row in session.rows(f"show tags in schema {place}"):
        name = f"{place}.{found(row['name'])}"
        yield Item("tag", name, {"allowed_values": _json_list(row["allowed_values"]) or ()})
        if name in names["masked tag"]:
            yield from bindings.masked_tag(session, declaration.database, name)
    if ("table", table := f"{place}.{policies.TENANTS_TABLE}") in known:
        yield from bindings.tenant_rows(session, table)


def _described(session: Session, kind: str, row: Row, what: str) -> dict[str, Fact]:
    (told,) = session.rows(f"describe {what}")
    return _rule_facts(row, told) if kind == "network rule" else _policy_facts(told)


def _policy_facts(told: Row) -> dict[str, Fact]:
    signature = _LENGTH.sub("varchar", flat(told["signature"]).lower())
    return {"signature": signature, "body": flat(told["body"])}


def _rule_facts(row: Row, told: Row) -> dict[str, Fact]:
    values = tuple(sorted(each.strip() for each in str(told["value_list"]).split(",") if each.strip()))
    return {"type": str(row["type"]).lower(), "mode": str(row["mode"]).lower(), "value_list": values}


def _costs(session: Session, place: str) -> Iterator[Item]:
    for row in session.rows(f"show views in schema {place}"):
        _, _, query = flat(row["text"]).partition(" copy grants as ")
        yield Item("view", f"{place}.{found(row['name'])}", {"text": query})
    for row in session.rows(f"show tasks in schema {place}"):
        facts = {"schedule": row["schedule"], "definition": flat(row["definition"]), "state": row["state"].lower()}
        yield Item("task", f"{place}.{found(row['name'])}", facts)
