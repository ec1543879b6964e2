"""Receipts: a counter that wraps, so that the same number comes again on another day.

wrapped(sale, receipts=1000)["receiptNumber"].max()     # 4001000, not 4038962
"""

import polars as pl

from mercurios.errors import ConfigError
from mercurios.sandbox.places import ordered
from mercurios.sandbox.shapes import SHAPES

BASE = 1_000_000
"""A receipt's number is its register's number times this, plus the register's count."""
_RECEIPT = ("branchNumber", "cashRegisterNumber", "receiptNumber")


def wrapped(sale: pl.DataFrame, receipts: int) -> pl.DataFrame:
    """Sale lines whose registers count to `receipts` and begin again; in the order the API then lists them.

    Raises ConfigError when the lines lack a number of the receipt, or a number would come twice on one day: branch,
    register, number and date tell receipts apart.
    """
    if missing := sorted({*_RECEIPT, "date"} - set(sale.columns)):
        raise ConfigError(f"a counter can only wrap on sale lines with {', '.join(missing)}")
    number = pl.col("receiptNumber")
    base = (number // BASE) * BASE
    counted = sale.with_columns(receiptNumber=base + (number - base - 1) % receipts + 1)
    if _receipts(counted) < _receipts(sale):
        raise ConfigError(f"a counter that wraps after {receipts} receipts gives a number twice on one day; raise it")
    return ordered(SHAPES["sale"], counted)


def _receipts(sale: pl.DataFrame) -> int:
    return sale.select(*_RECEIPT, "date").n_unique()
