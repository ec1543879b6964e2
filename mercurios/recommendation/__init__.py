"""Recommendations: which articles to offer to a known customer.

    purchases = Purchases.of(lines)
    trial = last_basket_test(purchases, spec.candidates)
    fitted = trial.candidates[trial.best().name].fit(purchases)
    fitted.top(purchases.customers, 20)

One contract, many models: frequency, popularity, the factor models of `implicit`, and blends. Frames of polars come in
and go out; nothing here opens a store.
"""

from mercurios.recommendation.contract import Fitted, Recommender
from mercurios.recommendation.lastbasket import RecommenderTrial, last_basket_test
from mercurios.recommendation.purchases import Purchases
from mercurios.recommendation.served import ServedRecommender
from mercurios.recommendation.spec import RecommenderSpec

__all__ = [
    "Fitted",
    "Purchases",
    "Recommender",
    "RecommenderSpec",
    "RecommenderTrial",
    "ServedRecommender",
    "last_basket_test",
]
