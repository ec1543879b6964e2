"""The tiny merchant's people and small lists; everything personal is a canary that no store may ever hold."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from mercurios.sandbox.shapes import SHAPES

CANARIES = ("Kanarienvogel", "98765432", "1911-11-11")
"""What every personal value contains: a text, a number, a date. Nothing else of the merchant does."""
_TEXT, _NUMBER, _DAY = CANARIES
_PERSONAL = {
    "branch": "bankCode iban bic bankAccount telephoneNumber fax email branchInfo",
    "supplier": "bankCode iban bic bankAccount street telephone mobilePhone fax email info1 info2",
    "staff": "bankNumber bankAccount firstName lastName searchTerm salutation personalSalutation personalEmail "
    "companyEmail telephone mobilePhone fax street zipCode city imageName info dateOfBirth entryDate exitDate",
    "customer": "bankCode iban bic bankAccount vatNumber webshopUser webshopUserPassword searchTerm "
    "personalSalutation salutation title name1 name2 name3 firstName lastName familyNumber dateOfBirth "
    "dateOfBirthSignificantOther email fax telephone telephoneSecondary mobilePhone mobilePhoneSecondary street city "
    "poBox poBoxZipCode info1 info2 customerCard customerCardPrintDate lastBonusSettlementDate "
    "subscriptionNewsletterConfirmationDate " + " ".join(f"selectionCriteria{number}" for number in range(1, 10)),
}


def people(entity: str, numbers: Iterable[int], **columns: Any) -> pl.DataFrame:
    """One row a number, with a canary in every personal field and `columns` beside it."""
    frame = pl.DataFrame({"number": list(numbers)}).with_columns(
        pl.Series(name, value) if isinstance(value, list) else pl.lit(value).alias(name)
        for name, value in columns.items()
    )
    return frame.with_columns(_canary(entity, name).alias(name) for name in _PERSONAL[entity].split())


def _canary(entity: str, name: str) -> pl.Expr:
    kind = SHAPES[entity].fields[name].kind
    if kind == "int":
        return pl.lit(int(_NUMBER)) * 100 + pl.col("number")
    if kind == "null" and name != "name3":
        return pl.lit(f"{_DAY}T00:00:00")
    return pl.format(f"{_TEXT} {name} {{}}", "number")


def small_lists(branches: tuple[int, ...]) -> dict[str, pl.DataFrame]:
    """Suppliers, staff and the lists that articles refer to."""
    rows: dict[str, list[dict[str, object]]] = {
        "season": [
            {"seasonNumber": 7, "name": "NOS", "validFrom": None, "validUntil": None},
            {
                "seasonNumber": 252,
                "name": "Herbst 2025",
                "validFrom": "2025-08-01T00:00:00",
                "validUntil": "2026-01-31T00:00:00",
            },
        ],
        "size": [{"sizeGroupNumber": 1, "name": name, "position": n} for n, name in enumerate(("S", "M", "L"), 1)],
        "label": [{"number": 1, "name": "Eigenmarke"}, {"number": 2, "name": "Fremdmarke"}],
        "country": [
            {"number": "A", "countryName": "Österreich", "isoAlpha2": "AT", "currencyNumber": "EUR", "isEU": True},
            {"number": "D", "countryName": "Deutschland", "isoAlpha2": "DE", "currencyNumber": "EUR", "isEU": True},
        ],
        "currency": [
            {"number": "DM", "isoAlpha3": "DEM", "unit": 1, "course": 1.95583},
            {"number": "EUR", "isoAlpha3": "EUR", "unit": 1, "course": 1.0},
        ],
    }
    staff = people("staff", range(1, 9), branchNumber=[*branches, *branches], jobTitle="Verkauf", isActive=True)
    supplier = people("supplier", (501, 502, 503), name1=["Nord GmbH", "Süd KG", "West AG"], isActive=True)
    return {"staff": staff, "supplier": supplier} | {entity: pl.DataFrame(lines) for entity, lines in rows.items()}
