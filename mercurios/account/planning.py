"""From what is declared and what is there to the statements between, and their execution.

    plan = make_plan(declaration, wanted(declaration, tenants, keys), live)
    print(plan.text)
    apply(plan, session)

A plan made after its predecessor was applied is empty. What is there and not declared is listed and left alone; with
`prune` what of it belongs to gone tenants, and privileges nobody declared, are taken away. Databases, schemas, tables,
users and policies are never dropped.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mercurios.account import ddl, policies
from mercurios.account.declaration import Declaration
from mercurios.account.items import KINDS, Item
from mercurios.account.reading import Live
from mercurios.account.session import Session
from mercurios.errors import ConfigError, WarehouseError

_OF_A_TENANT = re.compile(r"tenant_[a-z0-9_]+")
_PRUNED = {"grant", "tenant", "view", "task"}
_PRUNED_OF_TENANTS = {"role", "warehouse", "monitor"}
_SILENT = {"table", "account", "protection", "personal column", "tagging", "masked tag"}
"""Kinds of which there is nothing undeclared to tell."""


@dataclass(frozen=True)
class Statement:
    """One statement and why it is sent."""

    sql: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What apply would run, what it leaves alone, and what it waits for or cannot do."""

    statements: tuple[Statement, ...]
    unmanaged: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """SQL that can be run as it is; everything else is in comments."""
        lines = [f"-- {each.reason}\n{each.sql};" for each in self.statements]
        lines += [f"-- note: {note}" for note in self.notes]
        lines += [f"-- not declared, left alone: {name}" for name in self.unmanaged]
        told = f"-- {len(self.statements)} statements" if self.statements else "-- nothing to do"
        return "\n".join([*map(_one_line, lines), told]) + "\n"


def make_plan(declaration: Declaration, wanted: Iterable[Item], live: Live, *, prune: bool = False) -> Plan:
    """Compare. Items of which something waits for tables that are not there yet are told in the notes."""
    ready, notes = _ready((*wanted, *_bound(declaration, live)), live)
    statements: list[Statement] = []
    for item in sorted(ready, key=lambda item: KINDS.index(item.kind)):
        try:
            statements += _between(item, live.items.get(item.key))
        except ConfigError as error:
            notes.append(str(error))
    keys = {item.key for item in ready}
    extra = [item for item in live.items.values() if item.key not in keys and item.kind not in _SILENT]
    dropped = [item for item in extra if prune and _may_go(item, declaration)]
    dropped.sort(key=lambda item: -KINDS.index(item.kind))
    statements += [Statement(sql, f"{item} is not declared") for item in dropped for sql in ddl.drop(item)]
    unmanaged = tuple(sorted(str(item) for item in extra if item not in dropped))
    return Plan(tuple(statements), unmanaged, tuple(notes))


def apply(plan: Plan, session: Session, done: Callable[[Statement], None] = lambda _: None) -> None:
    """Run the statements in order. Raises WarehouseError naming the one that failed; apply again goes on from there."""
    for number, statement in enumerate(plan.statements, 1):
        try:
            session.rows(statement.sql)
        except WarehouseError as error:
            raise WarehouseError(
                f"statement {number} of {len(plan.statements)} failed, those before it are done: "
                f"{statement.sql[:300]}: {error}; mend the cause and apply again, it goes on from there"
            ) from error
        done(statement)


def _bound(declaration: Declaration, live: Live) -> Iterator[Item]:
    """What follows from the tables that are there: the row policy on tenants' tables, the tag on personal columns."""
    governance = f"{declaration.database}.governance"
    for table in sorted(live.tenant_tables):
        yield Item("protection", table, {"policy": f"{governance}.{policies.ROW_POLICY}"})
    for column in sorted(live.personal_columns):
        yield Item("personal column", column, {f"{governance}.{policies.PERSONAL_TAG}": "yes"})


def _ready(wanted: Iterable[Item], live: Live) -> tuple[list[Item], list[str]]:
    ready, notes = [], []
    for item in wanted:
        awaited = item.facts.get("waits_for")
        if awaited is None or awaited in live.tables:
            ready.append(item)
        else:
            notes.append(f"{item} waits for table {awaited}; apply again once it is there")
        if item.kind == "user" and "rsa_public_key" not in item.facts and not _has_key(live.items.get(item.key)):
            notes.append(f"{item} has no key and cannot log in; put {item.name}.pub into the folder of --keys")
    return ready, notes


def _has_key(live: Item | None) -> bool:
    return live is not None and live.facts.get("rsa_public_key_fp") is not None


def _between(item: Item, live: Item | None) -> Iterator[Statement]:
    if live is None:
        yield from (Statement(sql, f"{item} is missing") for sql in ddl.create(item))
    elif facts := ddl.changed(item, live):
        told = ", ".join(f"{name} is {live.facts.get(name)!r}" for name in facts)
        yield from (Statement(sql, f"{item}: {told}") for sql in ddl.alter(item, live))


def _may_go(item: Item, declaration: Declaration) -> bool:
    if item.kind == "grant":
        _, _, user = item.name.partition(" to user ")
        return not user or user in declaration.users
    if item.kind in _PRUNED_OF_TENANTS:
        return _OF_A_TENANT.fullmatch(item.name) is not None
    return item.kind in _PRUNED


def _one_line(text: str) -> str:
    comment, _, sql = text.partition("\n")
    return " ".join(comment.split()) + (f"\n{sql}" if sql else "")
