"""Drift: what differs from the contract and from the batch before is told once, as grave as it is, without values."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.sources.contracts import CONTRACTS, ORDER, Contract, Field, Kind, OnDrift
from mercurios.sources.conversion import convert
from mercurios.sources.drift import MORE, MOST_UNKNOWN, Drift, Observed

THING = Contract(
    "thing",
    (Field("id", Kind.TEXT, is_key=True), Field("size", Kind.INTEGER), Field("note", Kind.TEXT, is_nullable=True)),
)
WHOLE = frozenset({"id", "size", "note"})
CANARY = "CANARY-4711"


def thing(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "size": 1, "note": "x", **fields}


def observed(contract: Contract, *pages: list[Any]) -> Observed:
    batch = Observed()
    for page in pages:
        batch.add(convert(contract, page))
    return batch


def told(drifts: tuple[Drift, ...]) -> list[tuple[str, str, str]]:
    return [(drift.field, drift.change, drift.severity) for drift in drifts]


def test_a_batch_as_it_should_be_shows_nothing() -> None:
    batch = observed(THING, [thing(), thing()], [thing()])
    assert batch.fields == WHOLE
    assert batch.drifts(THING, None) == batch.drifts(THING, WHOLE) == ()


@pytest.mark.parametrize(
    ("policy", "field", "severity", "words"),
    [
        (
            OnDrift.EVOLVE,
            "badge",
            "info",
            "badge (text) is no field of the thing contract; its values are kept in _variant",
        ),
        (OnDrift.EVOLVE, "sellerMail", "warning", "it may be personal, so values are withheld"),
        (OnDrift.QUARANTINE, "badge", "warning", "records with it are quarantined"),
        (OnDrift.QUARANTINE, "sellerMail", "warning", "records with it are quarantined"),
        (OnDrift.STOP, "badge", "error", "the contract wants nothing loaded then"),
        (OnDrift.STOP, "sellerMail", "error", "the contract wants nothing loaded then"),
    ],
)
def test_a_new_field(policy: OnDrift, field: str, severity: str, words: str) -> None:
    contract = replace(THING, on_drift=policy)
    batch = observed(contract, [thing()], [thing(**{field: CANARY}), thing(**{field: CANARY})])
    for before in (None, WHOLE):
        (drift,) = batch.drifts(contract, before)
        assert (drift.entity, drift.field, drift.change, drift.severity) == ("thing", field, "new", severity)
        assert words in drift.detail
        assert CANARY not in repr(drift) + repr(batch)


def test_a_new_field_of_an_entity_with_personal_data_is_a_warning() -> None:
    customer = CONTRACTS["customer"]
    (drift,) = observed(customer, [{"badge": CANARY}]).drifts(customer, None)[:1]
    assert (drift.field, drift.severity) == ("badge", "warning")
    assert CANARY not in drift.detail


def test_a_field_withheld_on_one_page_only_is_withheld() -> None:
    pages = [[thing(badge=None)], [thing(badge="red")], [thing(badge="m@example.org")], [thing(badge=None)]]
    for batch in (observed(THING, *pages), observed(THING, *reversed(pages))):
        (drift,) = batch.drifts(THING, None)
        assert drift.severity == "warning"
        assert drift.detail.startswith("badge (text) is no field")


def test_a_new_field_of_a_position() -> None:
    page = [{"id": "o", "number": 1, "positions": [{"quantity": 1}, {"badge": "red"}]}]
    assert told(observed(ORDER, page).drifts(ORDER, None)) == [("positions[].badge", "new", "info")]


def test_a_field_named_after_every_record_is_not_told_without_end() -> None:
    pages = [[thing(**{f"extra{page}x{place}": 1 for place in range(50)})] for page in range(20)]
    batch = observed(THING, *pages)
    drifts = batch.drifts(THING, None)
    assert len(drifts) == MOST_UNKNOWN + 1
    assert (drifts[-1].field, drifts[-1].severity) == (MORE, "info")
    assert f"more than {MOST_UNKNOWN} fields are none of the thing contract" in drifts[-1].detail


def without(name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in thing().items() if key != name}] * 2


@pytest.mark.parametrize(("field", "severity"), [("note", "warning"), ("size", "error"), ("id", "error")])
def test_a_field_that_no_record_carries_any_more_has_vanished(field: str, severity: str) -> None:
    batch = observed(THING, without(field), without(field))
    assert told(batch.drifts(THING, WHOLE)) == [(field, "vanished", severity)]
    assert batch.fields == WHOLE - {field}
    assert told(batch.drifts(THING, None)) == []
    assert told(batch.drifts(THING, WHOLE - {field})) == []
    assert told(observed(THING, without(field), [thing()]).drifts(THING, WHOLE)) == []


def test_an_empty_batch_says_nothing_of_fields() -> None:
    for batch in (Observed(), observed(THING, [], [])):
        assert batch.drifts(THING, WHOLE) == ()
        assert batch.fields == frozenset()


def test_personal_fields_may_vanish() -> None:
    label, customer = CONTRACTS["label"], CONTRACTS["customer"]
    assert told(observed(customer, [{"id": "c"}]).drifts(customer, frozenset({"id", "iban", "firstName"}))) == []
    assert told(observed(label, [{"id": "l"}]).drifts(label, frozenset({"id", "gone"}))) == []


@pytest.mark.parametrize(("broken", "sound", "is_told"), [(1, 0, True), (1, 1, True), (2, 3, False), (3, 2, True)])
def test_a_field_broken_in_half_of_the_records_is_retyped(broken: int, sound: int, is_told: bool) -> None:
    batch = observed(THING, [thing(size=CANARY)] * broken, [thing()] * sound)
    drifts = batch.drifts(THING, WHOLE)
    assert told(drifts) == ([("size", "retyped", "error")] if is_told else [])
    if is_told:
        rows = broken + sound
        detail = f"size is not what the contract says (integer) in {broken} of {rows} records"
        assert [drift.detail for drift in drifts] == [detail]


def test_a_required_field_that_became_null_is_retyped_and_not_vanished() -> None:
    assert told(observed(THING, [thing(size=None)]).drifts(THING, WHOLE)) == [("size", "retyped", "error")]


def test_broken_positions_are_a_retyped_field() -> None:
    page = [{"id": "o", "number": 1, "positions": [{"quantity": "x"}, {"quantity": "y"}]}]
    assert told(observed(ORDER, page).drifts(ORDER, None)) == [("positions", "retyped", "error")]


VALUES = st.sampled_from([None, 1, "x", CANARY, 1.5, True, [CANARY], {"badge": CANARY}])
ANYTHING = st.dictionaries(st.sampled_from(["id", "size", "note", "badge", "email"]), VALUES) | st.just(7)


@settings(deadline=None)
@given(st.lists(st.lists(ANYTHING, max_size=4), max_size=4))
def test_pages_may_come_in_any_order(pages: list[list[Any]]) -> None:
    forth, back = observed(THING, *pages), observed(THING, *reversed(pages))
    assert forth.fields == back.fields
    for before in (None, WHOLE):
        drifts = forth.drifts(THING, before)
        assert [(d.field, d.change, d.severity) for d in drifts] == told(back.drifts(THING, before))
        assert len({(drift.field, drift.change) for drift in drifts}) == len(drifts)
        assert CANARY not in str(drifts)
