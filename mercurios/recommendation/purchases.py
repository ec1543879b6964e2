"""Purchases: who bought what how often, and when last.

purchases = Purchases.of(lines)
known, held_out = purchases.without_last_receipt()
"""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from mercurios.errors import TooFewPurchases

_KEY = ("customer_number", "receipt_id", "article_number")


@dataclass(frozen=True)
class Purchases:
    """Articles on receipts of known customers.

    rows: customer_number, receipt_id, article_number, sold_at; one row per article on a receipt, sorted by the three.
    A second line of the same article on a receipt is no second purchase.
    """

    rows: pl.DataFrame

    @classmethod
    def of(cls, lines: pl.DataFrame) -> "Purchases":
        """Take lines with customer_number, receipt_id, article_number, sold_at; raises TooFewPurchases when empty."""
        if lines.is_empty():
            raise TooFewPurchases(
                "expected receipts of known customers, got none; let the till record customer numbers"
            )
        rows = lines.group_by(_KEY).agg(pl.col("sold_at").max()).sort(_KEY)
        return cls(rows)

    @property
    def customers(self) -> pl.Series:
        """Numbers of all customers, sorted."""
        return self.rows["customer_number"].unique().sort()

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """One row per (customer_number, article_number), sorted.

        receipts: how many receipts of the customer hold the article. days_ago: for every one of them, whole days
        before the customer's last receipt (a list).
        """
        last = pl.col("sold_at").max().over("customer_number")
        dated = self.rows.with_columns(days_ago=(last - pl.col("sold_at")).dt.total_days())
        grouped = dated.group_by("customer_number", "article_number").agg(receipts=pl.len(), days_ago="days_ago")
        return grouped.sort("customer_number", "article_number")

    @cached_property
    def popularity(self) -> pl.DataFrame:
        """One row per article_number, most popular first: receipts, and customers who bought it."""
        counted = self.rows.group_by("article_number").agg(
            receipts=pl.len(), customers=pl.col("customer_number").n_unique()
        )
        return counted.sort(["receipts", "article_number"], descending=[True, False])

    def without_last_receipt(self) -> tuple["Purchases", pl.DataFrame]:
        """Hold out the last receipt of every customer who has at least two.

        Returns what is left, and the held-out customer_number, article_number. Of receipts of the same moment the one
        with the greater number is the last. Raises TooFewPurchases when nobody has two.
        """
        receipts = self.rows.group_by("customer_number", "receipt_id").agg(pl.col("sold_at").max())
        last = (
            receipts.sort("customer_number", "sold_at", "receipt_id")
            .group_by("customer_number", maintain_order=True)
            .agg(pl.col("receipt_id").last(), receipts=pl.len())
            .filter(pl.col("receipts") > 1)
        )
        held_out = self.rows.join(last, on=["customer_number", "receipt_id"], how="semi")
        known = self.rows.join(last, on=["customer_number", "receipt_id"], how="anti").sort(_KEY)
        if held_out.is_empty():
            raise TooFewPurchases("expected a customer with two receipts, got none; wait for customers to come back")
        pair = ("customer_number", "article_number")
        return Purchases(known), held_out.select(pair).sort(pair)
