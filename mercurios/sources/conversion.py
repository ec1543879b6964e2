"""Conversion: records of a page become typed columns, or quarantined records with every reason.

    converted = convert(SALE, page.records)
    converted.frame, converted.quarantined, converted.unknown

A page is read column by column (about 2 ms for 1,000 sale lines). Only where a column breaks its contract are its
values looked at one by one. Both ways accept the same values; a test holds them together.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import polars as pl

from mercurios.sources.contracts import Contract, Field, Kind, OnDrift
from mercurios.sources.personal import scrubbed, told_name
from mercurios.sources.reading import Breach, is_unicode, read, read_column, reasons, told
from mercurios.sources.unnamed import note, payload, payload_text, unnamed, unnamed_reasons, variant, variant_text

VARIANT = "_variant"
"""Column with the fields that no contract names, as a JSON object with sorted names; null where there are none."""
_Record = dict[str, Any]
_Column = Sequence[Any]


@dataclass(frozen=True)
class Misfit:
    """What stands in a source where a record should be, in a sentence without data: it is its own record and reason."""

    reason: str


@dataclass(frozen=True)
class Quarantined:
    """A record that broke its contract, and what is wrong with each field.

    record: JSON of the whole record without personal data, for `json.loads`; under a mended contract it converts to
    the row that the record itself would have given. record_id, day: its key and day of business, where readable.
    place: among the records that were converted, from 0.
    """

    record: str
    reasons: tuple[str, ...]
    record_id: str | None = None
    day: date | None = None
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Converted:
    """One page: sound records as a frame (columns as the contract has them, then _variant), and the others.

    present: fields of the contract that some record carried. unknown: JSON kind by the name of a field that no
    contract names, of nested records as `positions[].name`; `withheld text` where values were not kept. breaches:
    records whose value broke its kind or was missing though required, by field. rows: records, sound or not.
    """

    frame: pl.DataFrame = field(repr=False)
    quarantined: tuple[Quarantined, ...] = field(repr=False)
    present: frozenset[str]
    unknown: Mapping[str, str]
    breaches: Mapping[str, int]
    rows: int


def convert(contract: Contract, records: Sequence[object]) -> Converted:
    """Hold records against their contract. Every record ends in the frame or among the quarantined."""
    objects, strangers, names, places = _parted(contract, records)
    frame, broken = _columns(contract, objects)
    beyond = _beyond(contract, objects, names)
    why, breaches = _reasons(broken, objects)
    for place, more in beyond.reasons.items():
        why.setdefault(place, []).extend(more)
    variants = beyond.variants
    if why:
        sound = [place for place in range(len(objects)) if place not in why]
        frame, _ = _columns(contract, [objects[place] for place in sound])
        variants = [variants[place] for place in sound] if variants else []
    return Converted(
        frame.hstack([_variant_column(variants, frame.height)]),
        (
            *strangers,
            *(
                replace(_quarantined(contract, objects[place], why[place], broken), place=places[place])
                for place in sorted(why)
            ),
        ),
        present=names & contract.known,
        unknown=beyond.kinds,
        breaches=breaches,
        rows=len(records),
    )


def _parted(
    contract: Contract, records: Sequence[object]
) -> tuple[list[_Record], list[Quarantined], frozenset[str], Sequence[int]]:
    """The records that are JSON objects, the others as quarantined ones, the names and the places of the former."""
    objects = [record for record in records if type(record) is dict]
    names = frozenset[str]().union(*objects)
    if len(objects) == len(records) and set(map(type, names)) <= {str}:
        return objects, [], names, range(len(records))
    places = [place for place, record in enumerate(records) if _is_object(record)]
    others = [
        replace(_stranger(contract, record), place=place)
        for place, record in enumerate(records)
        if not _is_object(record)
    ]
    objects = [cast(_Record, records[place]) for place in places]
    return objects, others, frozenset[str]().union(*objects), places


def _is_object(record: object) -> bool:
    return type(record) is dict and set(map(type, record)) <= {str}


def _columns(contract: Contract, records: list[_Record]) -> tuple[pl.DataFrame, list[Field]]:
    """Typed columns of those fields that keep their contract, and the fields that do not."""
    series, broken = [], []
    for each, values in zip(contract.kept, _values(contract, records), strict=True):
        try:
            series.append(read_column(each, values))
        except Breach:
            broken.append(each)
    return pl.DataFrame(series), broken


def _values(contract: Contract, records: list[_Record]) -> list[_Column]:
    names = [each.name for each in contract.kept]
    if records and len(names) > 1:
        with suppress(KeyError):  # the common case, in which no field is absent
            return list(zip(*map(itemgetter(*names), records), strict=True))
    return [[record.get(name) for record in records] for name in names]


def _variant_column(variants: Sequence[str | None], height: int) -> pl.Series:
    return pl.Series(VARIANT, variants, dtype=pl.String) if variants else pl.Series(VARIANT, [None] * height, pl.String)


def _reasons(broken: Iterable[Field], records: list[_Record]) -> tuple[dict[int, list[str]], dict[str, int]]:
    """What is wrong with each record, by its place, over all fields that broke; and in how many each of them did."""
    why: dict[int, list[str]] = {}
    breaches: dict[str, int] = {}
    for each in broken:
        for place, record in enumerate(records):
            if found := list(reasons(each, record)):
                why.setdefault(place, []).extend(found)
                breaches[each.name] = breaches.get(each.name, 0) + 1
    return why, breaches


@dataclass(frozen=True)
class _Beyond:
    """What the records of a page carry beyond their contract; reasons by place, variants empty where none has any."""

    variants: list[str | None] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    reasons: dict[int, list[str]] = field(default_factory=dict)


def _beyond(contract: Contract, records: list[_Record], names: frozenset[str]) -> _Beyond:
    beyond = _Beyond()
    if names <= contract.known and not any(_has_more(each, records) for each in contract.kept):
        return beyond
    for place, record in enumerate(records):
        fields = variant(contract, record)
        for name, kind in unnamed(contract, record, fields).items():
            note(beyond.kinds, name, kind)
        text, why = _stored(contract, record, fields)
        beyond.variants.append(text)
        if why:
            beyond.reasons[place] = why
    return beyond


def _has_more(field: Field, records: list[_Record]) -> bool:
    """Whether a nested record carries more than its contract names."""
    if field.of is None:
        return False
    arrays = (record.get(field.name) for record in records)
    items = (item for items in arrays if type(items) is list for item in items if type(item) is dict)
    return not field.of.known.issuperset(chain.from_iterable(items))


def _stored(contract: Contract, record: _Record, fields: Mapping[str, object]) -> tuple[str | None, list[str]]:
    """The record's _variant, or why it cannot have one."""
    if contract.on_drift is OnDrift.QUARANTINE:
        return None, list(unnamed_reasons(contract, record))
    try:
        return variant_text(fields), []
    except ValueError:
        return None, [
            f"{told_name(name)}: expected JSON, got what is none" for name in fields if _is_no_json(fields, name)
        ]


def _is_no_json(fields: Mapping[str, object], name: str) -> bool:
    try:
        variant_text({name: fields[name]})
    except ValueError:
        return True
    return False


def _quarantined(contract: Contract, record: _Record, why: list[str], broken: list[Field]) -> Quarantined:
    kept = payload(contract, record, broken)
    return Quarantined(kept, tuple(why), _record_id(contract, record), _day(contract, record))


def _record_id(contract: Contract, record: _Record) -> str | None:
    value = next((record.get(each.name) for each in contract.kept if each.is_key), None)
    return value if type(value) is str and value and is_unicode(value) else None


def _day(contract: Contract, record: _Record) -> date | None:
    try:
        moment = read(Field("day", Kind.TIMESTAMP), record.get(contract.day or ""))
    except Breach:
        return None
    return moment.date() if isinstance(moment, datetime) else None


def _stranger(contract: Contract, record: object) -> Quarantined:
    if isinstance(record, Misfit):
        reason = str(scrubbed(record.reason))
        return Quarantined(payload_text(reason), (reason,))
    kept = None if contract.is_personal else scrubbed(record)
    return Quarantined(payload_text(kept), (f"record: expected object, got {told(record)}",))
