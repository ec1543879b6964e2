"""Factor models of `implicit`: customers and articles as points, near each other where they fit."""

import importlib
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from threadpoolctl import threadpool_limits

from mercurios.errors import ModelError
from mercurios.recommendation.contract import Fitted, Recommender
from mercurios.recommendation.purchases import Purchases

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Numbers = npt.NDArray[np.int64]
Points = npt.NDArray[np.float32]
_CUSTOMERS_AT_ONCE = 128


class Factors(Fitted):
    """Points by number.

    customers (n), articles (m): sorted numbers. customer_points (n × k), article_points (m × k): the score of a pair is
    their product.
    """

    def __init__(self, customers: Numbers, articles: Numbers, customer_points: Points, article_points: Points) -> None:
        self.customers = customers
        self.articles = articles
        self.customer_points = customer_points
        self.article_points = article_points

    def best(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """See `Fitted.best`; nothing for customers the model does not know."""
        wanted = np.intersect1d(customers.to_numpy(), self.customers)
        parts = [
            self._best(wanted[start : start + _CUSTOMERS_AT_ONCE], min(limit, len(self.articles)))
            for start in range(0, len(wanted), _CUSTOMERS_AT_ONCE)
        ]
        return pl.concat(parts) if parts else _frame(wanted, wanted, np.zeros(0))

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """See `Fitted.score`."""
        customer, knows_customer = _places(self.customers, pairs["customer_number"].to_numpy())
        article, knows_article = _places(self.articles, pairs["article_number"].to_numpy())
        products = np.einsum("ij,ij->i", self.customer_points[customer], self.article_points[article])
        scores = np.where(knows_customer & knows_article, products, 0.0)
        return pairs.with_columns(score=pl.Series(scores, dtype=pl.Float64))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        np.savez(
            folder / "factors.npz",
            customers=self.customers,
            articles=self.articles,
            customer_points=self.customer_points,
            article_points=self.article_points,
        )

    @classmethod
    def load(cls, folder: Path) -> "Factors":
        """See `Fitted.load`."""
        with np.load(folder / "factors.npz", allow_pickle=False) as state:
            return cls(state["customers"], state["articles"], state["customer_points"], state["article_points"])

    def _best(self, customers: Numbers, limit: int) -> pl.DataFrame:
        places, _ = _places(self.customers, customers)
        with threadpool_limits(1, "blas"):
            scores = self.customer_points[places] @ self.article_points.T
        chosen = np.argpartition(-scores, limit - 1, axis=1)[:, :limit]
        of_chosen = np.take_along_axis(scores, chosen, axis=1)
        return _frame(np.repeat(customers, limit), self.articles[chosen].ravel(), of_chosen.ravel())


class FactorModel(Recommender, frozen=True):
    """What ALS and BPR share. Articles with fewer than `min_customers` buyers are left out."""

    factors: int = Field(gt=0)
    iterations: int = Field(gt=0)
    min_customers: int = Field(default=1, ge=1)
    seed: int = 1

    def fit(self, purchases: Purchases) -> Factors:
        """See `Recommender.fit`; one thread, so that the same purchases give the same points."""
        popular = purchases.popularity.filter(pl.col("customers") >= self.min_customers)
        if popular.is_empty():
            raise ModelError(f"{self.name}: no article has {self.min_customers} buyers; lower min_customers")
        pairs = purchases.pairs.join(popular, on="article_number", how="semi")
        customers = pairs["customer_number"].unique().sort().to_numpy()
        articles = pairs["article_number"].unique().sort().to_numpy()
        matrix = _matrix(pairs, customers, articles)
        importlib.import_module("implicit")  # it loads a BLAS of its own, which the limit has to find
        with threadpool_limits(1, "blas"):
            model = self._model()
            model.fit(matrix, show_progress=False)
        return Factors(customers, articles, np.asarray(model.user_factors), np.asarray(model.item_factors))

    @abstractmethod
    def _model(self) -> Any:
        """The unfitted model of `implicit`."""


class ALS(FactorModel, frozen=True):
    """Alternating least squares on the number of receipts (Hu, Koren and Volinsky 2008)."""

    regularization: float = 0.1
    alpha: float = 1.0

    def _model(self) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors=self.factors,
            iterations=self.iterations,
            regularization=self.regularization,
            alpha=self.alpha,
            random_state=self.seed,
            num_threads=1,
        )


class BPR(FactorModel, frozen=True):
    """Bayesian personalised ranking: what was bought ranks above what was not (Rendle et al. 2009)."""

    learning_rate: float = 0.01
    regularization: float = 0.01

    def _model(self) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors=self.factors,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            random_state=self.seed,
            num_threads=1,
        )


def _matrix(pairs: pl.DataFrame, customers: Numbers, articles: Numbers) -> "csr_matrix":
    from scipy.sparse import csr_matrix

    rows, _ = _places(customers, pairs["customer_number"].to_numpy())
    columns, _ = _places(articles, pairs["article_number"].to_numpy())
    receipts = pairs["receipts"].to_numpy().astype(np.float32)
    return csr_matrix((receipts, (rows, columns)), shape=(len(customers), len(articles)))


def _places(known: Numbers, wanted: Numbers) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return places, known[places] == wanted


def _frame(customers: Numbers, articles: Numbers, scores: npt.NDArray[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {"customer_number": customers, "article_number": articles, "score": scores},
        schema={"customer_number": pl.Int64, "article_number": pl.Int64, "score": pl.Float64},
    )
