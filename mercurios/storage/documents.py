"""Documents as AWS keeps them, in one form: two that mean the same are equal.

    statement({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"})

IAM takes a text for a list of one, lists in any order and "*" for {"AWS": "*"}; compared as they come, a policy that
nobody touched would look changed.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""None, bool, int, str, or lists and mappings of them."""
Elements: TypeAlias = dict[str, Json]
"""Parts of one aspect by name: the statements of a policy by Sid, the rules of a lifecycle by id."""

_LISTS = ("Action", "NotAction", "Resource", "NotResource")
MOST_CHARACTERS = 6144
"""Of a managed policy, blanks not counted."""


def statement(document: Mapping[str, Json]) -> Json:
    """One statement of a policy, without its Sid."""
    same = {name: value for name, value in document.items() if name != "Sid"}
    same |= {name: _texts(same[name]) for name in _LISTS if name in same}
    for name in ("Principal", "NotPrincipal"):
        if name in same:
            same[name] = {"AWS": ["*"]} if same[name] == "*" else {k: _texts(v) for k, v in same[name].items()}
    if "Condition" in same:
        same["Condition"] = {
            operator: {key: _texts(values) for key, values in keys.items()}
            for operator, keys in same["Condition"].items()
        }
    return same


def statements(policy: str | Mapping[str, Json]) -> Elements:
    """The statements of a policy by Sid; one without is named by its place (#2)."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    given = document["Statement"]
    listed = given if isinstance(given, list) else [given]
    return {one.get("Sid") or f"#{number}": statement(one) for number, one in enumerate(listed, 1)}


def policy(named: Elements) -> str:
    """A policy of named statements, as JSON without blanks."""
    listed = [{**({} if sid.startswith("#") else {"Sid": sid}), **_short(each)} for sid, each in named.items()]
    return json.dumps({"Version": "2012-10-17", "Statement": listed}, separators=(",", ":"))


def differences(before: Json, after: Json, place: str = "") -> Iterator[tuple[str, Json, Json]]:
    """Where two documents differ: dotted place, what is there, what shall be."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from differences(before.get(name), after.get(name), f"{place}.{name}".lstrip("."))
    elif before != after:
        yield place, before, after


def _texts(value: Json) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return sorted({str(one).lower() if isinstance(one, bool) else str(one) for one in listed})


def _short(value: Json) -> Json:
    """Lists of one as their text: IAM counts characters."""
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value
