"""Contracts: what a record of each ProHandel entity must look like, and what of it is kept.

    SALE.columns["salePrice"]     # 'sale_price'
    [field.name for field in SALE.kept]

Field lists follow stored API responses (reference, section 1.3). A field is required only where a record means
nothing without it; all others may be null or absent. Personal data that no report needs is named here so that it is
known, and dropped: it is never loaded, logged or quarantined. Fields not named here are ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import MappingProxyType

import polars as pl


class Kind(Enum):
    """How a field's JSON value is read."""

    TEXT = "text"
    CODE = "code"  # text that a system may send as a whole number: sizes, EANs
    INTEGER = "integer"  # whole number, also when JSON sends 110131893.0
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # naive, in the merchant's local time

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
}


@dataclass(frozen=True)
class Field:
    """One field: its name in the API and its column in the warehouse. A key is required and never empty."""

    name: str
    kind: Kind
    is_nullable: bool = False
    is_key: bool = False

    @property
    def column(self) -> str:
        """Snake case name: salePrice is sale_price, isNOS is is_nos, glN1 is gln1."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name.replace("glN", "gln")).lower()


@dataclass(frozen=True)
class Contract:
    """One entity. `kept` is loaded, in this order; `personal` is dropped on arrival."""

    entity: str
    kept: tuple[Field, ...]
    personal: frozenset[str] = frozenset()

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


def contract(entity: str, *, personal: str = "", tracked: bool = True, **kinds: str) -> Contract:
    """Declare a contract; names are separated by blanks, `?` marks a field that may be null or absent.

    kinds: text, code, integer, number, boolean, timestamp. `tracked` entities carry lastChange and isDeleted.
    """
    fields = [Field("id", Kind.TEXT, is_key=True)]
    for kind, names in kinds.items():
        fields += [Field(name.rstrip("?"), Kind(kind), name.endswith("?")) for name in names.split()]
    if tracked:
        fields += [Field("lastChange", Kind.TIMESTAMP), Field("isDeleted", Kind.BOOLEAN)]
    return Contract(entity, tuple(fields), frozenset(personal.split()))


SALE = contract(
    "sale",
    integer="branchNumber articleNumber articleSizeNumber? cashRegisterNumber receiptNumber receiptPosition? type "
    "time? customerNumber? staffNumber? cashierNumber? priceChangeReasonNumber? returnReasonNumber? "
    "paymentOptionNumber?",
    number="quantity salePrice labelPrice? purchasePrice? discount? deduction? staffDiscount?",
    text="currencyNumber? countryNumber? zipCode? alternativeReceiptNumber?",
    timestamp="date",
)
ARTICLE = contract(
    "article",
    integer="number categoryNumber? supplierNumber? manufacturerNumber? brandNumber? seasonNumber? labelNumber? "
    "colorNumber? gender? patternNumber? shapeNumber? materialNumber? shopNumber? targetGroupNumber? functionNumber?",
    number="purchasePrice? price? labelPrice? calculatedPrice?",
    text="supplierArticleNumber? supplierColor? supplierSeason? supplierCategory? individualArticleNumber? imageName? "
    "information? articleFlag? sizeType? text1? text2? text3? brochure? currencyNumber? countryNumber? "
    "priceUnitNumber?",
    boolean="isActive? isNOS?",
    timestamp="firstPurchaseDate? lastPurchaseDate? firstSaleDate? lastSaleDate? firstOrderDate? lastOrderDate?",
)
# Only the type of volumeUnit was ever seen: what may be a number or a text elsewhere is read as a code.
ARTICLESIZE = contract(
    "articlesize",
    integer="number articleNumber branchNumber",
    number="stockQuantity purchasePrice? salePrice? labelPrice? selectionQuantity? volumeUnit? fifo?",
    code="size? sizeGroup? ean? currencyNumber? priceUnitNumber?",
    boolean="isNOS?",
    timestamp="firstPurchaseDate? lastPurchaseDate? firstSaleDate? lastSaleDate?",
)
BRANCH = contract(
    "branch",
    integer="number stateNumber? regionNumber? glN1? glN2?",
    text="name1? name2? name3? searchTerm? street? zipCode? city? countryNumber? imageName? logoFileName?",
    boolean="isActive? isWebshop?",
    timestamp="stocktakingDate?",
    personal="bankCode iban bic bankAccount telephoneNumber fax email branchInfo "
    "openMonday openTuesday openWednesday openThursday openFriday openSaturday openSunday",
)
CATEGORY = contract(
    "category",
    integer="number generalCategoryNumber? mainCategoryNumber? departmentNumber? mainDepartmentNumber? labelNumber? "
    "taxNumber?",
    text="name searchTerm?",
    boolean="isServiceCategory",
)
SUPPLIER = contract(
    "supplier",
    integer="number shipmentOptionNumber? paymentOptionNumber?",
    text="name1? name2? name3? searchTerm? zipCode? city? countryNumber? currencyNumber? website?",
    boolean="isActive? isEDI?",
    personal="bankCode iban bic bankAccount street telephone mobilePhone fax email info1 info2",
)
CUSTOMER = contract(
    "customer",
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
STAFF = contract(
    "staff",
    integer="number branchNumber?",
    text="jobTitle?",
    boolean="isActive?",
    personal="bankNumber bankAccount gender firstName lastName searchTerm salutation personalSalutation personalEmail "
    "companyEmail telephone mobilePhone fax street zipCode city countryNumber imageName info dateOfBirth entryDate "
    "exitDate",
)

CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {each.entity: each for each in (BRANCH, CATEGORY, SUPPLIER, STAFF, ARTICLE, CUSTOMER, SALE, ARTICLESIZE)}
)
"""All entities that are read, by name, masters before what refers to them."""
