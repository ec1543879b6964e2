"""From what is declared and what is there to the statements between, and their execution.

    plan = make_plan(declaration, wanted(declaration, tenants, keys), live)
    print(plan.text)
    apply(plan, session)

A plan made after its predecessor was applied is empty. What declared roles, service users and PUBLIC may do beyond what
is declared is revoked. What else is there and not declared is listed and left alone; with `prune` what of it belongs to
gone tenants, and declared roles given to other roles, are taken away. Databases, schemas, tables, users and policies
are never dropped.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mercurios.account import ddl, policies
from mercurios.account.declaration import Declaration
from mercurios.account.grants import EVERYBODY, is_overloaded, parties
from mercurios.account.items import KINDS, Facts, Item
from mercurios.account.names import printable, shown
from mercurios.account.reading import Live
from mercurios.account.session import Session
from mercurios.errors import ConfigError, WarehouseError

_OF_A_TENANT = re.compile(r"tenant_[a-z0-9_]+")
_PRUNED = {"tenant", "view", "task"}
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
    unmanaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """SQL that can be run as it is; everything else is in comments."""
        lines = [f"-- {shown(each.reason)}\n{_quiet(each.sql)};" for each in self.statements]
        lines += [f"-- note: {shown(note)}" for note in self.notes]
        lines += [f"-- not declared, left alone: {shown(name)}" for name in self.unmanaged]
        told = f"-- {len(self.statements)} statements" if self.statements else "-- nothing to do"
        return "\n".join([*lines, told]) + "\n"


def _quiet(sql: str) -> str:
    """SQL without what a terminal would obey; where that was in a name, the statement can be applied and not pasted."""
    return "\n".join(map(printable, sql.split("\n")))


def make_plan(declaration: Declaration, wanted: Iterable[Item], live: Live, *, prune: bool = False) -> Plan:
    """Compare. Items of which something waits for tables that are not there yet are told in the notes.

    What is too much is revoked first, so that nothing new is granted by it.
    """
    ready, notes = _ready((*wanted, *_bound(declaration, live)), live)
    made: list[Statement] = []
    for item in sorted(ready, key=lambda item: KINDS.index(item.kind)):
        try:
            made += _between(item, live.items.get(item.key))
        except ConfigError as error:
            notes.append(str(error))
    notes += _notes(declaration, ready, live)
    too_much, undeclared = _undeclared(ready, live)
    dropped = sorted(filter(_may_go, undeclared) if prune else (), key=lambda item: -KINDS.index(item.kind))
    left = sorted(map(str, set(undeclared) - set(dropped)))
    return Plan((*_dropping(too_much), *made, *_dropping(dropped)), tuple(left), tuple(notes))


def _undeclared(ready: Iterable[Item], live: Live) -> tuple[list[Item], list[Item]]:
    """What is there and not declared: privileges of declared roles, service users and PUBLIC; everything else."""
    keys = {item.key for item in ready}
    ours = {f"role {EVERYBODY}", *(f"{kind} {name}" for kind, name in keys if kind in ("role", "user"))}
    extra = [item for item in live.items.values() if item.key not in keys and item.kind not in _SILENT]
    too_much = [item for item in extra if _is_too_much(item, ours)]
    return too_much, [item for item in extra if not _is_too_much(item, ours)]


def _dropping(items: Iterable[Item]) -> Iterator[Statement]:
    return (Statement(ddl.drop(item), f"{item} is not declared") for item in items)


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
    for table in sorted(live.tenant_tables):
        facts: Facts = {"policy": f"{declaration.governance}.{policies.ROW_POLICY}", "columns": ("tenant_id",)}
        yield Item("protection", table, facts)
    for column in sorted(live.personal_columns):
        yield Item("personal column", column, {f"{declaration.governance}.{policies.PERSONAL_TAG}": "yes"})


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


def _notes(declaration: Declaration, ready: Iterable[Item], live: Live) -> Iterator[str]:
    for column in sorted(live.unmaskable):
        yield f"personal column {column} is no text, which is all that is masked; take it out of what is loaded"
    tenants = {item.name.rpartition(".")[2] for item in ready if item.kind == "tenant"}
    for name in sorted(declaration.tenants.budgets.keys() - tenants):
        yield f"tenants.budgets names {name}, which is no tenant"


def _is_too_much(item: Item, ours: set[str]) -> bool:
    """Whether it is a privilege of a declared role, a service user or everybody that nobody declared.

    Overloads share a name, and what is granted on one cannot be told apart here: left to whoever granted it.
    """
    return item.kind == "grant" and parties(item.name)[1] in ours and not is_overloaded(item.name)


def _may_go(item: Item) -> bool:
    if item.kind == "grant":
        return not parties(item.name)[1].startswith("user ") and not is_overloaded(item.name)
    if item.kind in _PRUNED_OF_TENANTS:
        return _OF_A_TENANT.fullmatch(item.name) is not None
    return item.kind in _PRUNED
