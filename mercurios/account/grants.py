"""Grants as texts: `usage on warehouse loading to role loader`, `role loader to user loader`.

`select on all tables in schema …` is there when the role has it on, or owns, every table of the schema. A privilege
that may be passed on is told twice, the second time as `grant option for …`. Of PUBLIC, which everybody has, what it
has in the database is told.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mercurios.account.items import Item
from mercurios.account.names import granted_path
from mercurios.account.session import Row, Session

EVERYBODY = "public"
"""The role that every user has."""

_PARTIES = re.compile(r'(.+) to ((?:[^"]|"[^"]*")+)', re.DOTALL)
"""At the last `to` that is in no quotes."""
_OVERLOADED = re.compile(r'[^"]* on (?:function|procedure) ')
_ON_ALL = re.compile(r"(?P<privilege>\w+) on all (?P<kind>table|view)s in schema (?P<schema>\S+) to role (?P<role>\S+)")


@dataclass(frozen=True)
class _Grant:
    """A row of SHOW GRANTS TO ROLE, names as declared."""

    privilege: str
    kind: str
    name: str
    role: str

    def __str__(self) -> str:
        if self.kind == "role":
            return f"role {self.name} to role {self.role}"
        place = "account" if self.kind == "account" else f"{self.kind} {self.name}"
        return f"{self.privilege} on {place} to role {self.role}"


def parties(grant: str) -> tuple[str, str]:
    """What is granted, and to whom: `usage on warehouse loading` and `role loader`."""
    found = _PARTIES.fullmatch(grant)
    assert found, grant
    return found[1], found[2]


def is_overloaded(grant: str) -> bool:
    """Whether it is on a function or procedure, of which several may have one name."""
    return _OVERLOADED.match(grant) is not None


def read_grants(
    session: Session,
    database: str,
    names: Mapping[str, list[str]],
    there: Container[tuple[str, str]],
    relations: Mapping[str, tuple[str, ...]],
) -> Iterator[Item]:
    """Grants to and of the declared roles and to the users that are there; relations: tables and views, by kind."""
    roles, users = ([name for name in names[kind] if (kind, name) in there] for kind in ("role", "user"))
    rows = [row for role in roles for row in session.rows(f"show grants to role {role}")]
    rows += [row for row in session.rows(f"show grants to role {EVERYBODY}") if _is_in(database, row)]
    texts = {text for role in roles for text in (*_of_role(session, role), *_future(session, role))}
    texts |= {text for text in _future(session, EVERYBODY) if f" in schema {database}." in text}
    texts |= {text for user in users for text in _to_user(session, user)}
    texts |= {f"grant option for {_grant(row)}" for row in rows if _may_pass_on(row)}
    texts |= _in_short({_grant(row) for row in rows}, names["grant"], roles, relations)
    yield from (Item("grant", grant) for grant in sorted(texts))


def _in_short(
    direct: set[_Grant], declared: Iterable[str], roles: Container[str], relations: Mapping[str, tuple[str, ...]]
) -> set[str]:
    """The grants as they are declared: those that a grant on all tables or views stands for are left out."""
    texts, covered = set[str](), set[_Grant]()
    for grant in declared:
        if (match := _ON_ALL.fullmatch(grant)) and match["role"] in roles:
            privilege, kind, role = match["privilege"], match["kind"], match["role"]
            inside = [name for name in relations.get(kind, ()) if name.startswith(f"{match['schema']}.")]
            covered.update(_Grant(privilege, kind, name, role) for name in inside)
            rights = ({_Grant(each, kind, name, role) for each in (privilege, "ownership")} for name in inside)
            if all(right & direct for right in rights):
                texts.add(grant)
    return texts | {str(grant) for grant in direct - covered if grant.privilege != "ownership"}


def _of_role(session: Session, role: str) -> Iterator[str]:
    for row in session.rows(f"show grants of role {role}"):
        yield f"role {role} to {str(row['granted_to']).lower()} {granted_path(row['grantee_name'])}"


def _to_user(session: Session, user: str) -> Iterator[str]:
    """Roles of a user, and privileges of its own, which Snowflake knows since 2025 and then tells in more columns."""
    for row in session.rows(f"show grants to user {user}"):
        kind = str(row.get("granted_on") or "role").lower().replace("_", " ")
        name = granted_path(row.get("role") or row["name"])
        what = f"role {name}" if kind == "role" else f"{str(row['privilege']).lower()} on {kind} {name}"
        yield f"{what} to user {user}"


def _grant(row: Row) -> _Grant:
    kind = str(row["granted_on"]).lower().replace("_", " ")
    name, role = granted_path(str(row["name"])), granted_path(row["grantee_name"])
    return _Grant(str(row["privilege"]).lower(), kind, name, role)


def _is_in(database: str, row: Row) -> bool:
    return f"{granted_path(str(row['name']))}.".startswith(f"{database}.")


def _may_pass_on(row: Row) -> bool:
    return (
        str(row["grant_option"]).lower() == "true" and row["privilege"] != "OWNERSHIP" and row["granted_on"] != "ROLE"
    )


def _future(session: Session, role: str) -> Iterator[str]:
    for row in session.rows(f"show future grants to role {role}"):
        path = granted_path(str(row["name"]).rpartition(".")[0])  # the last is a placeholder, as in DB.SCHEMA.<TABLE>
        place = "schema" if "." in path else "database"
        kind = str(row["grant_on"]).lower().replace("_", " ")
        yield f"{str(row['privilege']).lower()} on future {kind}s in {place} {path} to role {role}"
