"""Retrain the recommender of one tenant."""

import time
from dataclasses import dataclass

import polars as pl

from mercurios import charts
from mercurios.jobs.retrain.desk import PUBLISHED, Desk, Entry, Record
from mercurios.jobs.retrain.promotion import Contest, Verdict, find_incumbent, judge, with_incumbent
from mercurios.jobs.retrain.report import RecommenderScore
from mercurios.progress import track
from mercurios.recommendation import Purchases, RecommenderSpec, RecommenderTrial, ServedRecommender, last_basket_test
from mercurios.recommendation.contract import build, describe
from mercurios.recommendation.served import LOADER
from mercurios.registry import ModelVersion

KIND = "recommender"
LINES = (
    "select customer_number, receipt_id, article_number, sold_at from marts.fct_sale_lines"
    " where customer_number <> 0 and is_merchandise and not is_return and quantity > 0"
)


@dataclass(frozen=True)
class RecommenderResult:
    """Score, and rows of the table `recommendations` without the tenant."""

    score: RecommenderScore
    rows: pl.DataFrame


def retrain_recommender(desk: Desk, spec: RecommenderSpec) -> RecommenderResult:
    """Test every candidate on the last baskets, promote the best, recommend with it.

    Raises TooFewPurchases when no known customer has two receipts.
    """
    started = time.perf_counter()
    tenant_id = desk.session.tenant_id
    known = find_incumbent(desk.registry, f"{tenant_id}.{KIND}", build)
    contenders, incumbent = with_incumbent(spec.candidates, known)
    with track(f"retrain {tenant_id} {KIND}", unit="models", total=len(contenders) + 1) as advance:
        purchases = Purchases.of(desk.frame(LINES))
        trial = last_basket_test(purchases, contenders, k=spec.k, on_done=advance)
        values = {score.name: score.ndcg for score in trial.scores}
        verdict = judge(values, Contest(f"nDCG@{spec.k}", spec.baseline, incumbent, lower_is_better=False))
        served = ServedRecommender.of(contenders[verdict.champion], purchases)
        top = served.recommend(purchases.customers, spec.articles_per_customer)
        seconds = time.perf_counter() - started

        def entry(name: str) -> Entry:
            fitted = served if name == verdict.champion else ServedRecommender.of(contenders[name], purchases)
            rows = (
                top if name == verdict.champion else fitted.recommend(purchases.customers, spec.articles_per_customer)
            )
            named = rows.with_columns(model=pl.lit(contenders[name].name))
            return Entry(fitted.save, LOADER, describe(contenders[name]), {PUBLISHED: named})

        version = desk.record(KIND, _record(desk, trial, verdict, spec, seconds), verdict, entry).champion
        advance(1)
    champion = contenders[verdict.champion].name
    rows = top.with_columns(model=pl.lit(champion), model_version=pl.lit(str(version.version)))
    return RecommenderResult(_score(trial, verdict, version, spec, seconds), rows)


def _record(desk: Desk, trial: RecommenderTrial, verdict: Verdict, spec: RecommenderSpec, seconds: float) -> Record:
    best, baseline = trial.score(verdict.champion), trial.score(spec.baseline)
    metrics = {
        "ndcg": best.ndcg,
        "recall": best.recall,
        "baseline_ndcg": baseline.ndcg,
        "baseline_recall": baseline.recall,
        "customers": trial.customers,
        "articles_held_out": trial.articles_held_out,
        "seconds": seconds,
        **{f"ndcg.{score.name}": score.ndcg for score in trial.scores},
    }
    champion = trial.candidates[verdict.champion]
    settings = {"k": spec.k, "articles_per_customer": spec.articles_per_customer, "baseline": spec.baseline}
    plain = {**settings, **describe(champion)["params"], "champion": champion.name}
    params = {name: str(value) for name, value in plain.items()}
    scores = pl.DataFrame(trial.scores)
    labels = charts.Labels(f"{desk.session.tenant_id}: {KIND}", unit=f"nDCG@{spec.k}", locale=desk.locale)
    bars = scores.select("name", value="ndcg")
    chart = charts.backtest_chart(bars, labels, baseline=spec.baseline, lower_is_better=False)
    return Record(params, metrics, {"lastbasket": scores}, {"lastbasket.png": charts.to_png(chart, locale=desk.locale)})


def _score(
    trial: RecommenderTrial, verdict: Verdict, version: ModelVersion, spec: RecommenderSpec, seconds: float
) -> RecommenderScore:
    best, baseline = trial.score(verdict.champion), trial.score(spec.baseline)
    return RecommenderScore(
        model=trial.candidates[best.name].name,
        version=version.version,
        k=spec.k,
        ndcg=best.ndcg,
        recall=best.recall,
        baseline=baseline.name,
        baseline_ndcg=baseline.ndcg,
        baseline_recall=baseline.recall,
        customers=trial.customers,
        reason=version.reason,
        seconds=seconds,
    )
