"""Expectations: what every living row of an entity's raw table should be, each with the sentence a person reads.

    [each.sentence for each in EXPECTATIONS["sale"]]

An error means that numbers are wrong: one row that fails is a breach. A warning is what the real world does now and
then; it counts in the score. "None" is written as 0, as "" or as null, "never" as 1 January 1990.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from types import MappingProxyType

import polars as pl

from mercurios.quality import Expectation, Facts, Rule, Severity
from mercurios.sources.contracts import CONTRACTS

NEVER = datetime(1990, 1, 1)
CENT = 0.01
MOST = 100_000.0
"""More pieces in a line or in stock, or a higher price, is a slip of the finger."""
WARNING, ERROR = Severity.WARNING, Severity.ERROR
col = pl.col


def expect(name: str, sentence: str, holds: pl.Expr | Rule, severity: Severity = WARNING) -> Expectation:
    """Declare an expectation; `holds` is null for a row of which nothing is expected."""
    return Expectation(name, severity, sentence, (lambda _facts: holds) if isinstance(holds, pl.Expr) else holds)


def where(condition: pl.Expr, holds: pl.Expr) -> pl.Expr:
    """Expect something of those rows only for which the condition is true."""
    return pl.when(condition).then(holds)


def refers(column: str, entity: str) -> Expectation:
    """The number is one of another entity; a merchant without that entity has nothing to keep."""

    def holds(facts: Facts) -> pl.Expr:
        numbers = facts.known.get(entity, pl.Series(dtype=pl.Int64))
        return where((col(column) != 0) & pl.lit(not numbers.is_empty()), col(column).is_in(numbers.implode()))

    name = column.removesuffix("_number")
    return expect(f"{name}_exists", f"The {name.replace('_', ' ')} has a record of its own.", holds)


def dated(*columns: str, severity: Severity = WARNING) -> Expectation:
    """Dates are not before 1990, and not after the merchant's today."""

    def holds(facts: Facts) -> pl.Expr:
        tomorrow = datetime.combine(facts.today, time.min) + timedelta(days=1)
        moments = (col(column).is_between(NEVER, tomorrow, closed="left") for column in columns)
        return pl.all_horizontal(moment.fill_null(True) for moment in moments)

    return expect("dates_are_plausible", "No date is before 1990 or after today.", holds, severity)


def priced(*columns: str) -> Expectation:
    """Prices are not negative, and no slip."""
    prices = pl.all_horizontal(col(column).is_between(0, MOST).fill_null(True) for column in columns)
    return expect("prices_are_plausible", f"Prices lie between 0 and {MOST:,.0f}.", prices)


def spent(part: str, whole: str) -> Expectation:
    """No more of an amount is gone than there was."""
    within = col(part).abs() <= col(whole).abs() + CENT
    return expect(f"{part}_is_within_{whole}", "No more is redeemed or cleared than there was.", within)


def named(column: str) -> Expectation:
    """A record has a name."""
    return expect("name_is_there", "The record has a name.", col(column).fill_null("") != "")


def _in_own_currency(facts: Facts) -> pl.Expr:
    return where(col("currency_number") != "", col("currency_number") == facts.currency)


def _is_taxed(facts: Facts) -> pl.Expr:
    return where(col("tax_number") != 0, col("tax_number").is_in(sorted(facts.tax_numbers)))


KEY = (
    expect("key_is_there", "Every row has an id.", col("id").fill_null("") != "", ERROR),
    expect("key_is_unique", "No two rows have the same id.", col("id").is_unique(), ERROR),
)
NUMBER = expect(
    "number_is_unique",
    "No two living records have the same number; of two that do, the one changed last counts.",
    col("number").is_unique(),
)
CURRENCY = expect(
    "currency_is_the_tenants",
    "Amounts are in the merchant's currency, for they are added up.",
    _in_own_currency,
    ERROR,
)
_AMOUNTS = ("sale_price", "discount", "deduction", "label_price", "purchase_price")
_LINE = ("branch_number", "cash_register_number", "receipt_number", "date", "receipt_position")
_PAID = col("sale_price")
_REDUCED = col("discount").fill_null(0) + col("deduction").fill_null(0)
_LABEL = col("label_price") * col("quantity")
_ROUNDING = CENT + CENT / 2 * col("quantity").abs()
_HAS_LABEL = col("label_price") != 0

_OF_ENTITY: Mapping[str, tuple[Expectation, ...]] = {
    "branch": (NUMBER, named("name1")),
    "category": (
        NUMBER,
        named("name"),
        expect(
            "tax_number_has_a_rate",
            "The tenant file has a VAT rate for the tax number; without one the standard rate counts.",
            _is_taxed,
            ERROR,
        ),
        refers("main_category_number", "category"),
    ),
    "supplier": (NUMBER,),
    "staff": (NUMBER, refers("branch_number", "branch")),
    "article": (
        NUMBER,
        CURRENCY,
        priced("purchase_price", "price", "label_price"),
        dated("first_sale_date", "last_sale_date", "first_purchase_date", "last_purchase_date"),
        expect(
            "first_sale_is_before_the_last",
            "The first sale is not after the last one.",
            where(col("last_sale_date") > NEVER, col("first_sale_date") <= col("last_sale_date")),
        ),
        refers("category_number", "category"),
        refers("supplier_number", "supplier"),
    ),
    "articlesize": (
        CURRENCY,
        priced("purchase_price", "sale_price", "label_price"),
        expect(
            "stock_is_plausible",
            f"Stock is not negative and at most {MOST:,.0f} pieces.",
            col("stock_quantity").is_between(0, MOST),
        ),
        refers("article_number", "article"),
        refers("branch_number", "branch"),
    ),
    "customer": (NUMBER, refers("branch_number", "branch")),
    "sale": (
        dated("date", severity=ERROR),
        CURRENCY,
        expect(
            "line_is_unique",
            "No two lines have the same branch, register, receipt, day and position.",
            where(col("receipt_position").is_not_null(), pl.struct(_LINE).is_unique()),
        ),
        expect("quantity_is_not_zero", "A line sells or takes back something.", col("quantity") != 0),
        expect(
            "amounts_can_be_added_up",
            "No number is beyond what sums take; one that is counts as 0.",
            pl.all_horizontal(col(column).fill_null(0).abs() < 1e9 for column in ("quantity", *_AMOUNTS)),
            ERROR,
        ),
        expect(
            "amounts_are_plausible",
            f"No line has more than {MOST:,.0f} pieces or a price beyond {MOST:,.0f}.",
            (col("quantity").abs() <= MOST) & (_PAID.abs() <= MOST),
        ),
        expect(
            "price_has_the_sign_of_the_quantity",
            "What is taken back has a negative price, what is sold a positive one.",
            _PAID * col("quantity") >= 0,
        ),
        expect("type_is_known", "The type is 0, 1, 2 or 3.", col("type").is_between(0, 3)),
        expect(
            "returns_are_negative",
            "A line of a return type (1, 3) has a negative quantity.",
            where(col("type") % 2 == 1, col("quantity") < 0),
        ),
        expect(
            "label_price_is_explained",
            "Sale price, discount and deduction add up to label price times quantity, where a label price stands.",
            where(_HAS_LABEL, (_PAID + _REDUCED - _LABEL).abs() <= _ROUNDING),
        ),
        expect(
            "discount_is_within_the_label",
            "Discount and deduction take away no more than label price times quantity.",
            where(_HAS_LABEL, _REDUCED.abs() <= _LABEL.abs() + _ROUNDING),
        ),
        expect(
            "cost_is_there",
            "A line has a purchase price; without one it counts as if it had cost nothing.",
            col("purchase_price").is_not_null(),
        ),
        expect(
            "receipt_belongs_to_its_register",
            "The receipt number begins with the number of its cash register.",
            col("receipt_number") // 1_000_000 == col("cash_register_number"),
        ),
        expect(
            "time_is_of_a_day",
            "The time lies between 0 and 86,399 seconds after midnight.",
            col("time").is_between(0, 86_399),
        ),
        refers("article_number", "article"),
        refers("branch_number", "branch"),
        refers("staff_number", "staff"),
    ),
    "inventory": (dated("date"), refers("branch_number", "branch"), refers("category_number", "category")),
    "order": (dated("created"), refers("supplier_number", "supplier")),
    "season": (
        expect(
            "begins_before_it_ends",
            "A season does not end before it begins.",
            where(col("valid_until") > NEVER, col("valid_from") <= col("valid_until")),
        ),
    ),
    "voucher": (dated("date"), CURRENCY, spent("amount_redeemed", "value"), refers("branch_number", "branch")),
    "credit": (dated("date"), CURRENCY, spent("amount_redeemed", "value"), refers("branch_number", "branch")),
    "invoice": (dated("date"), CURRENCY, spent("amount_cleared", "amount"), refers("branch_number", "branch")),
    "payment": (dated("date"), CURRENCY, refers("branch_number", "branch")),
    "promotion": (
        expect(
            "ends_after_it_begins",
            "A promotion does not end before it begins.",
            col("first_day") <= col("last_day"),
        ),
        expect(
            "shares_are_fractions",
            "Share and discount lie between 0 and 1.",
            pl.all_horizontal(col(column).is_between(0, 1).fill_null(True) for column in ("share", "discount")),
        ),
        refers("article_number", "article"),
        refers("branch_number", "branch"),
        refers("category_number", "category"),
    ),
    "factor": (
        dated("known_on"),
        expect(
            "value_is_plausible",
            f"Values lie between -{MOST:,.0f} and {MOST:,.0f}.",
            col("value").is_between(-MOST, MOST),
        ),
    ),
    "currency": (expect("course_is_positive", "A rate of exchange is above 0.", col("course") > 0),),
}

EXPECTATIONS: Mapping[str, tuple[Expectation, ...]] = MappingProxyType(
    {entity: KEY + _OF_ENTITY.get(entity, ()) for entity in CONTRACTS}
)
"""All expectations by entity; a name is unique within its entity."""
REFERENCED = ("article", "branch", "category", "staff", "supplier")
"""Entities whose numbers others refer to."""
