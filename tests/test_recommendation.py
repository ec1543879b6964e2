"""Recommendation: one suite that every model inherits, known answers, the last-basket test, and what is kept."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mercurios.config import ROOT
from mercurios.errors import ConfigError, ModelError, TooFewPurchases
from mercurios.recommendation import Purchases, Recommender, RecommenderSpec, ServedRecommender, last_basket_test
from mercurios.recommendation.blends import PersonalALS, PersonalGlobalTop
from mercurios.recommendation.contract import build, describe, load_fitted, save_fitted
from mercurios.recommendation.factors import ALS, BPR
from mercurios.recommendation.frequency import GlobalTop, PersonalTop
from mercurios.recommendation.lastbasket import ndcg, recall
from mercurios.recommendation.served import _load_pyfunc

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def lines(*receipts: tuple[int, str, int, list[int]]) -> pl.DataFrame:
    """Receipts of (customer, receipt, day, articles) as lines."""
    rows = [
        {
            "customer_number": customer,
            "receipt_id": receipt,
            "article_number": article,
            "sold_at": NEW_YEAR + timedelta(days=day),
        }
        for customer, receipt, day, articles in receipts
        for article in articles
    ]
    schema = {
        "customer_number": pl.Int64,
        "receipt_id": pl.String,
        "article_number": pl.Int64,
        "sold_at": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=schema)


def two_tastes() -> Purchases:
    """Twenty customers of two kinds; each kind has five articles of its own, and everybody buys article 1."""
    random = np.random.default_rng(3)
    receipts = []
    for customer in range(1, 21):
        shelf = range(10, 15) if customer % 2 else range(20, 25)
        for visit in range(6):
            basket = sorted({1, *(int(a) for a in random.choice(shelf, 2, replace=False))})
            receipts.append((customer, f"{customer}-{visit}", visit * 7, basket))
    return Purchases.of(lines(*receipts))


class RecommenderContract:
    """What holds for every model; a subclass names the model."""

    model: Recommender

    def test_ranks_from_one_without_gaps_and_the_best_first(self) -> None:
        purchases = two_tastes()
        top = self.model.fit(purchases).top(purchases.customers, 4)
        assert top.columns == ["customer_number", "rank", "article_number", "score"]
        for _, one in top.group_by("customer_number"):
            assert one["rank"].to_list() == list(range(1, one.height + 1))
            assert one["score"].is_sorted(descending=True)
            assert one["article_number"].is_unique().all()
        assert set(top["customer_number"]) == set(purchases.customers)

    def test_puts_forward_only_what_was_ever_sold(self) -> None:
        purchases = two_tastes()
        top = self.model.fit(purchases).top(purchases.customers, 50)
        assert set(top["article_number"]) <= set(purchases.rows["article_number"])

    def test_the_same_purchases_give_the_same_ranking_in_any_order(self) -> None:
        purchases = two_tastes()
        shuffled = Purchases.of(purchases.rows.sample(fraction=1.0, shuffle=True, seed=5))
        one, two = (self.model.fit(p).top(purchases.customers, 5) for p in (purchases, shuffled))
        assert_frame_equal(one, two, check_exact=True)

    def test_top_agrees_with_score(self) -> None:
        purchases = two_tastes()
        fitted = self.model.fit(purchases)
        top = fitted.top(purchases.customers, 3)
        again = fitted.score(top.select("customer_number", "article_number"))
        assert again["score"].to_list() == pytest.approx(top["score"].to_list(), rel=1e-5)

    def test_a_longer_list_begins_with_the_shorter(self) -> None:
        purchases = two_tastes()
        fitted = self.model.fit(purchases)
        short, long = (fitted.top(purchases.customers, n) for n in (2, 5))
        assert_frame_equal(long.filter(pl.col("rank") <= 2), short, check_exact=True)

    def test_saved_and_read_back_it_ranks_the_same(self, tmp_path: Path) -> None:
        purchases = two_tastes()
        fitted = self.model.fit(purchases)
        save_fitted(fitted, tmp_path)
        again = load_fitted(tmp_path)
        assert_frame_equal(again.top(purchases.customers, 5), fitted.top(purchases.customers, 5), check_exact=True)

    def test_is_plain_data_and_back(self) -> None:
        assert build(**describe(self.model)) == self.model

    def test_a_list_of_nothing_is_an_error(self) -> None:
        purchases = two_tastes()
        with pytest.raises(ModelError, match="at least 1 article"):
            self.model.fit(purchases).top(purchases.customers, 0)


class TestGlobalTop(RecommenderContract):
    model = GlobalTop()

    def test_counts_receipts_and_not_lines(self) -> None:
        bought = lines((1, "a", 0, [5, 5, 5]), (1, "b", 1, [6]), (2, "c", 2, [6]))
        top = GlobalTop().fit(Purchases.of(bought)).top(pl.Series("customer_number", [1, 9]), 2)
        assert top["article_number"].to_list() == [6, 5, 6, 5]
        assert top["score"].to_list() == [1.0, 0.5, 1.0, 0.5]


class TestPersonalTop(RecommenderContract):
    model = PersonalTop()

    def test_is_what_the_customer_bought_most_often(self) -> None:
        bought = lines((1, "a", 0, [5, 6]), (1, "b", 1, [6]), (2, "c", 2, [7]))
        top = PersonalTop().fit(Purchases.of(bought)).top(pl.Series("customer_number", [1]), 9)
        assert top.select("article_number", "score").rows() == [(6, 2.0), (5, 1.0)]


class TestFadingPersonalTop(RecommenderContract):
    model = PersonalTop(half_life_days=10)

    def test_a_purchase_counts_half_after_its_half_life(self) -> None:
        bought = lines((1, "a", 0, [5]), (1, "b", 10, [5]), (1, "c", 20, [6]))
        top = PersonalTop(half_life_days=10).fit(Purchases.of(bought)).top(pl.Series("customer_number", [1]), 9)
        assert top.select("article_number", "score").rows() == [(6, 1.0), (5, 0.75)]


class TestPersonalGlobalTop(RecommenderContract):
    model = PersonalGlobalTop()

    def test_own_purchases_first_then_everybodys(self) -> None:
        bought = lines((1, "a", 0, [5]), (2, "b", 0, [6]), (2, "c", 1, [6]), (3, "d", 1, [6, 7]))
        top = PersonalGlobalTop().fit(Purchases.of(bought)).top(pl.Series("customer_number", [1]), 3)
        assert top["article_number"].to_list() == [5, 6, 7]


class TestALS(RecommenderContract):
    model = ALS(factors=4, iterations=10)

    def test_finds_the_shelf_of_the_customers_kind(self) -> None:
        purchases = two_tastes()
        without = Purchases(
            purchases.rows.filter(~((pl.col("customer_number") == 1) & (pl.col("article_number") == 12)))
        )
        best = ALS(factors=4, iterations=10).fit(without).top(pl.Series("customer_number", [1]), 6)
        assert set(best["article_number"]) == {1, 10, 11, 12, 13, 14}

    def test_articles_with_few_buyers_are_left_out(self) -> None:
        purchases = two_tastes()
        top = ALS(factors=2, iterations=2, min_customers=15).fit(purchases).top(purchases.customers, 9)
        assert set(top["article_number"]) == {1}
        with pytest.raises(ModelError, match="no article has 99 buyers"):
            ALS(factors=2, iterations=2, min_customers=99).fit(purchases)


class TestBPR(RecommenderContract):
    model = BPR(factors=4, iterations=20)


class TestPersonalALS(RecommenderContract):
    model = PersonalALS(half_life_days=30, weight=1.0, als=ALS(factors=4, iterations=5))


class TestLastBasket:
    def test_the_last_receipt_is_held_out_and_those_with_one_are_not_tested(self) -> None:
        bought = lines((1, "a", 0, [5]), (1, "b", 3, [6, 7]), (2, "c", 9, [8]), (3, "e", 2, [9]), (3, "d", 2, [5]))
        known, held_out = Purchases.of(bought).without_last_receipt()
        assert held_out.rows() == [(1, 6), (1, 7), (3, 9)], "of the same moment the greater receipt is the last"
        assert known.rows["article_number"].sort().to_list() == [5, 5, 8]

    def test_nothing_of_the_last_receipt_is_learnt(self) -> None:
        bought = [(1, "a", 0, [5]), (1, "b", 3, [6]), (2, "c", 0, [5]), (2, "d", 1, [5])]
        other = [*bought[:1], (1, "b", 3, [5]), *bought[2:]]
        for receipts in (bought, other):
            known, _ = Purchases.of(lines(*receipts)).without_last_receipt()
            assert known.rows["article_number"].to_list() == [5, 5]

    def test_customers_who_never_came_back_are_an_error(self) -> None:
        with pytest.raises(TooFewPurchases, match="two receipts"):
            last_basket_test(Purchases.of(lines((1, "a", 0, [5]))), {"GlobalTop": GlobalTop()})
        with pytest.raises(TooFewPurchases, match="known customers"):
            Purchases.of(lines())

    def test_scores_by_hand(self) -> None:
        top = pl.DataFrame({"customer_number": [1, 1, 1, 2], "rank": [1, 2, 3, 1], "article_number": [5, 6, 7, 9]})
        relevant = pl.DataFrame({"customer_number": [1, 1, 2], "article_number": [6, 8, 4]})
        ideal = 1 / np.log2(2) + 1 / np.log2(3)
        assert ndcg(top, relevant, k=3) == pytest.approx((1 / np.log2(3) / ideal + 0) / 2)
        assert recall(top, relevant) == pytest.approx((1 / 2 + 0) / 2)

    def test_the_ideal_is_truncated(self) -> None:
        top = pl.DataFrame({"customer_number": [1, 1], "rank": [1, 2], "article_number": [5, 6]})
        relevant = pl.DataFrame({"customer_number": [1] * 4, "article_number": [5, 6, 7, 8]})
        assert ndcg(top, relevant, k=2) == pytest.approx(1.0)
        assert recall(top, relevant) == pytest.approx(0.5)

    @given(
        st.lists(st.integers(1, 30), min_size=1, max_size=10, unique=True),
        st.lists(st.integers(1, 30), min_size=1, max_size=10, unique=True),
    )
    def test_scores_are_fractions_and_a_hit_moved_up_is_worth_more(self, shown: list[int], wanted: list[int]) -> None:
        relevant = pl.DataFrame({"customer_number": [1] * len(wanted), "article_number": wanted})

        def value(articles: list[int]) -> float:
            ranks = list(range(1, len(articles) + 1))
            ones = [1] * len(articles)
            top = pl.DataFrame({"customer_number": ones, "rank": ranks, "article_number": articles})
            assert 0 <= recall(top, relevant) <= 1
            return ndcg(top, relevant, k=10)

        best_first = sorted(shown, key=lambda article: article not in wanted)
        assert 0 <= value(shown) <= value(best_first) <= 1 + 1e-12

    def test_the_best_wins_and_reports_how_many_were_tested(self) -> None:
        candidates = {"GlobalTop": GlobalTop(), "PersonalTop": PersonalTop()}
        trial = last_basket_test(two_tastes(), candidates, k=3)
        assert trial.customers == 20
        assert trial.best().name == "PersonalTop"
        assert trial.score("PersonalTop").ndcg > trial.score("GlobalTop").ndcg
        with pytest.raises(ModelError, match="'ALS' was not tested"):
            trial.score("ALS")


class TestServed:
    def test_reasons_tell_what_was_bought_and_what_only_fits(self) -> None:
        purchases = Purchases.of(lines((1, "a", 0, [5]), (1, "b", 1, [5]), (1, "c", 2, [6]), (2, "d", 0, [5, 7])))
        served = ServedRecommender.of(PersonalGlobalTop(), purchases)
        rows = served.recommend(pl.Series("customer_number", [1]), 3)
        assert rows.select("article_number", "reason").rows() == [
            (5, "bought 2 times"),
            (6, "bought once"),
            (7, "bought by many customers"),
        ]
        near = ServedRecommender.of(
            PersonalALS(half_life_days=9, weight=1, als=ALS(factors=2, iterations=3)), purchases
        )
        assert (
            "bought by customers like this one"
            in near.recommend(pl.Series("customer_number", [1]), 3)["reason"].to_list()
        )

    def test_strangers_get_nothing(self) -> None:
        served = ServedRecommender.of(GlobalTop(), two_tastes())
        assert served.recommend(pl.Series("customer_number", [999]), 3).is_empty()

    def test_read_back_it_recommends_the_same(self, tmp_path: Path) -> None:
        purchases = two_tastes()
        served = ServedRecommender.of(
            PersonalALS(half_life_days=30, weight=1, als=ALS(factors=3, iterations=3)), purchases
        )
        served.save(tmp_path)
        asked = pl.DataFrame({"customer_number": [1, 2], "limit": [4, 4]}).to_pandas()
        again = pl.from_pandas(_load_pyfunc(str(tmp_path)).predict(asked))
        assert_frame_equal(again, served.recommend(pl.Series("customer_number", [1, 2]), 4), check_exact=True)
        with pytest.raises(ModelError, match="column `customer_number`"):
            _load_pyfunc(str(tmp_path)).predict(asked.rename(columns={"customer_number": "customer"}))

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no bought\.parquet"):
            ServedRecommender.load(tmp_path)
        with pytest.raises(ModelError, match=r"no state\.json"):
            load_fitted(tmp_path)


class TestSpec:
    def test_the_shipped_one_holds_the_frequencies_and_a_factor_model(self) -> None:
        spec = RecommenderSpec.parse((ROOT / "models" / "recommender.yaml").read_text())
        assert {"GlobalTop", "PersonalTop", "PersonalGlobalTop", "ALS"} <= set(spec.candidates)
        assert spec.articles_per_customer == 20

    @pytest.mark.parametrize(
        ("candidates", "complaint"),
        [
            ("{Magic: {}}", "unknown recommender 'Magic'"),
            ("{ALS: {factors: 0, iterations: 1}}", "recommender ALS"),
            ("{PersonalTop: {}}", "the baseline must be among the candidates"),
            ("[", "the recommender specification is wrong"),
        ],
    )
    def test_what_is_wrong_is_named(self, candidates: str, complaint: str) -> None:
        text = f"k: 10\narticles_per_customer: 20\nbaseline: GlobalTop\ncandidates: {candidates}\n"
        with pytest.raises(ConfigError, match=complaint):
            RecommenderSpec.parse(text)
