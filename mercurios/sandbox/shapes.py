"""Shape of every entity of the ProHandel API: its fields, their kinds and the value that means "nothing".

    SHAPES["branch"].fields["glN1"].neutral      # 0.0
    sorted(SHAPES)                               # every path that answers under /api/v2

The fields are those seen in stored responses (reference, section 1.3). A field marked `!` carries a fact that cannot
be assumed: its neutral value would be a lie (a cost of 0 is a margin of 100 %), so it is never filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NEVER = "1990-01-01T00:00:00"
_NEUTRAL: Mapping[str, object] = {
    "float": 0.0,
    "int": 0,
    "str": "",
    "bool": False,
    "never": NEVER,
    "null": None,
    "list": (),
}


@dataclass(frozen=True)
class Field:
    """One field; `kind` is float, int, str, bool, never (date, 1990 when unset), null (null when unset) or list."""

    name: str
    kind: str
    is_fact: bool = False

    @property
    def neutral(self) -> object:
        """What the API sends when there is nothing to say."""
        return _NEUTRAL[self.kind]


@dataclass(frozen=True)
class Shape:
    """One entity; `key` are the business numbers that tell its rows apart, in the order the API sorts masters."""

    entity: str
    key: tuple[str, ...]
    fields: Mapping[str, Field]
    versions: str


_VERSIONS = ", ".join(f"2.{minor}" for minor in (0, *range(5, 30)))
_OLD = {"credit", "currency", "label", "payment"}
_DAYS = "openMonday openTuesday openWednesday openThursday openFriday openSaturday openSunday"
_LEDGER_INTS = (
    "number! branchNumber! customerNumber receiptNumber receiptPosition staffNumber cashRegisterNumber status "
)


def _shape(entity: str, key: str, *, tracked: bool = True, **kinds: str) -> Shape:
    fields = {"id": Field("id", "str", is_fact=True)}
    for kind, names in kinds.items():
        for name in names.split():
            bare = name.removesuffix("!")
            fields[bare] = Field(bare, kind, is_fact=name != bare)
    if tracked:
        fields |= {"lastChange": Field("lastChange", "never"), "isDeleted": Field("isDeleted", "bool")}
    return Shape(entity, tuple(key.split()), MappingProxyType(fields), "2.0" if entity in _OLD else _VERSIONS)


_SHAPES = (
    _shape(
        "article",
        "number",
        float="number! purchasePrice price labelPrice calculatedPrice",
        int="manufacturerNumber gender patternNumber labelNumber colorNumber shapeNumber brandNumber supplierNumber "
        "materialNumber seasonNumber shopNumber categoryNumber targetGroupNumber functionNumber",
        str="supplierArticleNumber supplierColor supplierSeason supplierCategory individualArticleNumber imageName "
        "information articleFlag sizeType text1 text2 text3 brochure currencyNumber countryNumber priceUnitNumber",
        bool="isActive isNOS",
        never="firstPurchaseDate lastPurchaseDate firstSaleDate lastSaleDate",
        null="firstOrderDate lastOrderDate",
    ),
    _shape(
        "articlesize",
        "number branchNumber",
        float="number! articleNumber! purchasePrice! salePrice labelPrice stockQuantity! selectionQuantity volumeUnit "
        "fifo",
        int="branchNumber!",
        str="size sizeGroup ean currencyNumber priceUnitNumber",
        bool="isNOS",
        never="firstPurchaseDate lastPurchaseDate firstSaleDate lastSaleDate",
    ),
    _shape(
        "sale",
        "branchNumber cashRegisterNumber receiptNumber receiptPosition date",
        float="articleNumber! articleSizeNumber quantity! salePrice! labelPrice purchasePrice! discount deduction "
        "staffDiscount",
        int="branchNumber! customerNumber staffNumber cashierNumber cashRegisterNumber receiptNumber! receiptPosition "
        "priceChangeReasonNumber returnReasonNumber paymentOptionNumber time type",
        str="currencyNumber countryNumber zipCode alternativeReceiptNumber",
        null="date!",
    ),
    _shape(
        "inventory",
        "branchNumber categoryNumber date",
        int="branchNumber! supplierNumber shopNumber categoryNumber! type",
        bool="active",
        null="date! stocktakingDate",
    ),
    _shape(
        "customer",
        "number",
        int="number! loyalityPoints branchNumber bankCode maritalStatus gender staffNumber declarationsOfConsent "
        "groupNumber customerCard discountGroup familyNumber bonusType",
        float="revenue bonusValue discountPercent bonusPercent",
        bool="inactiveFlag directDebitAuthorization isLockedForSelections signedDeclarationOfConsent isBusiness "
        "isStaff subscriptionNewsletter isLocked subscriptionAdvertising hasCustomerCard",
        str="searchTerm personalSalutation salutation title name1 name2 firstName lastName email fax telephone "
        "telephoneSecondary mobilePhone mobilePhoneSecondary street zipCode city countryNumber poBox poBoxZipCode iban "
        "bic bankAccount vatNumber info1 info2 "
        + " ".join(f"selectionCriteria{number}" for number in range(1, 10))
        + " customerType webshopUser webshopUserPassword",
        null="name3 creationDate dateOfBirth dateOfBirthSignificantOther customerCardPrintDate lastBonusSettlementDate "
        "subscriptionNewsletterConfirmationDate mergedInto",
    ),
    _shape(
        "order",
        "number",
        tracked=False,
        int="number! source supplierNumber merchantNumber status type",
        null="created",
        str="supplierOrderId info",
        float="overallDiscount",
        list="positions",
    ),
    _shape(
        "branch",
        "number",
        int="number! stateNumber regionNumber bankCode",
        float="glN1 glN2",
        str="name1 name2 name3 searchTerm street zipCode city countryNumber telephoneNumber fax email iban bic "
        "bankAccount imageName logoFileName branchInfo",
        bool="isActive isWebshop",
        null=f"stocktakingDate {_DAYS}",
    ),
    _shape(
        "supplier",
        "number",
        int="number! bankCode shipmentOptionNumber paymentOptionNumber",
        bool="isActive isEDI",
        str="name1 name2 name3 searchTerm street zipCode city countryNumber currencyNumber telephone mobilePhone fax "
        "email website iban bic bankAccount info1 info2",
    ),
    _shape(
        "category",
        "number",
        int="number! generalCategoryNumber mainCategoryNumber departmentNumber mainDepartmentNumber labelNumber "
        "taxNumber!",
        str="name! searchTerm",
        bool="isServiceCategory",
    ),
    _shape(
        "staff",
        "number",
        int="number! branchNumber gender bankNumber",
        bool="isActive",
        str="firstName lastName searchTerm salutation personalSalutation jobTitle personalEmail companyEmail telephone "
        "mobilePhone fax street zipCode city countryNumber bankAccount imageName info",
        null="dateOfBirth entryDate exitDate",
    ),
    _shape("season", "seasonNumber", int="seasonNumber!", str="name searchTerm", null="validFrom validUntil"),
    _shape("size", "sizeGroupNumber position", int="sizeGroupNumber! position", str="name"),
    _shape("label", "number", int="number!", str="name searchTerm"),
    _shape(
        "voucher",
        "number",
        int="number! receiptNumber receiptPosition branchNumber! customerNumber type status",
        float="value! amountRedeemed",
        str="internetCode note currencyNumber",
        null="date! voucherRedemptionDate validFrom validUntil",
    ),
    _shape(
        "credit",
        "number",
        int="number! branchNumber! receiptNumber receiptPosition customerNumber status",
        float="value! amountRedeemed",
        str="currencyNumber",
        null="date!",
    ),
    _shape(
        "invoice",
        "number",
        int=_LEDGER_INTS + "paymentConditionNumber",
        float="amount! amountCleared",
        str="currencyNumber",
        null="date! paymentDueDate",
    ),
    _shape("payment", "number", int=_LEDGER_INTS, float="amount!", str="currencyNumber", null="date! invoiceDate"),
    _shape(
        "country", "number", str="number! countryName isoAlpha2 isoAlpha3 domain searchTerm currencyNumber", bool="isEU"
    ),
    _shape("currency", "number", str="number! isoAlpha3", int="unit", float="course"),
    _shape(  # ours, not ProHandel's: what a merchant plans ahead, as file drops bring it
        "promotion",
        "kind articleNumber categoryNumber branchNumber firstDay lastDay",
        str="kind!",
        int="articleNumber categoryNumber branchNumber",
        float="share! discount!",
        null="firstDay! lastDay!",
    ),
    _shape("shop", "number"),  # shop and customercard answered [] to everybody, so nobody has seen their fields
    _shape("customercard", "number"),
)

SHAPES: Mapping[str, Shape] = MappingProxyType({shape.entity: shape for shape in _SHAPES})
"""Every entity the API knows; all other paths are 404."""
