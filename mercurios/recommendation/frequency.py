"""Models that count: what everybody buys, and what a customer buys again and again."""

from pathlib import Path

import polars as pl
from pydantic import Field

from mercurios.recommendation.contract import Fitted, Recommender
from mercurios.recommendation.purchases import Purchases


class Popularity(Fitted):
    """The same articles for everybody. articles: article_number, score; best first."""

    def __init__(self, articles: pl.DataFrame) -> None:
        self.articles = articles

    def best(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """See `Fitted.best`."""
        return pl.DataFrame({"customer_number": customers}).join(self.articles.head(limit), how="cross")

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """See `Fitted.score`."""
        return pairs.join(self.articles, on="article_number", how="left").with_columns(pl.col("score").fill_null(0.0))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.articles.write_parquet(folder / "articles.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Popularity":
        """See `Fitted.load`."""
        return cls(pl.read_parquet(folder / "articles.parquet"))


class Frequency(Fitted):
    """What each customer has bought. pairs: customer_number, article_number, score."""

    def __init__(self, pairs: pl.DataFrame) -> None:
        self.pairs = pairs

    def best(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """See `Fitted.best`; all that the customers have bought."""
        return self.pairs.join(pl.DataFrame({"customer_number": customers}), on="customer_number", how="semi")

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """See `Fitted.score`."""
        known = pairs.join(self.pairs, on=["customer_number", "article_number"], how="left")
        return known.with_columns(pl.col("score").fill_null(0.0))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.pairs.write_parquet(folder / "pairs.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Frequency":
        """See `Fitted.load`."""
        return cls(pl.read_parquet(folder / "pairs.parquet"))


class GlobalTop(Recommender, frozen=True):
    """The articles on most receipts, for everybody; the baseline every champion has to beat."""

    def fit(self, purchases: Purchases) -> Popularity:
        """See `Recommender.fit`; the score is the share of the most popular article's receipts."""
        counted = purchases.popularity
        return Popularity(counted.select("article_number", score=pl.col("receipts") / pl.col("receipts").max()))


class PersonalTop(Recommender, frozen=True):
    """What the customer bought on most receipts.

    half_life_days: a purchase counts half after so many days before the customer's last receipt; None counts all alike.
    """

    half_life_days: float | None = Field(default=None, gt=0)

    def fit(self, purchases: Purchases) -> Frequency:
        """See `Recommender.fit`; the score is the number of receipts, faded by age."""
        weight = pl.col("receipts").cast(pl.Float64)
        if self.half_life_days is not None:
            half_lives = pl.element() / self.half_life_days
            weight = pl.col("days_ago").list.eval(pl.lit(0.5).pow(half_lives)).list.sum()
        return Frequency(purchases.pairs.select("customer_number", "article_number", score=weight))
