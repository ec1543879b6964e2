"""The last-basket test: every customer's last receipt is held out and has to be guessed.

trial = last_basket_test(purchases, candidates, k=10)
trial.score("GlobalTop").ndcg
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from mercurios.errors import ModelError
from mercurios.recommendation.contract import Recommender
from mercurios.recommendation.purchases import Purchases


@dataclass(frozen=True)
class RecommenderTrial:
    """Candidates by name and their scores in the same order.

    customers: how many were tested; articles_held_out: how many stood on their last receipts.
    """

    candidates: Mapping[str, Recommender]
    scores: tuple["RankingScore", ...]
    customers: int
    articles_held_out: int

    def score(self, name: str) -> "RankingScore":
        """The score of one candidate; raises ModelError when it was not tested."""
        for score in self.scores:
            if score.name == name:
                return score
        raise ModelError(f"{name!r} was not tested; tested were {', '.join(score.name for score in self.scores)}")

    def best(self) -> "RankingScore":
        """The highest nDCG; of equals the first, in the order of the candidates."""
        return max(self.scores, key=lambda score: score.ndcg)


@dataclass(frozen=True)
class RankingScore:
    """Means over customers, fractions; `k` articles were recommended. seconds: fitting and ranking."""

    name: str
    k: int
    ndcg: float
    recall: float
    seconds: float


def last_basket_test(
    purchases: Purchases,
    candidates: Mapping[str, Recommender],
    *,
    k: int = 10,
    on_done: Callable[[int], None] = lambda done: None,
) -> RecommenderTrial:
    """Fit every candidate on all but the last receipts and compare its top k with them.

    on_done: called with 1 after each candidate.
    Raises TooFewPurchases when no customer has two receipts.
    """
    known, held_out = purchases.without_last_receipt()
    customers = held_out["customer_number"].unique().sort()
    scores = []
    for name, candidate in candidates.items():
        started = time.perf_counter()
        top = candidate.fit(known).top(customers, k)
        seconds = time.perf_counter() - started
        scores.append(RankingScore(name, k, ndcg(top, held_out, k=k), recall(top, held_out), seconds))
        on_done(1)
    return RecommenderTrial(dict(candidates), tuple(scores), len(customers), held_out.height)


def ndcg(top: pl.DataFrame, relevant: pl.DataFrame, *, k: int) -> float:
    """Normalised discounted cumulative gain at k, mean over the customers of `relevant`; gains are 0 or 1.

    top: customer_number, rank (from 1), article_number; relevant: customer_number, article_number. The ideal is
    truncated: it puts min(k, relevant articles) hits first, so a full list of hits scores 1 however many were relevant.
    """
    gain = 1.0 / (pl.col("rank") + 1).log(2)
    hits = top.filter(pl.col("rank") <= k).join(relevant, on=["customer_number", "article_number"], how="semi")
    dcg = hits.group_by("customer_number").agg(dcg=gain.sum())
    ideals = pl.DataFrame({"rank": range(1, k + 1)}).select(places="rank", ideal=gain.cum_sum())
    counted = relevant.group_by("customer_number").agg(places=pl.len().clip(upper_bound=k).cast(pl.Int64))
    scored = counted.join(ideals, on="places").join(dcg, on="customer_number", how="left").sort("customer_number")
    return _mean(scored.select(pl.col("dcg").fill_null(0.0) / pl.col("ideal")).to_series())


def recall(top: pl.DataFrame, relevant: pl.DataFrame) -> float:
    """Share of a customer's relevant articles that are in `top`, mean over the customers of `relevant`."""
    found = pl.col("rank").is_not_null()
    joined = relevant.join(top, on=["customer_number", "article_number"], how="left")
    return _mean(joined.group_by("customer_number").agg(share=found.mean()).sort("customer_number")["share"])


def _mean(shares: pl.Series) -> float:
    mean = shares.mean()
    if not isinstance(mean, float):
        raise ModelError("expected held-out articles of at least one customer, got none")
    return mean
