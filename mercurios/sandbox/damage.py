"""Damage: what ordered faults make of a page's body.

damaged(body, Damage("sale", texts=frozenset({id}), drifts=(Drift("sale", new={"tier": "gold"}),), effects=(Cut(),)))
"""

from collections.abc import Collection
from dataclasses import dataclass

import orjson

from mercurios.sandbox.faults import Closed, Cut, Drift, Effect, NotJson
from mercurios.sandbox.shapes import SHAPES

NO_JSON = b"<html><body><h1>Server Error in '/' Application.</h1></body></html>"


@dataclass(frozen=True)
class Damage:
    """What is to be done to one page: texts are the ids of records whose first decimal field becomes a text."""

    entity: str
    texts: Collection[str] = ()
    drifts: tuple[Drift, ...] = ()
    effects: tuple[Effect, ...] = ()


def damaged(body: bytes, damage: Damage) -> bytes:
    """The body as the server sends it, but for a connection that ends early."""
    if any(isinstance(effect, NotJson) for effect in damage.effects):
        return NO_JSON
    if damage.texts or damage.drifts:
        body = orjson.dumps([_changed(record, damage) for record in orjson.loads(body)])
    for effect in damage.effects:
        body = body[: sent_bytes(body, effect.share)] if isinstance(effect, Cut) else body
    return body


def sent_bytes(body: bytes, share: float) -> int:
    """How many bytes of a body arrive: at least one is missing."""
    return max(0, min(int(len(body) * share), len(body) - 1))


def closing_share(effects: tuple[Effect, ...]) -> float | None:
    """After which share of the body the connection is closed; None when it stays open."""
    return next((effect.share for effect in effects if isinstance(effect, Closed)), None)


def _changed(record: dict[str, object], damage: Damage) -> dict[str, object]:
    if record["id"] in damage.texts:
        record[_first_decimal(damage.entity)] = "not a number"
    for drift in damage.drifts:
        _drift(record, drift)
    return record


def _first_decimal(entity: str) -> str:
    return next((field.name for field in SHAPES[entity].fields.values() if field.kind == "float"), "number")


def _drift(record: dict[str, object], drift: Drift) -> None:
    for name in record.keys() & drift.retyped.keys():
        record[name] = _retyped(record[name], drift.retyped[name])
    for name in record.keys() & set(drift.vanished):
        del record[name]
    record.update(drift.new)


def _retyped(value: object, kind: str) -> object:
    others: dict[str, object] = {
        "text": f"it is {value}",
        "number": float(len(str(value))),
        "list": [value],
        "object": {"value": value},
    }
    return others[kind]
