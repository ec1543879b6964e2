"""Unnamed: what a record carries beyond its contract, and what of a broken record is put aside.

    variant(SALE, record)      # {'badge': 'red'}: may be kept
    unnamed(SALE, record, ...) # {'badge': 'text', 'sellerMail': 'withheld text'}: all that there is
    payload(SALE, record, ...) # '{"badge":"red","id":"s1","quantity":"two"}'

Nothing is kept of what no contract names where an entity holds personal data, or where it looks personal itself.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mercurios.sources.contracts import Contract, Field
from mercurios.sources.personal import emptied, may_keep, scrubbed, told_name
from mercurios.sources.reading import is_sound, is_unicode, json_kind

WITHHELD_KIND = "withheld "
"""Before the kind of a field whose values were not kept, or not all of them."""
_VARIANT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PAYLOAD = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_Record = Mapping[str, Any]


def variant(contract: Contract, record: _Record) -> dict[str, object]:
    """Fields that no contract names, as far as they may be kept; those of nested records in an array by its field."""
    kept = _own(contract, record)
    for name, of, items in _nested(contract, record):
        inner = [variant(of, item) if type(item) is dict else {} for item in items]
        if any(inner):
            kept[name] = inner
    return kept


def unnamed(contract: Contract, record: _Record, kept: _Record) -> dict[str, str]:
    """JSON kind of every field that no contract names, by its name for reports; see `is_withheld`.

    kept: the record's `variant`.
    """
    kinds: dict[str, str] = {}
    for name in _names(contract, record):
        note(kinds, told_name(name), _kind(name, record[name], kept))
    for name, of, items in _nested(contract, record):
        for item, inside in zip(items, kept.get(name, [{}] * len(items)), strict=True):
            inner = unnamed(of, item, inside) if type(item) is dict else {}
            for each, kind in inner.items():
                note(kinds, f"{name}[].{each}", kind)
    return kinds


def _kind(name: str, value: object, kept: _Record) -> str:
    is_whole = name in kept and [kept[name]] == [value]
    return json_kind(value) if is_whole else f"{WITHHELD_KIND}{json_kind(value)}"


def note(kinds: dict[str, str], name: str, kind: str) -> None:
    """Add what a field was seen to be to what is known: withheld goes before kept, anything before null."""
    known = kinds.get(name)
    if known is None or (known != kind and _weight(kind) > _weight(known)):
        kinds[name] = kind


def _weight(kind: str) -> tuple[bool, bool]:
    return is_withheld(kind), not kind.endswith("null")


def is_withheld(kind: str) -> bool:
    """Whether values of the field were not kept, or not all of them."""
    return kind.startswith(WITHHELD_KIND)


def unnamed_reasons(contract: Contract, record: _Record, path: str = "") -> Iterator[str]:
    """One reason for each field that no contract names."""
    for name in sorted(_names(contract, record)):
        yield f"{path}{told_name(name)}: no field of the contract"
    for name, of, items in _nested(contract, record):
        for place, item in enumerate(items):
            if type(item) is dict:
                yield from unnamed_reasons(of, item, f"{path}{name}[{place}].")


def variant_text(fields: Mapping[str, object]) -> str | None:
    """The fields as JSON, None when there are none. Raises ValueError where something cannot be stored as JSON."""
    if not fields:
        return None
    text = _VARIANT.encode(fields)
    text.encode()
    return text


def payload(contract: Contract, record: _Record, suspects: Iterable[Field]) -> str:
    """The whole record as JSON, without what is personal.

    What the contract keeps is there as it came, down to numbers that JSON has no word for: Python's `json.loads` reads
    them. In values that broke the contract the rules for unnamed fields hold; `suspects` are the fields that may have.
    """
    return payload_text(_payload(contract, record, suspects))


def payload_text(value: object) -> str:
    """JSON of any value that is scrubbed, in plain characters where others cannot be stored."""
    text = _PAYLOAD.encode(value)
    return text if is_unicode(text) else _ASCII.encode(value)


def _payload(contract: Contract, record: _Record, suspects: Iterable[Field]) -> dict[str, object]:
    kept = {name: record[name] for name in contract.columns if name in record}
    for field in suspects:
        value = kept.get(field.name)
        if value is not None and not is_sound(field, value):
            kept[field.name] = _broken(contract, value)
    for name, of, items in _nested(contract, record):
        kept[name] = [_payload(of, item, of.kept) if type(item) is dict else _broken(contract, item) for item in items]
    return kept | _own(contract, record)


def _broken(contract: Contract, value: object) -> object:
    return emptied(value) if contract.is_personal else scrubbed(value)


def _own(contract: Contract, record: _Record) -> dict[str, object]:
    if contract.is_personal:
        return {}
    names = _names(contract, record)
    return {name: scrubbed(record[name]) for name in names if may_keep(name, record[name])}


def _names(contract: Contract, record: _Record) -> list[str]:
    return [name for name in record.keys() - contract.known if type(name) is str]


def _nested(contract: Contract, record: _Record) -> Iterator[tuple[str, Contract, list[Any]]]:
    for name, of in contract.nested.items():
        items = record.get(name)
        if type(items) is list:
            yield name, of, items
