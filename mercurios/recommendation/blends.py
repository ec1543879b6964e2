"""Blends: what a customer buys anyway, filled up with what else may fit."""

from pathlib import Path

import polars as pl
from pydantic import Field

from mercurios.recommendation.contract import Fitted, Recommender, load_fitted, save_fitted
from mercurios.recommendation.factors import ALS
from mercurios.recommendation.frequency import GlobalTop, PersonalTop
from mercurios.recommendation.purchases import Purchases


class Blend(Fitted):
    """The sum of two models: the first's score plus `weight` times the second's, where that is above zero."""

    def __init__(self, first: Fitted, second: Fitted, weight: float) -> None:
        self.first = first
        self.second = second
        self.weight = weight

    def best(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """See `Fitted.best`.

        Only what one of the two puts forward can be among the best of the sum, as the first scores nothing below zero
        and puts forward everything it scores above.
        """
        pair = ("customer_number", "article_number")
        pairs = pl.concat([model.best(customers, limit).select(pair) for model in (self.first, self.second)]).unique()
        return self.score(pairs)

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """See `Fitted.score`."""
        scored = self.first.score(pairs).rename({"score": "first"})
        total = pl.col("first") + self.weight * pl.col("score").clip(lower_bound=0.0)
        return self.second.score(scored).select("customer_number", "article_number", score=total)

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        pl.DataFrame({"weight": [self.weight]}).write_parquet(folder / "weight.parquet")
        save_fitted(self.first, folder / "first")
        save_fitted(self.second, folder / "second")

    @classmethod
    def load(cls, folder: Path) -> "Blend":
        """See `Fitted.load`."""
        weight = pl.read_parquet(folder / "weight.parquet")["weight"].item()
        return cls(load_fitted(folder / "first"), load_fitted(folder / "second"), weight)


class PersonalGlobalTop(Recommender, frozen=True):
    """What the customer bought on most receipts; among equals, and after the last of them, what everybody buys."""

    def fit(self, purchases: Purchases) -> Blend:
        """See `Recommender.fit`; popularity weighs less than one receipt."""
        return Blend(PersonalTop().fit(purchases), GlobalTop().fit(purchases), weight=0.5)


class PersonalALS(Recommender, frozen=True):
    """What the customer bought, faded by age, plus what ALS finds near the customer."""

    half_life_days: float = Field(gt=0)
    weight: float = Field(gt=0)
    als: ALS

    def fit(self, purchases: Purchases) -> Blend:
        """See `Recommender.fit`."""
        personal = PersonalTop(half_life_days=self.half_life_days)
        return Blend(personal.fit(purchases), self.als.fit(purchases), self.weight)
