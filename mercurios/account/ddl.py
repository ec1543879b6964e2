"""The statements that make, change and drop an item. Names are plain, texts are quoted; nothing else gets in.

create(Item("warehouse", "loading", {...}))   # ("create warehouse loading with warehouse_size = 'xsmall' …",)
alter(wanted, live)                           # only what differs
"""

from collections.abc import Callable, Iterator, Mapping
from string import Template

from mercurios.account.grants import parties
from mercurios.account.items import Fact, Facts, Item
from mercurios.account.names import text, texts
from mercurios.errors import ConfigError

_UNALTERABLE = {"signature", "type", "mode"}
"""Facts that no statement changes, but of users: the item has to be dropped by hand first."""
_BARE = {"resource_monitor", "default_role", "default_warehouse", "network_policy", "frequency", "type"}
"""Properties whose value is a name or a word."""
_UNCOMPARED = {"waits_for", "rsa_public_key"}


def changed(item: Item, live: Item) -> dict[str, Fact]:
    """The facts that differ; those of tables that are only made, never compared, are left out."""
    if item.kind == "table":
        return {}
    return {
        name: value for name, value in item.facts.items() if name not in _UNCOMPARED and live.facts.get(name) != value
    }


def create(item: Item) -> tuple[str, ...]:
    """Make an item that is not there."""
    return _CREATE[item.kind](item, item.facts)


def alter(item: Item, live: Item) -> tuple[str, ...]:
    """Change what differs; raises ConfigError for what no statement can change."""
    facts = changed(item, live)
    if "rsa_public_key_fp" in facts:
        facts["rsa_public_key"] = item.facts["rsa_public_key"]
    if item.kind != "user" and (stuck := sorted(_UNALTERABLE & facts.keys())):
        raise ConfigError(
            f"{item}: {', '.join(stuck)} cannot be changed; unbind and drop it by hand in a quiet hour, then apply"
        )
    return _ALTER[item.kind](item, facts, live)


def drop(item: Item) -> str:
    """Drop an item that is not declared."""
    return _DROP[item.kind](item)


def _value(name: str, value: Fact) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"({texts(map(str, value))})"
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) or name in _BARE else text(value)


def _properties(facts: Facts) -> str:
    return " ".join(_settings({name: value for name, value in facts.items() if name != "rsa_public_key_fp"}))


def _settings(facts: Facts) -> Iterator[str]:
    return (f"{name} = {_value(name, value)}" for name, value in facts.items())


def _set(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    return (f"alter {item.kind} {item.name} set {_properties(facts)}",)


def _make(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create {item.kind} {item.name} {_properties(facts)}".rstrip(),)


def _make_warehouse(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create warehouse {item.name} with {_properties(facts)} initially_suspended = true",)


def _steps(facts: Facts) -> str:
    notify = facts["notify"]
    assert isinstance(notify, tuple)
    steps: list[tuple[Fact, str]] = [(percent, "notify") for percent in notify]
    steps += [(facts[name], name) for name in ("suspend", "suspend_immediate")]
    return "triggers " + " ".join(f"on {percent} percent do {action}" for percent, action in steps)


def _quota(facts: Facts) -> list[str]:
    parts = [f"credit_quota = {facts['credit_quota']}"] if "credit_quota" in facts else []
    if "frequency" in facts:
        parts.append(f"frequency = {facts['frequency']} start_timestamp = immediately")
    return parts


def _make_monitor(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create resource monitor {item.name} with {' '.join(_quota(facts))} {_steps(facts)}",)


def _alter_monitor(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    quota = f" set {' '.join(parts)}" if (parts := _quota(facts)) else ""
    steps = f" {_steps(item.facts)}" if facts.keys() & {"notify", "suspend", "suspend_immediate"} else ""
    return (f"alter resource monitor {item.name}{quota}{steps}",)


def _alter_account(_item: Item, facts: Facts, _: Item | None = None) -> tuple[str, ...]:
    return (f"alter account set {_properties(facts)}",)


def _make_schema(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create schema {item.name} with managed access comment = {text(str(facts['comment']))}",)


def _alter_schema(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    statements = [f"alter schema {item.name} enable managed access"] if "managed_access" in facts else []
    if "comment" in facts:
        statements.append(f"alter schema {item.name} set comment = {text(str(facts['comment']))}")
    return tuple(statements)


def _listed(value: Fact) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()


def _make_tag(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create tag {item.name} allowed_values {texts(_listed(facts['allowed_values']))}",)


def _alter_tag(item: Item, facts: Facts, live: Item) -> tuple[str, ...]:
    here, there = set(_listed(facts["allowed_values"])), set(_listed(live.facts["allowed_values"]))
    changes = (("add", here - there), ("drop", there - here))
    return tuple(f"alter tag {item.name} {verb} allowed_values {texts(sorted(v))}" for verb, v in changes if v)


def _make_table(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create table {item.name} ({facts['columns']})",)


_INSERT = Template("insert into $table (tenant, $columns) values ($values)")
_UPDATE = Template("update $table set $settings where tenant = $tenant")
_DELETE = Template("delete from $table where tenant = $tenant")


def _tenant(item: Item) -> tuple[str, str]:
    table, _dot, tenant = item.name.rpartition(".")
    return table, text(tenant)


def _add_tenant(item: Item, facts: Facts) -> tuple[str, ...]:
    table, tenant = _tenant(item)
    values = ", ".join([tenant, *(_value(name, value) for name, value in facts.items())])
    return (_INSERT.substitute(table=table, columns=", ".join(facts), values=values),)


def _alter_tenant(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    table, tenant = _tenant(item)
    return (_UPDATE.substitute(table=table, settings=", ".join(_settings(facts)), tenant=tenant),)


def _remove_tenant(item: Item) -> str:
    table, tenant = _tenant(item)
    return _DELETE.substitute(table=table, tenant=tenant)


def _make_policy(item: Item, facts: Facts) -> tuple[str, ...]:
    kind, returns = _POLICIES[item.kind]
    return (f"create {kind} {item.name} as {facts['signature']} returns {returns} -> {facts['body']}",)


def _alter_policy(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    return (f"alter {_POLICIES[item.kind][0]} {item.name} set body -> {facts['body']}",)


_POLICIES = {"row policy": ("row access policy", "boolean"), "masking policy": ("masking policy", "varchar")}


def _mask_tag(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"alter tag {item.name} set masking policy {facts['masking_policy']}",)


def _mask_tag_again(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    return (f"alter tag {item.name} set masking policy {facts['masking_policy']} force",)


def _make_rule(item: Item, facts: Facts) -> tuple[str, ...]:
    values = _value("value_list", facts["value_list"])
    return (f"create network rule {item.name} type = {facts['type']} mode = {facts['mode']} value_list = {values}",)


def _make_view(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"create or replace view {item.name} copy grants as {facts['text']}",)


def _make_task(item: Item, facts: Facts) -> tuple[str, ...]:
    size = "user_task_managed_initial_warehouse_size = 'XSMALL'"
    schedule = text(str(facts["schedule"]))
    made = f"create or replace task {item.name} {size} schedule = {schedule} as {facts['definition']}"
    return made, f"alter task {item.name} resume"


def _alter_task(item: Item, facts: Facts, _: Item) -> tuple[str, ...]:
    return (f"alter task {item.name} resume",) if facts.keys() == {"state"} else _make_task(item, item.facts)


def _grant(item: Item, _: Facts) -> tuple[str, ...]:
    return (f"grant {item.name}",)


def _revoke(item: Item) -> str:
    what, whom = parties(item.name)
    return f"revoke {what} from {whom}"


def _tag(item: Item, facts: Facts, _: Item | None = None) -> tuple[str, ...]:
    return (f"alter {item.name} set tag {', '.join(_settings(facts))}",)


def _binding(facts: Facts) -> str:
    return f"add row access policy {facts['policy']} on ({', '.join(_listed(facts['columns']))})"


def _protect(item: Item, facts: Facts) -> tuple[str, ...]:
    return (f"alter table {item.name} {_binding(facts)}",)


def _protect_again(item: Item, _: Facts, live: Item) -> tuple[str, ...]:
    """In one statement, so that the table is at no moment without one."""
    return (f"alter table {item.name} drop row access policy {live.facts['policy']}, {_binding(item.facts)}",)


def _tag_column(item: Item, facts: Facts, _: Item | None = None) -> tuple[str, ...]:
    table, _dot, column = item.name.rpartition(".")
    return (f"alter table {table} modify column {column} set tag {', '.join(_settings(facts))}",)


_CREATE: Mapping[str, Callable[[Item, Facts], tuple[str, ...]]] = {
    "monitor": _make_monitor,
    "warehouse": _make_warehouse,
    "account": _alter_account,
    "database": _make,
    "schema": _make_schema,
    "tag": _make_tag,
    "table": _make_table,
    "role": _make,
    "tenant": _add_tenant,
    "row policy": _make_policy,
    "masking policy": _make_policy,
    "masked tag": _mask_tag,
    "network rule": _make_rule,
    "network policy": _make,
    "user": _make,
    "view": _make_view,
    "task": _make_task,
    "grant": _grant,
    "tagging": _tag,
    "protection": _protect,
    "personal column": _tag_column,
}
_ALTER: Mapping[str, Callable[[Item, Facts, Item], tuple[str, ...]]] = {
    "monitor": _alter_monitor,
    "warehouse": _set,
    "account": _alter_account,
    "database": _set,
    "schema": _alter_schema,
    "tag": _alter_tag,
    "role": _set,
    "tenant": _alter_tenant,
    "row policy": _alter_policy,
    "masking policy": _alter_policy,
    "masked tag": _mask_tag_again,
    "network rule": _set,
    "network policy": _set,
    "user": _set,
    "view": lambda item, _facts, _live: _make_view(item, item.facts),
    "task": _alter_task,
    "tagging": _tag,
    "protection": _protect_again,
    "personal column": _tag_column,
}
_DROP: Mapping[str, Callable[[Item], str]] = {
    "monitor": lambda item: f"drop resource monitor {item.name}",
    "warehouse": lambda item: f"drop warehouse {item.name}",
    "role": lambda item: f"drop role {item.name}",
    "tenant": _remove_tenant,
    "view": lambda item: f"drop view {item.name}",
    "task": lambda item: f"drop task {item.name}",
    "grant": _revoke,
}
