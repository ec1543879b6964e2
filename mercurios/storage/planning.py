"""What is there against what is declared, and the changes between the two in the order in which they are made."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from mercurios.errors import LakeError
from mercurios.storage.aws import Aws, told
from mercurios.storage.documents import Elements, Json, differences
from mercurios.storage.kinds import KINDS, Resource

MADE = "made"
"""Aspect of a resource that is not there."""
_LINE = 160
"""Characters of a value in a line; JSON has all of them."""


@dataclass(frozen=True)
class Change:
    """One element of one aspect of one resource; `before` is None where nothing is, `after` where nothing shall be."""

    resource: str
    aspect: str
    element: str
    before: Json
    after: Json

    @property
    def attribute(self) -> str:
        """`versioning`, `lifecycle mercurios-lake`, `statement ReadOwnRows` …"""
        return _attribute(self.aspect, self.element)

    def __str__(self) -> str:
        sign = "+" if self.before is None else "-" if self.after is None else "~"
        return f"{sign} {self.resource}: {self.attribute}{''.join(_parts(self))}"


@dataclass(frozen=True)
class Undeclared:
    """Something that is there and was not declared; nothing deletes it. aspect: empty where it is all of a resource."""

    resource: str
    aspect: str
    element: str
    value: Json

    def __str__(self) -> str:
        what = ": ".join(filter(None, (self.resource, _attribute(self.aspect, self.element))))
        return f"? {what} is not declared; left alone"


@dataclass(frozen=True)
class Plan:
    """Ordered changes, and what is left alone."""

    changes: tuple[Change, ...]
    undeclared: tuple[Undeclared, ...] = ()

    def to_json(self) -> str:
        """For programs."""
        told = {name: [vars(one) for one in getattr(self, name)] for name in ("changes", "undeclared")}
        return json.dumps(told, indent=2, ensure_ascii=False)


def plan(aws: Aws, resources: tuple[Resource, ...], path: str) -> Plan:
    """Compare what is declared with what AWS returns. `path`: where the lake's policies are in IAM.

    Raises LakeError when AWS refuses to tell, ConfigError for what cannot be brought about.
    """
    changes: list[Change] = []
    undeclared: list[Undeclared] = []
    for resource in resources:
        with told(str(resource)):
            found = KINDS[resource.kind].read(aws, resource)
        if found is None:
            changes.append(Change(str(resource), MADE, "", None, resource.arn or resource.region))
        for aspect, wanted in resource.aspects.items():
            changes += _changes(resource, aspect, wanted, (found or {}).get(aspect, {}))
        undeclared += _undeclared(resource, found or {})
    return Plan(tuple(changes), (*undeclared, *_forgotten(aws, resources, path)))


def apply(aws: Aws, resources: tuple[Resource, ...], path: str, made: Callable[[Change], None]) -> Plan:
    """Make the changes of the plan one after another, and tell `made` of each; returns the plan.

    What is made stays when a later one fails: the next call makes what is missing.
    """
    todo = plan(aws, resources, path)
    known, new = {str(resource): resource for resource in resources}, set()
    for (name, aspect), group in groupby(todo.changes, lambda change: (change.resource, change.aspect)):
        resource, kind = known[name], KINDS[known[name].kind]
        with told(f"{name}, {aspect}"):
            if aspect == MADE:
                kind.create(aws, resource)
                new.add(name)
            elif name not in new or aspect not in kind.born:
                kind.write(aws, resource, aspect)
        for change in group:
            made(change)
    return todo


def require_settled(aws: Aws, resources: tuple[Resource, ...], path: str) -> None:
    """Raise LakeError when something does not stay as it was set."""
    if left := plan(aws, resources, path).changes:
        raise LakeError(
            f"{len(left)} changes were made and AWS still returns something else: {'; '.join(map(str, left[:3]))}"
        )


def _changes(resource: Resource, aspect: str, wanted: Elements, found: Elements) -> Iterator[Change]:
    for element, value in wanted.items():
        if found.get(element) != value:
            yield Change(str(resource), aspect, element, found.get(element), value)
    if aspect in KINDS[resource.kind].whole:
        for element in sorted(found.keys() - wanted.keys()):
            yield Change(str(resource), aspect, element, found[element], None)


def _undeclared(resource: Resource, found: Mapping[str, Elements]) -> Iterator[Undeclared]:
    for aspect, elements in found.items():
        if aspect not in KINDS[resource.kind].whole:
            for element in sorted(elements.keys() - resource.aspects.get(aspect, {}).keys()):
                yield Undeclared(str(resource), aspect, element, elements[element])


def _forgotten(aws: Aws, resources: tuple[Resource, ...], path: str) -> Iterator[Undeclared]:
    """Policies of the lake that nobody declares any more: those of tenants that were removed."""
    known = {resource.arn for resource in resources}
    with told("policies"):
        pages = aws.iam().get_paginator("list_policies").paginate(Scope="Local", PathPrefix=path)
        for policy in (policy for page in pages for policy in page["Policies"]):
            if policy["Arn"] not in known:
                yield Undeclared(f"policy {policy['PolicyName']}", "", "", None)


def _attribute(aspect: str, element: str) -> str:
    return f"{aspect} {element}".rstrip()


def _parts(change: Change) -> Iterator[str]:
    if change.before is None or change.after is None:
        value = change.after if change.before is None else change.before
        yield f" {_short(value)}"
        return
    for place, before, after in differences(change.before, change.after):
        yield f" {place}{': ' if place else ''}{_short(before)} -> {_short(after)}"


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LINE else f"{text[: _LINE - 2]} …"
