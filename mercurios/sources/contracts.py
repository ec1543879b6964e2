"""Contracts: what a record of each ProHandel entity must look like, what of it is kept, and how it is read.

    SALE.columns["salePrice"]     # 'sale_price'
    [field.name for field in SALE.kept]
    SALE.strategy, SALE.day_column

Field lists follow stored API responses (reference, section 1.3). A field is required only where a record means
nothing without it; all others may be null or absent. Personal data that no report needs is named here so that it is
known, and dropped: it is never loaded, logged or quarantined.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from functools import cached_property
from types import MappingProxyType

import polars as pl

from mercurios.errors import BadRequest


class Kind(Enum):
    """How a field's JSON value is read."""

    TEXT = "text"
    CODE = "code"  # text that a system may send as a whole number: sizes, EANs
    INTEGER = "integer"  # whole number, also when JSON sends 110131893.0
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # naive, in the merchant's local time
    RECORDS = "records"  # array of objects that keep a contract of their own; JSON text once read

    @property
    def dtype(self) -> pl.DataType:
        """Column type of the values once read."""
        return _DTYPES[self]


_DTYPES: Mapping[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.CODE: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.NUMBER: pl.Float64(),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.TIMESTAMP: pl.Datetime("us"),
    Kind.RECORDS: pl.String(),
}


class Strategy(Enum):
    """How an entity is kept up to date where its source can select; without a selection all of it is read."""

    COMPLETE = "complete"  # everything every time
    CHANGES = "changes"  # by lastChange, the newest changes once more
    DAYS = "days"  # by day of business, until a day is closed


class OnDrift(Enum):
    """What follows from a field that the contract does not name.

    STOP also stops on a field of another type in at least half of the records and on a required one that vanished;
    otherwise these are told, and their records quarantined.
    """

    EVOLVE = "evolve"  # the record is loaded, the field is kept in _variant
    QUARANTINE = "quarantine"  # the record is quarantined
    STOP = "stop"  # nothing of the batch is loaded


@dataclass(frozen=True)
class Field:
    """One field: its name in the API and its column in the warehouse. A key is required and never empty.

    of: contract of one record, for the kind RECORDS alone.
    """

    name: str
    kind: Kind
    is_nullable: bool = False
    is_key: bool = False
    of: "Contract | None" = None

    def __post_init__(self) -> None:
        if (self.kind is Kind.RECORDS) is not (self.of is not None):
            raise ValueError(f"field {self.name}: records have the contract of one, other kinds have none")

    @property
    def column(self) -> str:
        """Snake case name: salePrice is sale_price, isNOS is is_nos, glN1 is gln1."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name.replace("glN", "gln")).lower()


@dataclass(frozen=True)
class Contract:
    """One entity. `kept` is loaded, in this order; `personal` is dropped on arrival.

    day: field with the day of business, where there is one. business_key: fields that tell records apart where a
    source sends no id; may_lack names those of them that may be empty. is_optional: a source may do without it.
    """

    entity: str
    kept: tuple[Field, ...]
    personal: frozenset[str] = frozenset()
    strategy: Strategy = Strategy.COMPLETE
    day: str | None = None
    business_key: tuple[str, ...] = ()
    on_drift: OnDrift = OnDrift.EVOLVE
    may_lack: frozenset[str] = frozenset()
    is_optional: bool = False

    @cached_property
    def known(self) -> frozenset[str]:
        """Names of all fields the contract speaks of."""
        return self.personal | {field.name for field in self.kept}

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """Warehouse column by field name."""
        return MappingProxyType({field.name: field.column for field in self.kept})

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that tell a tenant's records of this entity apart."""
        return tuple(field.column for field in self.kept if field.is_key)

    @cached_property
    def nested(self) -> Mapping[str, "Contract"]:
        """Contract of one record by the field that holds an array of them."""
        return MappingProxyType({field.name: field.of for field in self.kept if field.of})

    @property
    def day_column(self) -> str | None:
        """Column with the day of business, None where there is none."""
        return None if self.day is None else self.columns[self.day]

    @property
    def changed_column(self) -> str | None:
        """Column that says when a record last changed, None where there is none."""
        return self.columns.get("lastChange")

    @property
    def deleted_column(self) -> str | None:
        """Column by which the source marks a record as deleted, None where there is none."""
        return self.columns.get("isDeleted")

    @property
    def is_personal(self) -> bool:
        """Whether records hold personal data, so that nothing is kept of a field that the contract does not name."""
        return bool(self.personal)


def fields(**kinds: str) -> tuple[Field, ...]:
    """Declare fields by kind; names are separated by blanks, `?` marks one that may be null or absent."""
    return tuple(
        Field(name.rstrip("?"), Kind(kind), name.endswith("?"))
        for kind, names in kinds.items()
        for name in names.split()
    )


ID = Field("id", Kind.TEXT, is_key=True)
_TRACKED = fields(timestamp="lastChange", boolean="isDeleted")


def contract(
    entity: str,
    business_key: str,
    strategy: Strategy = Strategy.COMPLETE,
    *,
    day: str | None = None,
    on_drift: OnDrift = OnDrift.EVOLVE,
    **kinds: str,
) -> Contract:
    """Declare an entity with id, lastChange and isDeleted; names are separated by blanks.

    kinds: as in `fields`, and `personal` for what is dropped.
    """
    personal = kinds.pop("personal", "")
    kept = (ID, *fields(**kinds), *_TRACKED)
    return Contract(entity, kept, frozenset(personal.split()), strategy, day, tuple(business_key.split()), on_drift)


COUNTRY = contract(
    "country",
    "number",
    text="number countryName? isoAlpha2? isoAlpha3? domain? searchTerm? currencyNumber?",
    boolean="isEU?",
)
CURRENCY = contract("currency", "number", text="number isoAlpha3?", integer="unit?", number="course?")
SEASON = contract(
    "season", "seasonNumber", integer="seasonNumber", text="name? searchTerm?", timestamp="validFrom? validUntil?"
)
SIZE = contract("size", "sizeGroupNumber position", integer="sizeGroupNumber position?", code="name")
LABEL = contract("label", "number", integer="number", text="name? searchTerm?")
BRANCH = contract(
    "branch",
    "number",
    integer="number stateNumber? regionNumber? glN1? glN2?",
    text="name1? name2? name3? searchTerm? street? zipCode? city? countryNumber? imageName? logoFileName?",
    boolean="isActive? isWebshop?",
    timestamp="stocktakingDate?",
    personal="bankCode iban bic bankAccount telephoneNumber fax email branchInfo "
    "openMonday openTuesday openWednesday openThursday openFriday openSaturday openSunday",
)
CATEGORY = contract(
    "category",
    "number",
    integer="number generalCategoryNumber? mainCategoryNumber? departmentNumber? mainDepartmentNumber? labelNumber? "
    "taxNumber?",
    text="name searchTerm?",
    boolean="isServiceCategory",
)
SUPPLIER = contract(
    "supplier",
    "number",
    integer="number shipmentOptionNumber? paymentOptionNumber?",
    text="name1? name2? name3? searchTerm? zipCode? city? countryNumber? currencyNumber? website?",
    boolean="isActive? isEDI?",
    personal="bankCode iban bic bankAccount street telephone mobilePhone fax email info1 info2",
)
STAFF = contract(
    "staff",
    "number",
    integer="number branchNumber?",
    text="jobTitle?",
    boolean="isActive?",
    personal="bankNumber bankAccount gender firstName lastName searchTerm salutation personalSalutation personalEmail "
    "companyEmail telephone mobilePhone fax street zipCode city countryNumber imageName info dateOfBirth entryDate "
    "exitDate",
)
ARTICLE = contract(
    "article",
    "number",
    Strategy.CHANGES,
    integer="number categoryNumber? supplierNumber? manufacturerNumber? brandNumber? seasonNumber? labelNumber? "
    "colorNumber? gender? patternNumber? shapeNumber? materialNumber? shopNumber? targetGroupNumber? functionNumber?",
    number="purchasePrice? price? labelPrice? calculatedPrice?",
    text="supplierArticleNumber? supplierColor? supplierSeason? supplierCategory? individualArticleNumber? imageName? "
    "information? articleFlag? sizeType? text1? text2? text3? brochure? currencyNumber? countryNumber? "
    "priceUnitNumber?",
    boolean="isActive? isNOS?",
    timestamp="firstPurchaseDate? lastPurchaseDate? firstSaleDate? lastSaleDate? firstOrderDate? lastOrderDate?",
)
CUSTOMER = contract(
    "customer",
    "number",
    Strategy.CHANGES,
    integer="number branchNumber? loyalityPoints? groupNumber? discountGroup? bonusType? declarationsOfConsent?",
    number="revenue? bonusValue? discountPercent? bonusPercent?",
    text="customerType? countryNumber? zipCode?",
    code="mergedInto?",
    boolean="inactiveFlag? isBusiness? isStaff? isLocked? isLockedForSelections? hasCustomerCard? "
    "subscriptionNewsletter? subscriptionAdvertising? signedDeclarationOfConsent?",
    timestamp="creationDate?",
    personal="bankCode iban bic bankAccount vatNumber directDebitAuthorization webshopUser webshopUserPassword "
    "searchTerm personalSalutation salutation title name1 name2 name3 firstName lastName gender maritalStatus "
    "familyNumber dateOfBirth dateOfBirthSignificantOther email fax telephone telephoneSecondary mobilePhone "
    "mobilePhoneSecondary street city poBox poBoxZipCode info1 info2 staffNumber customerCard customerCardPrintDate "
    "lastBonusSettlementDate subscriptionNewsletterConfirmationDate selectionCriteria1 selectionCriteria2 "
    "selectionCriteria3 selectionCriteria4 selectionCriteria5 selectionCriteria6 selectionCriteria7 selectionCriteria8 "
    "selectionCriteria9",
)
# Only the type of volumeUnit was ever seen: what may be a number or a text elsewhere is read as a code.
ARTICLESIZE = contract(
    "articlesize",
    "number branchNumber",
    integer="number articleNumber branchNumber",
    number="stockQuantity purchasePrice? salePrice? labelPrice? selectionQuantity? volumeUnit? fifo?",
    code="size? sizeGroup? ean? currencyNumber? priceUnitNumber?",
    boolean="isNOS?",
    timestamp="firstPurchaseDate? lastPurchaseDate? firstSaleDate? lastSaleDate?",
)
# Two layouts of a position are told of and neither was ever seen. They share no field, so none is required.
POSITION = Contract(
    "position",
    fields(
        integer="orderNumber? articleNumber? branchNumber? sizeGroupNumber? sizeGroupPosition? status? "
        "distributionStatus?",
        number="quantity? price? discount? purchasePrice? netPurchasePrice? salePrice? labelPrice? orderAmount? "
        "deliveredAmount? backlogAmount? distributedAmount?",
        code="size? ean? originalEAN?",
        boolean="isConsignment?",
        timestamp="expectedArrival?",
    ),
)
ORDER = Contract(
    "order",
    (
        ID,
        *fields(
            integer="number source? supplierNumber? merchantNumber? status? type?",
            number="overallDiscount?",
            code="supplierOrderId?",
            text="info?",
            timestamp="created?",
        ),
        Field("positions", Kind.RECORDS, is_nullable=True, of=POSITION),
    ),
    day="created",
    business_key=("number",),
)
INVENTORY = contract(
    "inventory",
    "branchNumber categoryNumber date",
    day="date",
    integer="branchNumber supplierNumber? shopNumber? categoryNumber? type?",
    boolean="active?",
    timestamp="date? stocktakingDate?",
)
SALE = contract(
    "sale",
    "branchNumber cashRegisterNumber receiptNumber receiptPosition date",
    Strategy.DAYS,
    day="date",
    integer="branchNumber articleNumber articleSizeNumber? cashRegisterNumber receiptNumber receiptPosition? type "
    "time? customerNumber? staffNumber? cashierNumber? priceChangeReasonNumber? returnReasonNumber? "
    "paymentOptionNumber?",
    number="quantity salePrice labelPrice? purchasePrice? discount? deduction? staffDiscount?",
    text="currencyNumber? countryNumber? zipCode? alternativeReceiptNumber?",
    timestamp="date",
)
# Whoever knows the internet code of a voucher can spend it.
VOUCHER = contract(
    "voucher",
    "number",
    Strategy.CHANGES,
    day="date",
    integer="number receiptNumber? receiptPosition? branchNumber? customerNumber? type? status?",
    number="value amountRedeemed?",
    text="currencyNumber?",
    timestamp="date voucherRedemptionDate? validFrom? validUntil?",
    personal="internetCode note",
)
CREDIT = contract(
    "credit",
    "number",
    Strategy.CHANGES,
    day="date",
    integer="number branchNumber? receiptNumber? receiptPosition? customerNumber? status?",
    number="value amountRedeemed?",
    text="currencyNumber?",
    timestamp="date",
)
_BOOKED = (
    "number branchNumber? customerNumber? receiptNumber? receiptPosition? staffNumber? cashRegisterNumber? status?"
)
INVOICE = contract(
    "invoice",
    "number",
    Strategy.CHANGES,
    day="date",
    integer=f"{_BOOKED} paymentConditionNumber?",
    number="amount amountCleared?",
    text="currencyNumber?",
    timestamp="date paymentDueDate?",
)
PAYMENT = contract(
    "payment",
    "number",
    Strategy.CHANGES,
    day="date",
    integer=_BOOKED,
    number="amount",
    text="currencyNumber?",
    timestamp="date invoiceDate?",
)
# Ours: no stored response has a promotion. A merchant drops a file of them; who answers 404 has none.
PROMOTION = replace(
    contract(
        "promotion",
        "kind articleNumber categoryNumber branchNumber firstDay lastDay",
        text="kind",
        integer="articleNumber? categoryNumber? branchNumber?",
        number="share? discount?",
        timestamp="firstDay lastDay",
    ),
    may_lack=frozenset({"articleNumber", "categoryNumber", "branchNumber"}),
    is_optional=True,
)
# Ours too, of files alone: what the outside world was like or will be, such as school breaks and weather.
FACTOR = replace(
    contract("factor", "factor day knownOn", text="factor", number="value", timestamp="day knownOn?"),
    may_lack=frozenset({"knownOn"}),
    is_optional=True,
)

_MASTERS = (COUNTRY, CURRENCY, SEASON, SIZE, LABEL, BRANCH, CATEGORY, SUPPLIER, STAFF, ARTICLE, CUSTOMER, ARTICLESIZE)
_EVENTS = (ORDER, INVENTORY, SALE, VOUCHER, CREDIT, INVOICE, PAYMENT, PROMOTION, FACTOR)
CONTRACTS: Mapping[str, Contract] = MappingProxyType({each.entity: each for each in (*_MASTERS, *_EVENTS)})
"""All entities that are read, by name, masters before what refers to them."""


def check_entities(*names: str) -> None:
    """Raise BadRequest for the first name that is no entity, with those it may stand for."""
    for name in names:
        if name not in CONTRACTS:
            could = get_close_matches(name.lower(), CONTRACTS, _MOST_SIMILAR)
            meant = f"; did you mean {' or '.join(could)}?" if could else ";"
            raise BadRequest(f"unknown entity {name[:40]!r}{meant} expected one of {', '.join(CONTRACTS)}")


def similar(contract: Contract, name: str) -> tuple[str, ...]:
    """Fields of a contract that a name may stand for: `price` is a part of salePrice, `quantiy` is nearly quantity."""
    plain = {re.sub(r"[\W_]", "", field.name).lower(): field.name for field in contract.kept}
    given = re.sub(r"[\W_]", "", name).lower()
    parts = [
        each for each in plain if len(given) >= _SHORTEST_PART and (given in each or (each != "id" and each in given))
    ]
    found = dict.fromkeys((*get_close_matches(given, plain, _MOST_SIMILAR), *parts))
    return tuple(plain[each] for each in list(found)[:_MOST_SIMILAR])


_SHORTEST_PART, _MOST_SIMILAR = 4, 3
