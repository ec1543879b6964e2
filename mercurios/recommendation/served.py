"""A recommender ready to answer: fitted model and reasons; written to a folder and read back.

served = ServedRecommender.of(PersonalALS(...), purchases)
served.recommend(purchases.customers, 20)   # customer_number, rank, article_number, score, reason
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mercurios.errors import ModelError
from mercurios.recommendation.blends import Blend
from mercurios.recommendation.contract import Fitted, Recommender, load_fitted, save_fitted
from mercurios.recommendation.factors import Factors
from mercurios.recommendation.purchases import Purchases

if TYPE_CHECKING:
    import pandas as pd

LOADER = "mercurios.recommendation.served"
DEFAULT_LIMIT = 20


@dataclass(frozen=True)
class ServedRecommender:
    """A fitted model, and on how many receipts each customer bought each article."""

    fitted: Fitted
    bought: pl.DataFrame

    @classmethod
    def of(cls, recommender: Recommender, purchases: Purchases) -> "ServedRecommender":
        """Fit on all purchases."""
        bought = purchases.pairs.select("customer_number", "article_number", "receipts")
        return cls(recommender.fit(purchases), bought)

    def recommend(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """The best articles per known customer: customer_number, rank, article_number, score, reason; sorted.

        Customers who never bought anything get no rows.
        """
        wanted = pl.DataFrame({"customer_number": customers.unique().sort()})
        known = wanted.join(self.bought, on="customer_number", how="semi", maintain_order="left")
        top = self.fitted.top(known["customer_number"], limit)
        receipts = pl.col("receipts")
        reason = (
            pl.when(receipts.is_null())
            .then(pl.lit(self._otherwise()))
            .when(receipts == 1)
            .then(pl.lit("bought once"))
            .otherwise(pl.format("bought {} times", receipts))
        )
        joined = top.join(self.bought, on=["customer_number", "article_number"], how="left", maintain_order="left")
        return joined.with_columns(reason=reason).drop("receipts")

    def save(self, folder: Path) -> None:
        """Write into an empty folder: JSON, Parquet and npz, nothing that can run."""
        self.bought.write_parquet(folder / "bought.parquet")
        save_fitted(self.fitted, folder / "fitted")

    @classmethod
    def load(cls, folder: Path) -> "ServedRecommender":
        """Read what `save` wrote; raises ModelError when the folder holds none."""
        if not (folder / "bought.parquet").is_file():
            raise ModelError(f"{folder} holds no bought.parquet; expected a folder written by ServedRecommender.save")
        return cls(load_fitted(folder / "fitted"), pl.read_parquet(folder / "bought.parquet"))

    def _otherwise(self) -> str:
        near = self.fitted.second if isinstance(self.fitted, Blend) else self.fitted
        return "bought by customers like this one" if isinstance(near, Factors) else "bought by many customers"


class _Served:
    """What MLflow calls: `predict` takes customer numbers, and optionally one limit for all."""

    def __init__(self, recommender: ServedRecommender) -> None:
        self._recommender = recommender

    def predict(self, asked: "pd.DataFrame") -> "pd.DataFrame":
        """The recommendations as a frame of customer_number, rank, article_number, score, reason."""
        if "customer_number" not in asked.columns:
            raise ModelError(f"expected a column `customer_number`, got {list(asked.columns)}")
        limit = int(asked["limit"].iloc[0]) if "limit" in asked.columns and len(asked) else DEFAULT_LIMIT
        customers = pl.Series("customer_number", asked["customer_number"].tolist(), dtype=pl.Int64)
        return self._recommender.recommend(customers, limit).to_pandas()


def _load_pyfunc(path: str) -> _Served:
    """Where MLflow's python_function flavour enters; `path` is the folder `ServedRecommender.save` wrote."""
    return _Served(ServedRecommender.load(Path(path)))
