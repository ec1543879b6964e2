"""Long lists, a page at a time: from key to key, so that a page costs the same however far down it is.

    BRANCHES = Listing("branches", ("dim_branches",), "marts.dim_branches as own", "own.name", {"own.branch": "bigint"})
    page = connection(asker, BRANCHES, {"first": 50})
    page["nodes"], page["pageInfo"]["endCursor"]

A cursor names the release, the list with its filters, and the key of the row it stands behind: of another release or
list it is refused, because pages of two of them do not fit together.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mercurios.api.asker import Asker
from mercurios.errors import BadRequest, NoRelease

FIRST = 50
MAX_FIRST = 1_000
_KEY = "_key"


@dataclass(frozen=True)
class Listing:
    """A list: columns (SQL, named as the schema names them) of a source and what is joined to it, one row by key.

    tables: those of the release that it reads. source: has an alias, by which columns are named; key and filters know
    nothing else, so that a page is cut before anything is joined to it (`joined` brings at most one row to each).
    key: columns never null, with their types, in the order of the list. filters: conditions by the argument they belong
    to, which is a parameter of them.
    """

    name: str
    tables: tuple[str, ...]
    source: str
    columns: str
    key: Mapping[str, str]
    joined: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    is_descending: bool = False


def connection(
    asker: Asker,
    listing: Listing,
    page: Mapping[str, Any],
    *,
    given: Mapping[str, object] | None = None,
    fixed: Mapping[str, object] | None = None,
) -> Mapping[str, Any]:
    """A page of the list, as the schema names its parts; edges and the count are made when they are asked for.

    page: the arguments `first` and `after` of the field, which may be missing. given: values of filters, None for one
    that does not count. fixed: parameters of the listing's own SQL.
    Raises BadRequest for a page out of range or a cursor that is not of this list and release, and NoRelease when the
    release lacks a table.
    """
    size = FIRST if page.get("first") is None else int(page["first"])
    if not 1 <= size <= MAX_FIRST:
        raise BadRequest(f"first {size}: expected 1 to {MAX_FIRST:,}; go on with `after`")
    _require(asker, listing)
    chosen = {name: value for name, value in (given or {}).items() if value is not None}
    asked = hashlib.sha256(repr(sorted(chosen.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    place = [asker.session.release.id, listing.name, asked]
    conditions = [listing.filters[name] for name in chosen]
    parameters = {**chosen, **(fixed or {})}
    start = _start(asker, place, page.get("after"))
    rows = _rows(asker, listing, [*conditions, *_behind(listing, start)], {**parameters, **start, "limit": size + 1})
    keys = [[row.pop(f"{_KEY}{number}") for number in range(len(listing.key))] for row in rows]

    def cursor(key: Sequence[object]) -> str:
        return asker.backend.seals.seal(asker.identity.tenant, "cursor", [place, key])

    shown, more = rows[:size], len(rows) > size
    return {
        "nodes": shown,
        "edges": lambda _: [{"cursor": cursor(key), "node": row} for key, row in zip(keys, shown, strict=False)],
        "pageInfo": {"hasNextPage": more, "endCursor": cursor(keys[len(shown) - 1]) if shown else None},
        "totalCount": lambda _: _count(asker, listing, conditions, parameters),
    }


def _require(asker: Asker, listing: Listing) -> None:
    for table in listing.tables:
        if not asker.session.holds(table):
            raise NoRelease(f"release {asker.session.release.id} holds no {table}; run `mercurios export` first")


def _start(asker: Asker, place: Sequence[object], after: str | None) -> dict[str, object]:
    """The parameters of the key that the page begins behind."""
    if after is None:
        return {}
    found, key = asker.backend.seals.open(asker.identity.tenant, "cursor", after)
    if found[0] != place[0]:
        raise BadRequest(f"the cursor is of release {found[0]}, what is read now is {place[0]}; begin without `after`")
    if found != place:
        raise BadRequest("the cursor is of another list, or of one with other filters; begin without `after`")
    return {f"after{number}": value for number, value in enumerate(key)}


def _behind(listing: Listing, start: Mapping[str, object]) -> list[str]:
    if not start:
        return []
    sign = "<" if listing.is_descending else ">"
    values = [f"cast($after{number} as {kind})" for number, kind in enumerate(listing.key.values())]
    leading = f"{next(iter(listing.key))} {sign}= {values[0]}"  # which row groups can be left out
    return [leading, f"({', '.join(listing.key)}) {sign} ({', '.join(values)})"]


def _rows(
    asker: Asker, listing: Listing, conditions: Sequence[str], parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    keys = ", ".join(f"cast({name} as {kind}) as {_KEY}{n}" for n, (name, kind) in enumerate(listing.key.items()))
    order = ", ".join(f"{name} {'desc' if listing.is_descending else 'asc'}" for name in listing.key)
    alias = listing.source.rpartition(" as ")[2]
    sql = (
        f"select {listing.columns}, {keys}"  # noqa: S608 - SQL of ours, values are parameters
        f" from (select {alias}.* {_from(listing, conditions)} order by {order} limit $limit) as {alias}"
        f" {listing.joined} order by {order}"
    )
    rows: list[dict[str, Any]] = asker.session.query(sql, _used(sql, parameters)).to_pylist()
    return rows


def _count(asker: Asker, listing: Listing, conditions: Sequence[str], parameters: Mapping[str, object]) -> int:
    sql = f"select count(*) as n {_from(listing, conditions)}"
    return int(asker.session.query(sql, _used(sql, parameters))["n"][0].as_py())


def _from(listing: Listing, conditions: Sequence[str]) -> str:
    return f"from {listing.source} where {' and '.join(conditions) or 'true'}"


def _used(sql: str, parameters: Mapping[str, object]) -> dict[str, object]:
    names = set(re.findall(r"\$(\w+)", sql))
    return {name: value for name, value in parameters.items() if name in names}
