"""Contracts: every entity of the reference is declared, and nothing personal is kept."""

import pytest

from mercurios.sandbox.shapes import SHAPES
from mercurios.sources.contracts import CONTRACTS, CUSTOMER, ORDER, POSITION, SALE, Contract, Field, Kind, Strategy
from mercurios.warehouse import NAME

ENTITIES = (
    "article articlesize sale inventory customer order branch supplier category staff season size label voucher credit "
    "invoice payment country currency promotion"
)
OF_FILES = {"factor"}
"""Entities that no API answers for."""
NO_TIMES = {"order"}
"""Entities without lastChange and isDeleted."""


def test_every_entity_that_answers_has_a_contract() -> None:
    assert set(CONTRACTS) == {*ENTITIES.split(), *OF_FILES}
    assert all(contract.entity == name for name, contract in CONTRACTS.items())


@pytest.mark.parametrize("entity", [entity for entity in CONTRACTS if entity not in OF_FILES])
def test_contracts_speak_of_every_field_the_reference_lists(entity: str) -> None:
    assert CONTRACTS[entity].known == set(SHAPES[entity].fields)
    assert CONTRACTS[entity].business_key == SHAPES[entity].key


@pytest.mark.parametrize("contract", [*CONTRACTS.values(), POSITION], ids=lambda contract: contract.entity)
def test_columns_are_plain_names_that_differ(contract: Contract) -> None:
    names = [field.name for field in contract.kept]
    assert len(set(names)) == len(names)
    assert len(set(contract.columns.values())) == len(names)
    assert all(NAME.fullmatch(column) for column in contract.columns.values())
    assert not contract.personal & set(names)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.entity)
def test_what_ingest_steers_by_is_there(contract: Contract) -> None:
    assert contract.key == ("id",)
    is_tracked = contract.entity not in NO_TIMES
    assert contract.changed_column == ("last_change" if is_tracked else None)
    assert contract.deleted_column == ("is_deleted" if is_tracked else None)
    required = {field.name for field in contract.kept if not field.is_nullable}
    assert {"id", *({"lastChange", "isDeleted"} if is_tracked else ())} <= required
    assert set(contract.business_key) <= set(contract.columns)
    if contract.strategy is Strategy.CHANGES:
        assert contract.changed_column
    if contract.strategy is Strategy.DAYS:
        assert contract.day in required
    if contract.day:
        (field,) = [field for field in contract.kept if field.name == contract.day]
        assert (field.kind, field.column) == (Kind.TIMESTAMP, contract.day_column)


def test_strategies() -> None:
    by_strategy = {
        strategy: {name for name, contract in CONTRACTS.items() if contract.strategy is strategy}
        for strategy in Strategy
    }
    assert by_strategy[Strategy.DAYS] == {"sale"}
    assert by_strategy[Strategy.CHANGES] == {"article", "customer", "voucher", "credit", "invoice", "payment"}


def test_masters_come_before_what_refers_to_them() -> None:
    places = {entity: place for place, entity in enumerate(CONTRACTS)}
    for entity, master in [
        *(
            ("sale", "article"),
            ("sale", "customer"),
            ("sale", "branch"),
            ("article", "category"),
            ("order", "supplier"),
        ),
        *(("articlesize", "article"), ("inventory", "branch"), ("branch", "country"), ("supplier", "currency")),
    ]:
        assert places[master] < places[entity]


def test_nothing_personal_is_kept() -> None:
    assert {name for name, contract in CONTRACTS.items() if contract.is_personal} == {
        *("customer", "staff", "supplier", "branch", "voucher")
    }
    assert {"webshopUserPassword", "iban", "bic", "bankAccount", "dateOfBirth", "dateOfBirthSignificantOther"} <= (
        CUSTOMER.personal
    )
    columns = {column for contract in CONTRACTS.values() for column in contract.columns.values()}
    for word in ("iban", "bic", "bank", "birth", "password", "first_name", "last_name", "mail", "phone", "salutation"):
        assert not [column for column in columns if word in column]


def test_columns_are_in_snake_case() -> None:
    assert SALE.columns["salePrice"] == "sale_price"
    assert CONTRACTS["branch"].columns["glN1"] == "gln1"
    assert CONTRACTS["article"].columns["isNOS"] == "is_nos"
    assert CONTRACTS["country"].columns["isEU"] == "is_eu"
    assert POSITION.columns["originalEAN"] == "original_ean"


def test_numbers_of_countries_and_currencies_are_texts_everywhere() -> None:
    for contract in CONTRACTS.values():
        for field in contract.kept:
            if field.name in {"countryNumber", "currencyNumber"} or (
                contract.entity in {"country", "currency"} and field.name == "number"
            ):
                assert field.kind in {Kind.TEXT, Kind.CODE}, f"{contract.entity}.{field.name}"


def test_positions_have_a_contract_of_their_own() -> None:
    assert dict(ORDER.nested) == {"positions": POSITION}
    assert {"articleNumber", "quantity", "orderAmount", "originalEAN", "expectedArrival"} <= POSITION.known
    assert all(field.is_nullable for field in POSITION.kept)


@pytest.mark.parametrize("field", [{"kind": Kind.RECORDS}, {"kind": Kind.TEXT, "of": POSITION}])
def test_records_and_only_records_have_the_contract_of_one(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="field items: records have the contract of one"):
        Field("items", **field)  # type: ignore[arg-type]
