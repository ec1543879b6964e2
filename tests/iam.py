"""What IAM and S3 make of a policy: the part of their evaluation that the lake's policies lean on.

moto has no `simulate_principal_policy` and leaves conditions out when it enforces policies, so here it is in small:
an explicit deny wins, then an allow, and nothing else. An operator that is not known here fails the test.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Any


@dataclass(frozen=True)
class Request:
    """Who asks for what; `context` holds the condition keys that the request carries."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allowed(statements: Iterable[Mapping[str, Any]], request: Request) -> bool:
    """Whether identity policies made of these statements let the request through."""
    hit = {one["Effect"] for one in statements if matches(one, request)}
    return "Allow" in hit and "Deny" not in hit


def denied(statements: Iterable[Mapping[str, Any]], request: Request) -> bool:
    """Whether one of these statements refuses the request, whoever asks."""
    return any(one["Effect"] == "Deny" and matches(one, request) for one in statements)


def matches(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether action, resource and every condition of a statement fit."""
    unknown = statement.keys() - {"Effect", "Principal", "Action", "Resource", "Condition"}
    assert not unknown, f"the evaluator does not know {unknown}"
    return (
        any(_like(action.lower(), request.action.lower()) for action in statement["Action"])
        and any(_like(resource, request.resource) for resource in statement["Resource"])
        and all(
            _holds(operator, request.context.get(key), values)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, value: str | None, values: list[str]) -> bool:
    if operator == "Null":
        return ("true" if value is None else "false") in values
    if operator == "StringNotEquals":
        return value not in values
    if value is None:
        return False
    if operator in {"StringEquals", "Bool"}:
        return value in values
    if operator in {"StringLike", "ArnLike"}:
        return any(_like(pattern, value) for pattern in values)
    raise AssertionError(f"the evaluator does not know {operator}")


def _like(pattern: str, value: str) -> bool:
    """`*` and `?` of IAM: a star crosses slashes, and nothing else is special."""
    return re.fullmatch(translate(pattern.replace("[", "[[]")), value) is not None
