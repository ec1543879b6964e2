"""Conversion: every record is typed, or quarantined whole with all its reasons; nothing personal gets anywhere."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.sources.contracts import CONTRACTS, CUSTOMER, ORDER, POSITION, SALE, Contract, Field, Kind, OnDrift
from mercurios.sources.conversion import VARIANT, Converted, convert
from mercurios.sources.personal import DEEPEST, WITHHELD, is_personal_name, is_personal_text, scrubbed
from mercurios.sources.reading import EXACT, Breach, is_sound, read, read_column

IBAN = "DE02120300000000202051"
THING = Contract("thing", (Field("id", Kind.TEXT, is_key=True), Field("size", Kind.INTEGER, is_nullable=True)))
"""A small entity that holds nothing personal."""

# --- what a record may look like -------------------------------------------------------------------------------------

WHOLE = st.integers(-EXACT, EXACT)
MOMENTS = st.builds(
    lambda moment, digits: moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else ""),
    st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1)),
    st.text("0123456789", max_size=9),
) | st.dates(date(1900, 1, 1), date(2199, 1, 1)).map(str)
JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
SCALARS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: JSON_TEXT,
    Kind.CODE: JSON_TEXT | WHOLE | WHOLE.map(float),
    Kind.INTEGER: WHOLE | WHOLE.map(float),
    Kind.NUMBER: NUMBERS,
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: MOMENTS,
}
NO_MOMENTS = (
    *("", "2025-03", "01.03.2025", "2025-02-30T00:00:00", "2025-3-1T10:00:00", "2025-03-01T24:00:00"),
    *("2025-03-01T10:00:60", "2025-03-01T10:00:00Z", "2025-03-01T10:00:00.", " 2025-03-01T10:00:00"),
    *("2025-03-01T10:00:00\n", "٢٠٢٥-03-01T10:00:00", "0000-01-01T00:00:00"),
)
NESTED = st.just({"iban": IBAN}) | st.just([1])
NO_NUMBER = st.sampled_from([math.inf, -math.inf, math.nan])
NO_UNICODE = st.just("\ud800") | st.just("Gr\udfffoße")
BROKEN: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: NESTED | st.booleans() | NUMBERS | NO_UNICODE,
    Kind.CODE: NESTED | st.booleans() | st.just(38.5) | NO_UNICODE | NO_NUMBER,
    Kind.INTEGER: NESTED
    | st.booleans()
    | st.sampled_from([1.5, 2.0**53 + 2, 2**63, -(2**63) - 1, 10**400, "1", "", -0.1])
    | NO_NUMBER,
    Kind.NUMBER: NESTED | st.booleans() | st.sampled_from(["1.0", "1,50", "", 10**400]) | NO_NUMBER,
    Kind.BOOLEAN: NESTED | st.sampled_from([0, 1, 1.0, "true", ""]),
    Kind.TIMESTAMP: NESTED | NUMBERS | st.sampled_from(NO_MOMENTS) | NO_UNICODE,
    Kind.RECORDS: st.just({"iban": IBAN})
    | st.sampled_from([0, "", "[]", [1], [None], [{}, []], [{"articleNumber": "7"}], [{}, {"size": 38.5}]]),
}


def sound_value(field: Field) -> st.SearchStrategy[Any]:
    value = st.lists(fields_of(field.of), max_size=2) if field.of else SCALARS[field.kind]
    value = value.filter(lambda v: v != "") if field.is_key else value
    return st.none() | value if field.is_nullable else value


def fields_of(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    required = {field.name: sound_value(field) for field in contract.kept if not field.is_nullable}
    optional = {field.name: sound_value(field) for field in contract.kept if field.is_nullable}
    return st.fixed_dictionaries(required, optional=optional)


RECORDS = {contract.entity: fields_of(contract) for contract in CONTRACTS.values()}
ANY_CONTRACT = st.sampled_from(list(CONTRACTS.values()))


def records(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    return RECORDS[contract.entity]


def sale(**fields: Any) -> dict[str, Any]:
    """A sound sale line, but for `fields`; None takes a field away."""
    sound = {
        "id": "s1",
        **dict.fromkeys(("branchNumber", "articleNumber", "cashRegisterNumber", "receiptNumber"), 1),
        **{"type": 0, "quantity": 1.0, "salePrice": 9.95, "date": "2025-03-01T00:00:00"},
        **{"lastChange": "2025-03-01T10:11:12.1234567", "isDeleted": False},
    }
    return {name: value for name, value in (sound | fields).items() if value is not None}


def expected(field: Field, value: Any) -> Any:
    """The typed value, by another way than the conversion's."""
    if value is None:
        return None
    if field.kind is Kind.TIMESTAMP:
        whole, _, digits = value.partition(".")
        moment = datetime.strptime(whole if "T" in whole else f"{whole}T00:00:00", "%Y-%m-%dT%H:%M:%S")
        return moment.replace(microsecond=int(digits[:6].ljust(6, "0")) if digits else 0)
    if field.kind is Kind.CODE:
        return value if isinstance(value, str) else str(int(value))
    if field.of:
        return [{each.name: expected(each, item.get(each.name)) for each in field.of.kept} for item in value]
    return {Kind.INTEGER: int, Kind.NUMBER: float, Kind.TEXT: str, Kind.BOOLEAN: bool}[field.kind](value)


def stored(field: Field, value: Any) -> Any:
    """What a frame holds, with JSON of nested records read again and filled up with nulls."""
    if value is None or field.of is None:
        return value
    return [{each.name: _stored_inside(each, item) for each in field.of.kept} for item in json.loads(value)]


def _stored_inside(field: Field, item: Mapping[str, Any]) -> Any:
    value = item.get(field.name)
    return datetime.fromisoformat(value) if value and field.kind is Kind.TIMESTAMP else value


# --- sound and broken records ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.data())
def test_sound_records_come_through_typed_and_unchanged(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    page = data.draw(st.lists(records(contract), max_size=3))
    converted = convert(contract, page)
    assert converted.quarantined == ()
    assert converted.frame.schema == {field.column: field.kind.dtype for field in contract.kept} | {VARIANT: pl.String}
    for field in contract.kept:
        values = [stored(field, value) for value in converted.frame[field.column]]
        assert values == [expected(field, record.get(field.name)) for record in page]
    assert converted.frame[VARIANT].null_count() == converted.rows == len(page)
    assert (converted.unknown, converted.breaches) == ({}, {})
    assert converted.present == {name for record in page for name in record}


@settings(deadline=None)
@given(st.data())
def test_any_broken_field_is_quarantined_with_its_reason_and_nothing_else_is(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    page = data.draw(st.lists(records(contract), min_size=1, max_size=3))
    place = data.draw(st.integers(0, len(page) - 1))
    broken = data.draw(st.lists(st.sampled_from(contract.kept), min_size=1, max_size=3, unique=True))
    for field in broken:
        page[place][field.name] = data.draw(BROKEN[field.kind])
    converted = convert(contract, page)
    assert [record["id"] for i, record in enumerate(page) if i != place] == converted.frame["id"].to_list()
    (quarantined,) = converted.quarantined
    names = [reason.partition(":")[0].partition("[")[0] for reason in quarantined.reasons]
    assert names == [field.name for field in contract.kept if field in broken]
    assert converted.breaches == dict.fromkeys(names, 1)
    assert IBAN not in quarantined.record + str(quarantined.reasons)
    assert set(json.loads(quarantined.record)) == set(page[place])


@settings(deadline=None)
@given(st.data())
def test_a_required_field_must_be_there(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    record = data.draw(records(contract))
    field = data.draw(st.sampled_from([field for field in contract.kept if not field.is_nullable]))
    is_absent = data.draw(st.booleans())
    record.pop(field.name) if is_absent else record.update({field.name: None})
    converted = convert(contract, [record])
    got = "nothing" if is_absent else "null"
    assert converted.quarantined[0].reasons == (f"{field.name}: expected {field.kind.value}, got {got}",)
    assert converted.breaches == {field.name: 1}


def test_every_reason_is_told() -> None:
    (quarantined,) = convert(SALE, [sale(quantity="two", date="yesterday", type=None, time=1.5)]).quarantined
    assert quarantined.reasons == (
        "type: expected integer, got nothing",
        "time: expected integer, got number 1.5",
        "quantity: expected number, got other text",
        "date: expected timestamp, got other text",
    )


ODD = st.sampled_from([0, 0.0, -0.0, EXACT, float(EXACT), -(2**63), 2**64, 2**70 + 1, 10**400, 5e-324, 1e308, ""])
ONE_KIND = [kind for kind in Kind if kind is not Kind.RECORDS]
KINDS = [
    *(Field("value", kind, is_nullable) for kind in ONE_KIND for is_nullable in (True, False)),
    Field("value", Kind.RECORDS, True, of=POSITION),
    Field("value", Kind.RECORDS, of=Contract("part", (Field("id", Kind.CODE), Field("size", Kind.INTEGER, True)))),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_a_column_is_read_as_its_values_one_by_one_are(field: Field, data: st.DataObject) -> None:
    """The fast way over columns and the exact way over values accept the same and mean the same."""
    sound = sound_value(field)
    broken = BROKEN[field.kind] | ODD
    values = data.draw(st.lists(sound, max_size=6) | st.lists(st.none() | sound | broken, max_size=6))
    values *= data.draw(st.sampled_from([1, 20]))  # few different values are read another way
    if all(field.is_nullable if value is None else is_sound(field, value) for value in values):
        column = read_column(field, values)
        assert column.to_list() == [None if value is None else read(field, value) for value in values]
        assert column.dtype == field.kind.dtype
    else:
        with pytest.raises(Breach):
            read_column(field, values)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_page_is_read_as_its_records_one_by_one_are(data: st.DataObject) -> None:
    odd = (
        st.just({"id": "t"})
        | st.just({"id": "t", "badge": [1, {"phone": 2}]})
        | st.just({"size": "x", "new": "\ud800"})
    )
    sizes = st.none() | SCALARS[Kind.INTEGER] | BROKEN[Kind.INTEGER]
    page = data.draw(st.lists(odd | st.fixed_dictionaries({"id": JSON_TEXT, "size": sizes}), max_size=5))
    alone = [convert(THING, [record]) for record in page]
    together = convert(THING, page)
    assert together.frame.rows() == [row for one in alone for row in one.frame.rows()]
    assert together.quarantined == tuple(record for one in alone for record in one.quarantined)
    assert together.present == frozenset[str]().union(*(one.present for one in alone))
    assert set(together.unknown) == {name for one in alone for name in one.unknown}
    assert sum(together.breaches.values()) == sum(sum(one.breaches.values()) for one in alone)
    assert together.rows == len(page) == together.frame.height + len(together.quarantined)


@pytest.mark.parametrize("record", [None, "text", 1, 1.5, True, [], [{}], {7: "seven"}, b"bytes", {None: 1}])
def test_what_is_no_object_is_quarantined_too(record: object) -> None:
    converted = convert(SALE, [record, sale()])
    assert converted.frame.height == 1
    assert converted.quarantined[0].reasons[0].startswith("record: expected object, got")
    assert converted.rows == 2


def test_an_empty_record_lacks_everything() -> None:
    converted = convert(CONTRACTS["label"], [{}])
    assert converted.quarantined[0].record == "{}"
    assert len(converted.quarantined[0].reasons) == 4


def test_an_empty_key_is_a_breach_because_rows_would_merge() -> None:
    (quarantined,) = convert(CONTRACTS["staff"], [{"id": "", "number": 1}]).quarantined
    assert "id: expected text, got empty text" in quarantined.reasons
    assert quarantined.record_id is None


def test_long_numbers_that_json_sends_as_floats_are_exact_and_half_numbers_a_breach() -> None:
    contract = Contract("article", (Field("number", Kind.INTEGER),))
    page = json.loads('[{"number": 110131893.0}, {"number": 4005808123456.0}, {"number": 7}, {"number": 1.5}]')
    converted = convert(contract, page)
    assert converted.frame["number"].to_list() == [110131893, 4005808123456, 7]
    assert converted.quarantined[0].reasons == ("number: expected integer, got number 1.5",)


def test_cents_are_exact() -> None:
    contract = Contract("sale", (Field("salePrice", Kind.NUMBER),))
    texts = [f"{cents // 100}.{cents % 100:02d}" for cents in range(0, 200_000, 7)]
    page = json.loads("[" + ",".join(f'{{"salePrice": {text}}}' for text in texts) + "]")
    column = convert(contract, page).frame["sale_price"]
    assert [Decimal(repr(value)).quantize(Decimal("0.01")) for value in column] == [Decimal(text) for text in texts]
    assert (column * 100).round().cast(pl.Int64).to_list() == list(range(0, 200_000, 7))


# --- what the quarantine keeps ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_quarantined_record_converts_as_the_record_itself_once_the_contract_is_mended(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    record = data.draw(records(contract))
    broken = data.draw(st.lists(st.sampled_from(contract.kept), min_size=1, max_size=3, unique=True))
    for field in broken:
        values = BROKEN[field.kind].filter(lambda value: IBAN not in str(value))
        record[field.name] = data.draw(values.filter(lambda v: not contract.is_personal or type(v) not in {dict, list}))
    if not contract.is_personal:
        record |= data.draw(
            st.dictionaries(st.sampled_from(["badge", "eco"]), NUMBERS | JSON_TEXT | NESTED, max_size=2)
        )
    (quarantined,) = convert(contract, [record]).quarantined
    kinds = {field.name: data.draw(st.sampled_from(ONE_KIND)) for field in broken}
    mended = replace(
        contract,
        kept=tuple(
            Field(field.name, kinds[field.name], is_nullable=True) if field in broken else field
            for field in contract.kept
        ),
    )
    assert_same(convert(mended, [json.loads(quarantined.record)]), convert(mended, [record]))
    assert_same(convert(contract, [json.loads(quarantined.record)]), convert(contract, [record]))


def assert_same(one: Converted, other: Converted) -> None:
    assert one.frame.equals(other.frame)
    assert one.quarantined == other.quarantined
    assert (one.present, one.breaches, one.rows) == (other.present, other.breaches, other.rows)


def test_a_long_text_is_kept_whole() -> None:
    (quarantined,) = convert(SALE, [sale(quantity="x" * 5000)]).quarantined
    assert json.loads(quarantined.record)["quantity"] == "x" * 5000


def test_the_payload_does_not_depend_on_the_order_of_fields() -> None:
    record = sale(quantity="two", badge=1)
    one, other = convert(SALE, [record, dict(reversed(record.items()))]).quarantined
    assert one == other


def test_key_and_day_are_told_where_they_can_be_read() -> None:
    page = [
        sale(quantity="two"),
        sale(date="2025-03-99T00:00:00"),
        sale(id=7),
        sale(id="\ud800", date=20250301),
        sale(id=None, date=None),
    ]
    found = [(each.record_id, each.day) for each in convert(SALE, page).quarantined]
    day = date(2025, 3, 1)
    assert found == [("s1", day), ("s1", None), (None, day), (None, None), (None, None)]
    (quarantined,) = convert(CONTRACTS["label"], [{"id": "l1"}]).quarantined
    assert (quarantined.record_id, quarantined.day) == ("l1", None)


# --- fields that no contract names -----------------------------------------------------------------------------------


def test_unknown_fields_are_kept_beside_the_columns() -> None:
    page = [sale(), sale(score=1.5, badge="rot", eco={"b": [1, None], "a": True}), sale(badge=None), sale(id="s4")]
    page[3]["badge"] = None
    converted = convert(SALE, page)
    assert converted.frame[VARIANT].to_list() == [
        None,
        '{"badge":"rot","eco":{"a":true,"b":[1,null]},"score":1.5}',
        None,
        '{"badge":null}',
    ]
    assert converted.unknown == {"badge": "text", "eco": "object", "score": "number"}
    assert converted.quarantined == ()
    assert "badge" not in converted.present


def test_the_policy_quarantine_wants_no_unknown_field() -> None:
    contract = replace(THING, on_drift=OnDrift.QUARANTINE)
    converted = convert(contract, [{"id": "a", "size": 1}, {"id": "b", "size": "x", "zeta": 1, "badge": "red"}])
    assert converted.frame["id"].to_list() == ["a"]
    (quarantined,) = converted.quarantined
    assert quarantined.reasons == (
        "size: expected integer, got other text",
        "badge: no field of the contract",
        "zeta: no field of the contract",
    )
    assert json.loads(quarantined.record) == {"id": "b", "size": "x", "zeta": 1, "badge": "red"}
    assert converted.unknown == {"badge": "text", "zeta": "number"}
    assert converted.breaches == {"size": 1}


def test_the_policy_stop_leaves_it_to_the_job() -> None:
    page = [{"id": "a", "badge": "red"}]
    assert_same(convert(replace(THING, on_drift=OnDrift.STOP), page), convert(THING, page))


@pytest.mark.parametrize("value", ["\ud800", math.nan, math.inf, {"a": ["\udfff"]}, {"\ud800": 1}, [10**400, math.nan]])
def test_an_unknown_value_that_cannot_be_stored_as_json_is_quarantined_whole(value: object) -> None:
    converted = convert(THING, [{"id": "a", "badge": value}])
    (quarantined,) = converted.quarantined
    assert quarantined.reasons == ("badge: expected JSON, got what is none",)
    quarantined.record.encode()
    assert repr(json.loads(quarantined.record)["badge"]) == repr(value)


# --- positions of orders ---------------------------------------------------------------------------------------------


def order(*positions: object) -> dict[str, Any]:
    return {"id": "o1", "number": 7, "created": "2025-03-01T09:00:00", "positions": list(positions)}


def test_positions_become_canonical_json() -> None:
    one = {"quantity": 2, "articleNumber": 110131893.0, "expectedArrival": "2025-04-01", "ean": 4005808123456.0}
    other = {"size": "38", "orderAmount": 3.5, "isConsignment": False, "price": None}
    converted = convert(ORDER, [order(one, other), order(), {"id": "o3", "number": 9}])
    assert converted.frame["positions"].to_list() == [
        '[{"articleNumber":110131893,"ean":"4005808123456","expectedArrival":"2025-04-01T00:00:00","quantity":2.0},'
        '{"isConsignment":false,"orderAmount":3.5,"size":"38"}]',
        "[]",
        None,
    ]


def test_one_broken_position_quarantines_its_order() -> None:
    broken = order({"quantity": 1}, {"articleNumber": "A7", "quantity": "x"}, 5, {"size": None})
    converted = convert(ORDER, [order({"quantity": 1}), broken])
    assert converted.frame.height == 1
    (quarantined,) = converted.quarantined
    assert quarantined.reasons == (
        "positions[1].articleNumber: expected integer, got other text",
        "positions[1].quantity: expected number, got other text",
        "positions[2]: expected object, got number 5",
    )
    assert converted.breaches == {"positions": 1}
    assert json.loads(quarantined.record) == broken
    assert (quarantined.record_id, quarantined.day) == ("o1", date(2025, 3, 1))


def test_a_position_may_lack_what_a_contract_wants_of_it_only_where_it_says_so() -> None:
    strict = replace(POSITION, kept=(Field("quantity", Kind.NUMBER),))
    contract = Contract("order", (Field("positions", Kind.RECORDS, of=strict),))
    pages = [[{"positions": [{"quantity": 1}]}, {"positions": [{}]}], [{"positions": None}], [{}]]
    assert [each.reasons[0] for page in pages for each in convert(contract, page).quarantined] == [
        "positions[0].quantity: expected number, got nothing",
        "positions: expected records, got null",
        "positions: expected records, got nothing",
    ]


def test_unknown_fields_of_positions_are_kept_by_place_and_personal_ones_withheld() -> None:
    page = [order({"quantity": 1}, {"quantity": 2, "badge": "red", "contactMail": "m@example.org"}), order({})]
    converted = convert(ORDER, page)
    assert converted.frame[VARIANT].to_list() == ['{"positions":[{},{"badge":"red"}]}', None]
    assert converted.unknown == {"positions[].badge": "text", "positions[].contactMail": "withheld text"}
    strict = convert(replace(ORDER, on_drift=OnDrift.QUARANTINE), page)
    (quarantined,) = strict.quarantined
    assert quarantined.reasons == (
        "positions[1].badge: no field of the contract",
        "positions[1].contactMail: no field of the contract",
    )
    assert "example" not in str(quarantined)
    assert json.loads(quarantined.record)["positions"] == [{"quantity": 1}, {"quantity": 2, "badge": "red"}]


# --- personal data ---------------------------------------------------------------------------------------------------

CANARY = "CANARY-4711"


def everything(converted: Converted) -> str:
    """All that a page's conversion lets out."""
    parts = [repr(converted), *(repr(each) for each in converted.quarantined), converted.frame.write_ndjson()]
    return "".join(parts) + str(converted.quarantined) + str(converted.unknown)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.entity)
@pytest.mark.parametrize("value", [CANARY, [CANARY], {"x": {"y": [CANARY]}}], ids=["text", "array", "object"])
def test_personal_fields_go_nowhere(contract: Contract, value: object) -> None:
    sound = sound_record(contract)
    personal = dict.fromkeys(contract.personal, value)
    broken = [sound | personal | {field.name: {"deep": value, "iban": value}} for field in contract.kept]
    if contract.is_personal:
        broken += [sound | personal | {"newField": value}, sound | personal | {"customer": {"a": value}}]
    converted = convert(contract, [sound | personal, *broken, personal])
    assert converted.frame.height >= 1
    assert len(converted.quarantined) >= len(contract.kept)
    if contract.is_personal:
        assert CANARY not in everything(converted)
    for quarantined in converted.quarantined:
        assert not contract.personal & set(json.loads(quarantined.record))
        assert "iban" not in quarantined.record
    assert not contract.personal & set(converted.unknown)


def sound_record(contract: Contract) -> dict[str, Any]:
    values: dict[Kind, Any] = {
        **{Kind.TEXT: "a", Kind.CODE: "38", Kind.INTEGER: 1, Kind.NUMBER: 1.5, Kind.BOOLEAN: False},
        **{Kind.TIMESTAMP: "2025-03-01T10:11:12.1234567", Kind.RECORDS: [{"quantity": 1}]},
    }
    return {field.name: values[field.kind] for field in contract.kept}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "email",
            "E-Mail",
            "contact_mail",
            "telephone2",
            "mobilePhone",
            "HANDY",
            "iban",
            "customerIBAN",
            "BIC",
            "bicCode",
        ),
        *(
            "bankAccount",
            "kontonummer",
            "dateOfBirth",
            "Geburtsdatum",
            "webshopUserPassword",
            "apiSecret",
            "accessToken",
        ),
        *("firstName", "lastname", "NAME", "name1", "customerName", "Kundenname", "displayName", "street", "Straße"),
        *("shippingAddress", "anschrift", "salutation", "fax", "ip", IBAN, "m@example.org"),
    ],
)
def test_unknown_fields_with_personal_names_are_told_and_not_kept(name: str) -> None:
    page = [
        {"id": "t", name: CANARY},
        {"id": "t", "size": "x", name: CANARY},
        {"id": "t", "eco": {"a": 1, name: CANARY}},
    ]
    converted = convert(THING, [*page, {"id": "t", name: 4915112345678}])
    assert converted.frame[VARIANT].to_list() == [None, '{"eco":{"a":1}}', None]
    assert CANARY not in everything(converted)
    assert "4915112345678" not in everything(converted)
    assert all(kind.startswith("withheld ") for kind in converted.unknown.values())
    assert set(converted.unknown) == {name if not is_personal_text(name) else WITHHELD, "eco"}
    assert len(converted.quarantined) == 1


@pytest.mark.parametrize(
    "name",
    ["articleName", "productname", "colorName", "cubic", "badge", "tip", "ecoScore", "vatRate", "customerNumber"],
)
def test_unknown_fields_about_things_are_kept(name: str) -> None:
    assert not is_personal_name(name)
    assert convert(THING, [{"id": "t", name: 7}]).frame[VARIANT].to_list() == [f'{{"{name}":7}}']


@pytest.mark.parametrize("value", ["Max Muster", {"a": "Max"}, ["Max"]])
def test_of_people_only_numbers_are_kept(value: object) -> None:
    converted = convert(THING, [{"id": "t", "customer": value, "cashierNumber": 5}])
    assert converted.frame[VARIANT].to_list() == ['{"cashierNumber":5}']
    assert converted.unknown["customer"].startswith("withheld ")


@pytest.mark.parametrize(
    "text",
    ["m.muster@example.org", "call <m@example.org> now", IBAN, f"to {IBAN} please", "DE02 1203 0000 0000 2020 51"],
)
def test_texts_that_look_personal_are_withheld_wherever_they_stand(text: str) -> None:
    page = [
        {"id": "t", "badge": text, "eco": {"a": [1, text], "b": text, text: 1}},
        {"id": "t", "size": text},
        {"id": "t", "size": {"badge": [text]}},
        text,
        [text],
    ]
    converted = convert(THING, page)
    assert converted.frame[VARIANT].to_list() == [f'{{"eco":{{"a":[1,"{WITHHELD}"]}}}}']
    assert len(converted.quarantined) == 4
    for private in ("muster", "example", "1203", "2020"):
        assert private not in everything(converted)


@pytest.mark.parametrize(
    "text", ["4005808123456", "rot @ blau", "AB12 rot blau gruen schwarz", "XL", "2025-03-01T10:11:12"]
)
def test_texts_about_things_are_not_withheld(text: str) -> None:
    assert not is_personal_text(text)


def test_reasons_repeat_no_text() -> None:
    fields = {field.name: CANARY for field in SALE.kept if field.kind not in {Kind.TEXT, Kind.CODE}}
    (quarantined,) = convert(SALE, [sale(**fields)]).quarantined
    assert len(quarantined.reasons) == len(fields)
    assert CANARY not in str(quarantined.reasons)


def test_a_customer_keeps_nothing_that_nobody_named() -> None:
    sound = sound_record(CUSTOMER)
    converted = convert(
        CUSTOMER, [sound | {"badge": CANARY, "level": 3}, sound | {"number": [CANARY]}, [CANARY], CANARY]
    )
    assert converted.unknown == {"badge": "withheld text", "level": "withheld number"}
    assert converted.frame[VARIANT].to_list() == [None]
    assert CANARY not in everything(converted)
    assert len(converted.quarantined) == 3


# --- input of every kind ---------------------------------------------------------------------------------------------


def deep(levels: int, leaf: object, *, fields_only: bool = False) -> object:
    value = leaf
    for level in range(levels):
        value = {"a": value} if fields_only or level % 2 else [value]
    return value


@pytest.mark.parametrize("fields_only", [True, False])
def test_nesting_is_cut_where_nobody_would_look(fields_only: bool) -> None:
    leaf = deep(900, IBAN, fields_only=fields_only)
    converted = convert(THING, [{"id": "a", "eco": leaf}, {"id": "b", "size": leaf}, [leaf]])
    assert converted.unknown == {"eco": "withheld object"}
    assert len(converted.quarantined) == 2
    assert IBAN not in everything(converted)
    assert scrubbed(deep(DEEPEST, 1)) == deep(DEEPEST, 1)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**140), 2**140)
    | st.text(max_size=4)
    | st.text("\ud800\udfff\x00\n", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("quantity"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        JUNK | st.dictionaries(st.sampled_from(["id", "positions", "number", "\udc00", "Id", "ID"]), JUNK), max_size=4
    )
)
def test_nothing_is_lost_and_nothing_raises_whatever_comes(page: list[Any]) -> None:
    for contract in (ORDER, THING, CUSTOMER):
        converted = convert(contract, page)
        assert converted.rows == len(page) == converted.frame.height + len(converted.quarantined)
        for quarantined in converted.quarantined:
            json.dumps([*quarantined.reasons, quarantined.record, quarantined.record_id], ensure_ascii=False).encode()
            json.loads(quarantined.record)
            assert quarantined.reasons
        for name in converted.unknown:
            assert name.encode().decode().isprintable()
        for text in converted.frame[VARIANT].drop_nulls():
            assert isinstance(json.loads(text), dict)
        converted.frame.to_arrow()


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30, 10**400, math.inf, math.nan, 2.0**53 + 2])
def test_numbers_beyond_reason_are_told_and_kept(number: float) -> None:
    (quarantined,) = convert(THING, [{"id": "t", "size": number}]).quarantined
    assert quarantined.reasons[0].startswith("size: expected integer, got number ")
    assert len(quarantined.reasons[0]) < 100
    assert repr(json.loads(quarantined.record)["size"]) == repr(number)


def test_a_number_that_python_itself_would_not_write_is_withheld() -> None:
    page = [{"id": "t", "badge": 2**70}, {"id": "t", "badge": 10**5000}]
    converted = convert(THING, page)
    assert converted.frame[VARIANT].to_list() == [f'{{"badge":{2**70}}}', None]
    assert converted.unknown == {"badge": "withheld number"}


@pytest.mark.parametrize("policy", OnDrift)
def test_ten_thousand_unknown_fields_are_borne(policy: OnDrift) -> None:
    page = [{"id": str(n), **{f"extra{i}": i for i in range(n % 2 * 10_000)}} for n in range(4)]
    converted = convert(replace(THING, on_drift=policy), page)
    assert len(converted.unknown) == 10_000
    assert converted.rows == 4
    assert len(converted.quarantined) == (2 if policy is OnDrift.QUARANTINE else 0)


def test_names_that_differ_in_case_only_are_different_fields() -> None:
    converted = convert(THING, [{"id": "t", "ID": "x", "Size": 1, "size ": 2, "": 3}])
    assert json.loads(converted.frame[VARIANT][0]) == {"ID": "x", "Size": 1, "size ": 2, "": 3}


def test_names_are_told_in_one_printable_line() -> None:
    names = ["a\nb", "\ud800", "x" * 300, "Größe"]
    converted = convert(replace(THING, on_drift=OnDrift.QUARANTINE), [{"id": "t", **dict.fromkeys(names, 1)}])
    assert set(converted.unknown) == {"a\\nb", "\\ud800", "x" * 80 + "…", "Größe"}
    assert set(converted.quarantined[0].reasons) == {f"{name}: no field of the contract" for name in converted.unknown}


def test_a_value_that_is_no_json_is_a_breach_and_not_repeated() -> None:
    converted = convert(
        THING, [{"id": "t", "size": datetime(2025, 3, 1), "badge": b"abc"}, {"id": "t", "badge": b"abc"}]
    )
    (quarantined,) = converted.quarantined
    assert quarantined.reasons == ("size: expected integer, got something else",)
    assert json.loads(quarantined.record) == {"id": "t", "size": WITHHELD}
    assert converted.unknown == {"badge": "withheld something else"}
