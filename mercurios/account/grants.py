"""Grants as texts: `usage on warehouse loading to role loader`, `role loader to user loader`.

`select on all tables in schema …` is there when the role has it on, or owns, every table of the schema.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mercurios.account.items import Item
from mercurios.account.names import found, found_path
from mercurios.account.session import Session

_ON_ALL = re.compile(r"(?P<privilege>\w+) on all (?P<kind>table|view)s in schema (?P<schema>\S+) to role (?P<role>\S+)")


@dataclass(frozen=True)
class _Grant:
    """A row of SHOW GRANTS TO ROLE, names as declared."""

    privilege: str
    kind: str
    name: str
    role: str

    def __str__(self) -> str:
        what = f"role {self.name}" if self.kind == "role" else f"{self.privilege} on {self.kind} {self.name}"
        return f"{what} to role {self.role}"


def read_grants(
    session: Session, names: Mapping[str, list[str]], relations: Mapping[str, tuple[str, ...]]
) -> Iterator[Item]:
    """Grants to and of the declared roles that are there; relations: all tables and all views, by kind."""
    there = {found(row["name"]) for row in session.rows("show roles")}
    roles = [name for name in names["role"] if name in there]
    direct = {grant for role in roles for grant in _to_role(session, role)}
    texts = {text for role in roles for text in (*_of_role(session, role), *_future(session, role))}
    covered: set[_Grant] = set()
    for grant in names["grant"]:
        if (match := _ON_ALL.fullmatch(grant)) and match["role"] in there:
            on_all = {
                _Grant(match["privilege"], match["kind"], name, match["role"]) for name in _within(match, relations)
            }
            owned = {grant for grant in on_all if _Grant("ownership", grant.kind, grant.name, grant.role) in direct}
            covered |= on_all
            texts |= {grant} if on_all <= direct | owned else set()
    texts |= {str(grant) for grant in direct - covered if grant.privilege != "ownership"}
    yield from (Item("grant", grant) for grant in sorted(texts))


def _within(match: re.Match[str], relations: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    schema = f"{match['schema']}."
    return (name for name in relations.get(match["kind"], ()) if name.startswith(schema))


def _of_role(session: Session, role: str) -> Iterator[str]:
    for row in session.rows(f"show grants of role {role}"):
        yield f"role {role} to {str(row['granted_to']).lower()} {found(row['grantee_name'])}"


def _to_role(session: Session, role: str) -> Iterator[_Grant]:
    for row in session.rows(f"show grants to role {role}"):
        kind = str(row["granted_on"]).lower().replace("_", " ")
        yield _Grant(str(row["privilege"]).lower(), kind, found_path(*str(row["name"]).split(".")), role)


def _future(session: Session, role: str) -> Iterator[str]:
    for row in session.rows(f"show future grants to role {role}"):
        *path, _placeholder = str(row["name"]).split(".")
        place = "schema" if len(path) > 1 else "database"
        kind = str(row["grant_on"]).lower().replace("_", " ")
        yield f"{str(row['privilege']).lower()} on future {kind}s in {place} {found_path(*path)} to role {role}"
