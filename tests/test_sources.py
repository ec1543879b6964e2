"""Sources: the connector gets every record or says why not; every record is typed, or quarantined with its reasons."""

import json
import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import AuthenticationFailed, MalformedPage, SourceError, SourceUnavailable
from mercurios.sandbox import Faults, Merchant, Profile, Rules, RunningSandbox, running
from mercurios.sandbox.shapes import SHAPES
from mercurios.sources.contracts import CONTRACTS, CUSTOMER, SALE, Contract, Field, Kind
from mercurios.sources.conversion import EXACT, convert
from mercurios.sources.prohandel import MOST_EMPTY_PAGES, ProHandel
from mercurios.sources.retrying import Patience
from tests.prohandel_double import KEY, SECRET, Double, Waits, content, status, tenant, unreachable
from tests.tiny import tiny_merchant

# --- contracts: what a record must look like -----------------------------------------------------------------------

WHOLE = st.integers(-EXACT, EXACT)
MOMENTS = st.builds(
    lambda moment, digits: moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else ""),
    st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1)),
    st.text("0123456789", max_size=9),
) | st.dates(date(1900, 1, 1), date(2199, 1, 1)).map(str)
JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
SOUND: dict[Kind, st.SearchStrategy[Any]] = {
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
NESTED = st.just({"iban": "DE02120300000000202051"}) | st.just([1])
BROKEN: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: NESTED | st.booleans() | NUMBERS,
    Kind.CODE: NESTED | st.booleans() | st.just(38.5),
    Kind.INTEGER: NESTED | st.booleans() | st.sampled_from([1.5, 2.0**53 + 2, 2**63, "1", "", -0.1]),
    Kind.NUMBER: NESTED | st.booleans() | st.sampled_from(["1.0", "1,50", "", math.inf]),
    Kind.BOOLEAN: NESTED | st.sampled_from([0, 1, 1.0, "true", ""]),
    Kind.TIMESTAMP: NESTED | NUMBERS | st.sampled_from(NO_MOMENTS),
}


def sound_value(field: Field) -> st.SearchStrategy[Any]:
    value = SOUND[field.kind].filter(lambda v: v != "") if field.is_key else SOUND[field.kind]
    return st.none() | value if field.is_nullable else value


def records(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    required = {field.name: sound_value(field) for field in contract.kept if not field.is_nullable}
    optional = {field.name: sound_value(field) for field in contract.kept if field.is_nullable}
    return st.fixed_dictionaries(required, optional=optional)


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
    return {Kind.INTEGER: int, Kind.NUMBER: float, Kind.TEXT: str, Kind.BOOLEAN: bool}[field.kind](value)


ANY_CONTRACT = st.sampled_from(list(CONTRACTS.values()))


@settings(deadline=None)
@given(st.data())
def test_sound_records_come_through_typed_and_unchanged(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    given_records = data.draw(st.lists(records(contract), max_size=4))
    converted = convert(contract, given_records)
    assert converted.quarantined == ()
    assert converted.frame.schema == {field.column: field.kind.dtype for field in contract.kept}
    for field in contract.kept:
        assert converted.frame[field.column].to_list() == [expected(field, r.get(field.name)) for r in given_records]


@settings(deadline=None)
@given(st.data())
def test_any_broken_field_is_quarantined_with_its_reason_and_nothing_else_is(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    page = data.draw(st.lists(records(contract), min_size=1, max_size=4))
    place = data.draw(st.integers(0, len(page) - 1))
    broken = data.draw(st.lists(st.sampled_from(contract.kept), min_size=1, max_size=3, unique=True))
    for field in broken:
        page[place][field.name] = data.draw(BROKEN[field.kind])
    converted = convert(contract, page)
    assert [record["id"] for i, record in enumerate(page) if i != place] == converted.frame["id"].to_list()
    (quarantined,) = converted.quarantined
    assert [reason.partition(":")[0] for reason in quarantined.reasons] == [
        f.name for f in contract.kept if f in broken
    ]
    assert "DE02120300000000202051" not in quarantined.record + str(quarantined.reasons)
    assert set(json.loads(quarantined.record)) <= {field.name for field in contract.kept}


@settings(deadline=None)
@given(st.data())
def test_a_required_field_must_be_there(data: st.DataObject) -> None:
    contract = data.draw(ANY_CONTRACT)
    record = data.draw(records(contract))
    field = data.draw(st.sampled_from([field for field in contract.kept if not field.is_nullable]))
    is_absent = data.draw(st.booleans())
    record.pop(field.name) if is_absent else record.update({field.name: None})
    (quarantined,) = convert(contract, [record]).quarantined
    got = "nothing" if is_absent else "null"
    assert quarantined.reasons == (f"{field.name}: expected {field.kind.value}, got {got}",)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(Kind)), st.booleans(), st.data())
def test_a_page_is_read_as_its_records_one_by_one_are(kind: Kind, is_nullable: bool, data: st.DataObject) -> None:
    """The fast way over columns and the exact way over values accept the same and mean the same."""
    contract = Contract("thing", (Field("value", kind, is_nullable),))
    value = st.none() | SOUND[kind] | BROKEN[kind] | st.sampled_from([0, 0.0, -0.0, 2**53, 2.0**53, -(2**63), 5e-324])
    page = [{"value": each} for each in data.draw(st.lists(value, max_size=6))]
    alone = [convert(contract, [record]) for record in page]
    together = convert(contract, page)
    assert together.frame["value"].to_list() == [value for one in alone for value in one.frame["value"]]
    assert together.quarantined == tuple(record for one in alone for record in one.quarantined)


@pytest.mark.parametrize("record", [None, "text", 1, 1.5, True, [], [{}]])
def test_what_is_no_object_is_quarantined_too(record: object) -> None:
    converted = convert(SALE, [record])
    assert converted.frame.height == 0
    assert converted.quarantined[0].reasons[0].startswith("record: expected object, got")


def test_an_empty_key_is_a_breach_because_rows_would_merge() -> None:
    (quarantined,) = convert(CONTRACTS["staff"], [{"id": "", "number": 1}]).quarantined
    assert "id: expected text, got empty text" in quarantined.reasons


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


def test_personal_data_goes_nowhere() -> None:
    sound = {"id": "c1", "number": 7, "lastChange": "2025-03-01T10:11:12.1234567", "isDeleted": False}
    personal = dict.fromkeys(CUSTOMER.personal, "PRIVATE")
    converted = convert(CUSTOMER, [sound | personal, sound | personal | {"number": "seven"}, {"iban": "PRIVATE"}])
    assert converted.frame.height == 1
    assert len(converted.quarantined) == 2
    assert converted.unknown == set()
    assert "PRIVATE" not in str(converted.frame.to_dicts()) + str(converted.quarantined)
    columns = {column for contract in CONTRACTS.values() for column in contract.columns.values()}
    for word in ("iban", "bic", "bank", "birth", "password", "first_name", "last_name", "email", "phone", "salutation"):
        assert not [column for column in columns if word in column]


def test_unknown_fields_are_named_and_ignored() -> None:
    page = [{"id": "s", "number": 1, "lastChange": "2025-03-01T10:11:12", "isDeleted": False, "badgeColor": "red"}]
    converted = convert(CONTRACTS["staff"], page)
    assert converted.unknown == {"badgeColor"}
    assert converted.frame.height == 1


@pytest.mark.parametrize("entity", CONTRACTS)
def test_contracts_speak_of_every_field_the_reference_lists(entity: str) -> None:
    assert CONTRACTS[entity].known == set(SHAPES[entity].fields)


def test_columns_are_in_snake_case_and_differ() -> None:
    assert {**SALE.columns}["salePrice"] == "sale_price"
    assert CONTRACTS["branch"].columns["glN1"] == "gln1"
    assert CONTRACTS["article"].columns["isNOS"] == "is_nos"
    for contract in CONTRACTS.values():
        assert len(set(contract.columns.values())) == len(contract.kept)
        assert contract.key == ("id",)


# --- the connector, against the sandbox ------------------------------------------------------------------------------


def merchant(name: str, faults: Faults | None = None) -> Merchant:
    return Merchant(
        name, KEY if name == "north" else "other-key", SECRET, tiny_merchant(1), Profile(), faults or Faults()
    )


def opened(folder: Path, sandbox: RunningSandbox, patience: Patience | None = None, page_size: int = 1000) -> ProHandel:
    return ProHandel(tenant(folder, auth_url=sandbox.auth_url, page_size=page_size), patience=patience)


def read_all(source: ProHandel, entity: str) -> list[Any]:
    return [record for page in source.read(entity) for record in page.records]


def test_reads_every_record_of_every_entity_once(tmp_path: Path) -> None:
    north = merchant("north")
    with (
        running([north], rules=Rules(max_page_size=97)) as sandbox,
        opened(tmp_path, sandbox, page_size=1000) as source,
    ):
        for entity, frame in north.entities.items():
            if entity in source.contracts:
                ids = [record["id"] for record in read_all(source, entity)]
                assert len(ids) == len(set(ids)) == frame.height, entity
        assert read_all(source, "staff") == []


@pytest.mark.parametrize("code", [401, 429, 500, 503])
def test_what_passes_is_waited_for(tmp_path: Path, code: int) -> None:
    faults = Faults(status_pages={("sale", 2): code}, retry_after_seconds=7)
    waits = Waits()
    with running([merchant("north", faults)]) as sandbox, opened(tmp_path, sandbox, waits.patience()) as source:
        assert len(read_all(source, "sale")) == tiny_merchant(1)["sale"].height
    assert waits.slept == ([] if code == 401 else [7.0])


def test_what_lasts_is_given_up(tmp_path: Path) -> None:
    faults = Faults(status_pages={("sale", 1): 503}, times=99, retry_after_seconds=3)
    waits = Waits()
    words = "/api/v2/sale: the server answers 503 and asks to wait 3 s"
    with (
        running([merchant("north", faults)]) as sandbox,
        opened(tmp_path, sandbox, waits.patience(attempts=4)) as source,
        pytest.raises(SourceUnavailable, match=words),
    ):
        read_all(source, "sale")
    assert waits.slept == [3.0, 3.0, 3.0]


def test_a_page_that_is_no_json_names_entity_page_and_beginning(tmp_path: Path) -> None:
    faults = Faults(not_json_pages={("sale", 3)})
    with (
        running([merchant("north", faults)]) as sandbox,
        opened(tmp_path, sandbox) as source,
        pytest.raises(MalformedPage, match=r"sale page 3: expected a JSON array, got .*<html>"),
    ):
        read_all(source, "sale")


def test_a_wrong_secret_is_said_without_saying_it(tmp_path: Path) -> None:
    with running([merchant("north")]) as sandbox:
        given_tenant = tenant(tmp_path, auth_url=sandbox.auth_url)
        (tmp_path / "north.secret").write_text("a-wrong-secret")
        with (
            ProHandel(given_tenant) as source,
            pytest.raises(AuthenticationFailed, match=r"file:north\.secret") as caught,
        ):
            read_all(source, "sale")
    assert "a-wrong-secret" not in str(caught.value) + repr(source)


# --- the connector, against answers the sandbox does not give ------------------------------------------------------

ONE, TWO = b'[{"id": "1"}, {"id": "2"}]', b'[{"id": "3"}]'


def source_of(double: Double, folder: Path, waits: Waits | None = None, **patience: float) -> ProHandel:
    return ProHandel(tenant(folder), transport=double.transport, patience=(waits or Waits()).patience(**patience))


def test_pages_are_asked_for_one_by_one(tmp_path: Path) -> None:
    double = Double({"sale": [ONE, TWO]})
    with source_of(double, tmp_path) as source:
        pages = source.read("sale")
        assert double.asked == []
        assert next(pages).number == 1
        assert double.asked == ["POST /api/v4/token", "GET /api/v2/sale"]
        assert [page.number for page in pages] == [2]


def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    double, waits = Double({"sale": [ONE, ONE, TWO]}), Waits()
    with source_of(double, tmp_path, waits) as source:
        pages = source.read("sale")
        next(pages)
        waits.time += 1739
        next(pages)
        assert (double.logins, double.refreshes) == (1, 0)
        waits.time += 2
        next(pages)
    assert (double.logins, double.refreshes) == (1, 1)


@pytest.mark.parametrize(("may_refresh", "logins"), [(True, 1), (False, 2)])
def test_a_token_refused_in_the_middle_is_replaced_once(tmp_path: Path, may_refresh: bool, logins: int) -> None:
    double = Double({"sale": [ONE, TWO]})
    double.may_refresh = may_refresh
    with source_of(double, tmp_path) as source:
        pages = source.read("sale")
        next(pages)
        double.expire()
        assert next(pages).records == [{"id": "3"}]
    assert double.logins == logins


def test_a_fresh_token_that_is_refused_is_the_end(tmp_path: Path) -> None:
    double = Double({"customer": [ONE]}, first=[status(401), status(401)])
    with (
        source_of(double, tmp_path) as source,
        pytest.raises(AuthenticationFailed, match="customer page 1 answered 401"),
    ):
        read_all(source, "customer")
    assert double.logins + double.refreshes == 2


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(403), AuthenticationFailed, "permission to read customer"),
        (status(404), SourceError, "expected 200, got 404"),
        (status(302, Location="https://elsewhere.test"), SourceError, "expected 200, got 302"),
        (content(b'{"items": []}'), MalformedPage, "expected a JSON array, got dict"),
        (content(ONE, X_Page="7"), MalformedPage, "expected page 1, got page 7"),
        (content(ONE, X_More_Pages_Available="maybe"), MalformedPage, "neither True nor False"),
        (content(b""), MalformedPage, "got 0 bytes"),
        (status(429, Retry_After="3600"), SourceUnavailable, "asks to wait 3600 s"),
    ],
)
def test_answers_that_end_the_read(tmp_path: Path, answer: Any, error: type[Exception], words: str) -> None:
    double, waits = Double({"customer": [ONE]}, first=[answer]), Waits()
    with source_of(double, tmp_path, waits) as source, pytest.raises(error, match=words):
        read_all(source, "customer")
    assert waits.slept == []


def test_a_cut_page_is_told_without_anybodys_data(tmp_path: Path) -> None:
    body = b'[{"lastName": "Mustermann", "iban": "DE02120300000000202051", "number": 4711, "email": "m@example.org'
    double = Double({"customer": [body]})
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage) as caught:
        read_all(source, "customer")
    for private in ("Mustermann", "DE02", "4711", "example"):
        assert private not in str(caught.value)


def test_silence_is_waited_for_with_growing_pauses_and_then_given_up(tmp_path: Path) -> None:
    double, waits = Double({"sale": [ONE]}, first=[unreachable] * 5), Waits()
    source = source_of(double, tmp_path, waits, attempts=5, first_seconds=1.0)
    with source, pytest.raises(SourceUnavailable, match=r"no answer \(ConnectError\)"):
        read_all(source, "sale")
    for number, pause in enumerate(waits.slept):
        assert 2**number <= pause <= 2**number + 1
    assert len(waits.slept) == 4


def test_a_retry_after_may_be_a_date(tmp_path: Path) -> None:
    later = status(429, Date="Sun, 22 Nov 2026 10:00:00 GMT", Retry_After="Sun, 22 Nov 2026 10:00:21 GMT")
    double, waits = Double({"sale": [ONE]}, first=[later]), Waits()
    with source_of(double, tmp_path, waits) as source:
        assert len(read_all(source, "sale")) == 2
    assert waits.slept == [21.0]


HEADERS: list[tuple[str, Callable[[int, int], dict[str, str]], list[bytes]]] = [
    ("a short page ends it", lambda number, _: {"X-Pagesize": "2"}, [ONE, ONE, TWO]),
    ("a full last page costs an empty one", lambda number, _: {"X-Pagesize": "2"}, [ONE, b"[]"]),
    ("without a size only an empty page ends it", lambda number, _: {}, [TWO, TWO, b"[]"]),
    (
        "an empty page in between is none",
        lambda n, total: {"X-More-Pages-Available": str(n < total).upper()},
        [ONE, b"[]", TWO],
    ),
]


@pytest.mark.parametrize(("headers", "pages"), [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS])
def test_the_end_is_found_whatever_headers_there_are(
    tmp_path: Path, headers: Callable[[int, int], dict[str, str]], pages: list[bytes]
) -> None:
    double = Double({"sale": pages})
    double.headers = headers
    with source_of(double, tmp_path) as source:
        assert len(read_all(source, "sale")) == sum(len(json.loads(page)) for page in pages)


def test_pages_without_an_end_are_not_believed(tmp_path: Path) -> None:
    double = Double({"sale": [b"[]"] * 1000})
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage, match="still more are promised"):
        read_all(source, "sale")
    assert len(double.asked) == MOST_EMPTY_PAGES + 2


@pytest.mark.parametrize("tokens", [{"token": {}}, {"serverUrl": "north.test"}, {"serverUrl": None}, {"token": "flat"}])
def test_a_login_without_tokens_or_server_is_told(tmp_path: Path, tokens: dict[str, object]) -> None:
    double = Double({"sale": [ONE]})
    double.tokens = tokens
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage, match="serverUrl"):
        read_all(source, "sale")


def test_a_login_somewhere_else_is_told(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    words = "expected 200 with tokens, got 404; check auth_url"
    with ProHandel(tenant(tmp_path), transport=transport) as source, pytest.raises(SourceError, match=words):
        read_all(source, "sale")


def test_secrets_and_tokens_are_in_no_text_form(tmp_path: Path) -> None:
    double = Double({"sale": [ONE]})
    with source_of(double, tmp_path) as source:
        read_all(source, "sale")
        texts = repr(source) + repr(source._keeper) + repr(source._keeper.current()) + repr(tenant(tmp_path))
    for secret in (KEY, SECRET, "access-1", "refresh-token"):
        assert secret not in texts
