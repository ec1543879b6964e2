"""Sale lines of the Complete Journey in the API's fields.

The cost, the label price and the receipt numbers are derived; the rules are stated once, as text, beside the code.
"""

import numpy as np
import polars as pl

from mercurios.sandbox.identity import mixed, uuids

TIME_ZONE = "America/New_York"
RECEIPTS_PER_REGISTER = 1_000_000
FUEL_COST_PERCENT = 94
UNKNOWN_COST_PERCENT = 68

COST_RULE = (
    f"A share of the line's salePrice, rounded to the cent: 55 to 80 % by a hash of the category number, "
    f"{FUEL_COST_PERCENT} % for fuel, {UNKNOWN_COST_PERCENT} % for articles without a master row."
)
LABEL_RULE = (
    "discount is the data's retail_disc; labelPrice is the unit price before discounts rounded up to the cent, and "
    "deduction is coupon_match_disc plus that rounding: salePrice + discount + deduction = labelPrice x quantity. "
    "labelPrice is 0 for quantity 0 and for fuel. coupon_disc, which manufacturers pay, is inside salePrice."
)
RECEIPT_RULE = (
    "register = basket_id modulo 4, plus 1; receiptNumber = register x 1,000,000 plus a count per branch and register "
    "in the order of time; positions count from 1 in the order of article numbers."
)
IDENTITY_RULE = "ids are hashes of the row's key; lastChange is the time of the (last) sale, its fraction a hash."


def sale(merchant: str, lines: pl.LazyFrame, products: pl.DataFrame) -> pl.DataFrame:
    """Sale lines of one merchant, by branch, then receiptNumber descending, then position.

    lines: rows of the package's transactions. products: see masters.products. Amounts are signed line amounts.
    """
    numbered = _receipts(lines.with_columns(sold_at=_local(pl.col("transaction_timestamp"))))
    master = products.lazy().select("product_id", "is_fuel", "cost_percent")
    priced = _priced(
        numbered.join(master, on="product_id", how="left").with_columns(pl.col("is_fuel").fill_null(False))
    )
    order = ["store_id", "receiptNumber", "product_id"]
    rows = priced.sort(order, descending=[False, True, False]).with_columns(
        receiptPosition=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("store_id", "receiptNumber"),
    )
    return _identified(merchant, rows.select(_fields()).collect())


def _local(utc: pl.Expr) -> pl.Expr:
    return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(TIME_ZONE).dt.replace_time_zone(None)


def _receipts(lines: pl.LazyFrame) -> pl.LazyFrame:
    baskets = (
        lines.group_by("basket_id")
        .agg(pl.col("store_id", "transaction_timestamp").first())
        .with_columns(register=(pl.col("basket_id") % 4 + 1).cast(pl.Int32))
        .sort("transaction_timestamp", "basket_id")
        .with_columns(count=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("store_id", "register"))
    )
    number = pl.col("register") * RECEIPTS_PER_REGISTER + pl.col("count")
    return lines.join(baskets.select("basket_id", "register", receiptNumber=number), on="basket_id")


def _priced(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add sold, discount, deduction, label (a unit) and cost, all in whole cents."""
    quantity = pl.col("quantity")
    rows = rows.with_columns(
        sold=_cents("sales_value"), discount=_cents("retail_disc"), match=_cents("coupon_match_disc")
    )
    before = pl.col("sold") + pl.col("discount") + pl.col("match")
    has_label = (quantity > 0) & ~pl.col("is_fuel")
    label = pl.when(has_label).then((before + quantity - 1) // quantity).otherwise(0)
    percent = pl.col("cost_percent").fill_null(UNKNOWN_COST_PERCENT)
    return rows.with_columns(label=label, cost=(pl.col("sold") * percent + 50) // 100).with_columns(
        deduction=pl.when(pl.col("label") > 0)
        .then(pl.col("label") * quantity - pl.col("sold") - pl.col("discount"))
        .otherwise(pl.col("match"))
    )


def _cents(amount: str) -> pl.Expr:
    return (pl.col(amount) * 100).round().cast(pl.Int64)


def _fields() -> list[pl.Expr]:
    midnight = pl.col("sold_at").dt.truncate("1d")
    return [
        pl.col("product_id").cast(pl.Int32).alias("articleNumber"),
        pl.col("product_id").cast(pl.Int32).alias("articleSizeNumber"),
        pl.col("quantity").cast(pl.Int32),
        *((pl.col(cents) / 100).alias(field) for cents, field in _AMOUNTS.items()),
        pl.col("store_id").cast(pl.Int32).alias("branchNumber"),
        pl.col("household_id").cast(pl.Int32).alias("customerNumber"),
        pl.col("register").alias("cashRegisterNumber"),
        *(pl.col(name) for name in ("receiptNumber", "receiptPosition")),
        (pl.col("sold_at") - midnight).dt.total_seconds().cast(pl.Int32).alias("time"),
        midnight.dt.date().alias("date"),
        pl.col("sold_at").alias("lastChange"),
    ]


_AMOUNTS = {
    "sold": "salePrice",
    "label": "labelPrice",
    "cost": "purchasePrice",
    "discount": "discount",
    "deduction": "deduction",
}


def _identified(merchant: str, rows: pl.DataFrame) -> pl.DataFrame:
    parts = [rows[name].to_numpy().astype(np.uint64) for name in ("branchNumber", "receiptNumber", "receiptPosition")]
    keys = (parts[0] << np.uint64(40)) | (parts[1] << np.uint64(12)) | parts[2]
    salt = f"{merchant}/sale"
    return rows.with_columns(uuids(salt, keys), pl.col("lastChange") + fractions(salt, keys))


def fractions(salt: str, keys: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> pl.Series:
    """Fractions of a second with five to seven digits, the last one no zero, as durations in nanoseconds."""
    spread = mixed(salt + "/change", keys)
    ticks = (spread % np.uint64(9_999)) * np.uint64(1_000) + np.uint64(1) + (spread >> np.uint64(32)) % np.uint64(999)
    return pl.Series((ticks * np.uint64(100)).astype(np.int64)).cast(pl.Duration("ns"))
