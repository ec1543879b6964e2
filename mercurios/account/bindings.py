"""What is bound to what: policies to tables and tags, tags to warehouses, users and columns, tenants to roles.

Told by table functions of the information schema, which want a running warehouse.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from string import Template

from mercurios.account.items import Item
from mercurios.account.names import found, found_path, text
from mercurios.account.session import Row, Session

_ASK = Template("select * from table($database.information_schema.$function($arguments))")
_TENANTS = Template("select * from $table")


def masked_tag(session: Session, database: str, tag: str) -> Iterator[Item]:
    """The masking policy that a tag carries."""
    arguments = f"ref_entity_name => {text(tag)}, ref_entity_domain => 'tag'"
    for row in _ask(session, database, "policy_references", arguments):
        yield Item("masked tag", tag, {"masking_policy": _policy(row)})


def protections(session: Session, database: str, policy: str) -> Iterator[Item]:
    """The tables that a row access policy is bound to, and by which columns."""
    for row in _ask(session, database, "policy_references", f"policy_name => {text(policy)}"):
        yield _protection(row)


def other_protections(session: Session, database: str, tables: Iterable[str]) -> Iterator[Item]:
    """Which row access policies these tables have instead; a table can have one."""
    for table in tables:
        arguments = f"ref_entity_name => {text(table)}, ref_entity_domain => 'table'"
        rows = _ask(session, database, "policy_references", arguments)
        yield from (_protection(row) for row in rows if row["policy_kind"] == "ROW_ACCESS_POLICY")


def _protection(row: Row) -> Item:
    name = found_path(row["ref_database_name"], row["ref_schema_name"], row["ref_entity_name"])
    columns = tuple(map(found, json.loads(row["ref_arg_column_names"] or "[]")))
    return Item("protection", name, {"policy": _policy(row), "columns": columns})


def tenant_rows(session: Session, table: str) -> Iterator[Item]:
    """Which role is which tenant's."""
    for row in session.rows(_TENANTS.substitute(table=table)):
        facts = {"role_name": row["role_name"], "warehouse_name": row["warehouse_name"]}
        yield Item("tenant", f"{table}.{row['tenant']}", {**facts, "budget_credits": int(row["budget_credits"])})


def taggings(session: Session, database: str, there: Iterable[Item], declared: Iterable[str]) -> Iterator[Item]:
    """Tags of those declared warehouses and users that are there."""
    names = {f"{item.kind} {item.name}" for item in there}
    for name in declared:
        if name in names:
            kind, _, what = name.partition(" ")
            rows = _ask(session, database, "tag_references", f"{text(what)}, {text(kind)}")
            yield Item("tagging", name, {_tag(row): row["tag_value"] for row in rows})


def columns(session: Session, database: str, names: Iterable[str], tables: Iterable[str]) -> Mapping[str, str]:
    """Type by `database.schema.table.column` of the columns of those names; SHOW, so no warehouse is needed."""
    types, known = {}, set(tables)
    for column in names:
        for row in session.rows(f"show columns like {text(column)} in database {database}"):
            table = found_path(row["database_name"], row["schema_name"], row["table_name"])
            if table in known and row["column_name"] == column.upper():  # _ stands for any character in LIKE
                types[f"{table}.{column}"] = str(json.loads(row["data_type"])["type"])
    return types


def column_tags(session: Session, database: str, names: Iterable[str]) -> Iterator[Item]:
    """Tags of columns, those that a column has of its table or schema left out."""
    known = set(names)
    for table in sorted({name.rpartition(".")[0] for name in known}):
        for row in _ask(session, database, "tag_references_all_columns", f"{text(table)}, 'table'"):
            name = f"{table}.{str(row['column_name']).lower()}"
            if name in known and row["level"] == "COLUMN":
                yield Item("personal column", name, {_tag(row): row["tag_value"]})


def _ask(session: Session, database: str, function: str, arguments: str) -> list[Row]:
    return session.rows(_ASK.substitute(database=database, function=function, arguments=arguments))


def _policy(row: Row) -> str:
    return found_path(row["policy_db"], row["policy_schema"], row["policy_name"])


def _tag(row: Row) -> str:
    return found_path(row["tag_database"], row["tag_schema"], row["tag_name"])
