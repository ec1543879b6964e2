"""Every public metric against a value reckoned by hand from `tests/retailer.py`, and what time means to it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mercurios.answers.lexicon import load_lexicon
from mercurios.config import ROOT
from mercurios.errors import InvalidMetricQuery, UnknownDimension
from mercurios.metrics import GRAINS, Filter, Metric, MetricQuery, SemanticLayer, run
from mercurios.metrics.document import document
from mercurios.retrieval import load_glossary
from mercurios.retrieval.wording import skeletons
from mercurios.serving import Session
from mercurios.tables import TABLES
from mercurios.transformation import PARSE, run_dbt, semantic_manifest, target_for
from tests.retailer import AS_OF, RETAILERS, session_of

NOVEMBER = {"start": date(2025, 11, 1), "end": date(2025, 11, 30)}
BY_MONTH = NOVEMBER | {"grain": "MONTH"}
WEEK_46 = {"start": date(2025, 11, 10), "end": date(2025, 11, 16), "grain": "WEEK"}
LAST_DAY = {"start": AS_OF, "end": AS_OF, "grain": "DAY"}
NOW: dict[str, Any] = {}

# metric: how it is asked, and what north and south have
VALUES: Mapping[str, tuple[Mapping[str, Any], float, float]] = {
    "revenue": (NOVEMBER, 202.3, 30.0),  # 238 + 59.50 - 119 + 23.80
    "net_revenue": (NOVEMBER, 170.0, 30.0),  # 200 + 50 - 100 + 20
    "units": (NOVEMBER, 2.0, 3.0),  # 2 + 1 - 1, fuel left out
    "receipts": (NOVEMBER, 3, 1),  # r5, r6, r7
    "average_receipt": (NOVEMBER, 202.3 / 3, 30.0),
    "discount_rate": (NOVEMBER, 30.5 / 149.5, 0.25),  # label 299 - 149.50, paid for it 238 - 119; south 10 of 40
    "gross_profit": (NOVEMBER, 82.0, 18.0),  # 170 - (100 + 20 - 50 + 18); south 30 - 12
    "gross_margin": (NOVEMBER, 82 / 170, 0.6),
    "active_customers": (NOVEMBER, 2, 1),  # 7 and 8
    "stock_value": (NOVEMBER, 230.0, 36.0),  # 200 + 40 - 10 on the 30th; the 28th and December do not count
    "return_rate": (NOVEMBER, 1 / 3, 0.0),  # one jacket back, two jackets and one pair of trousers sold
    "units_per_receipt": (NOVEMBER, 3.0, 3.0),  # r5 alone: r6 is a return, r7 fuel
    "markup": (NOVEMBER, 2.99, 40 / 12),  # (299 - 149.50) ÷ (100 - 50); the trousers have no label
    "entry_margin": (NOVEMBER, 1 - 50 / (149.5 / 1.19), 0.7),  # label net 149.50 ÷ 1.19; south (40 - 12) ÷ 40
    "stock_units": (NOVEMBER, 5.0, 9.0),  # 4 + 2 - 1
    "sell_through": (
        NOVEMBER,
        0.25,
        0.25,
    ),  # 2 ÷ (2 + 4 + 2), the scarf booked below nothing as none; south 3 ÷ (3 + 9)
    # average stock: 250 + 5000 + 50 + the unsold scarves' 120 = 5420; below nothing is not in it. South sold 100 of 250
    # in 73 days, five times that in a year.
    "stock_turnover": (NOW, 1800 / 5420, 2.0),
    "days_in_stock": (NOW, 365 * 5420 / 1800, 182.5),
    "days_of_supply": (NOW, 85.6, 18.0),  # 4 + 200 + 10 ÷ (1 + 1 + 0.5), the -2 as none; south 9 ÷ 0.5
    "weeks_of_supply": (NOW, 85.6 / 7, 18 / 7),
    "gmroi": (NOW, 1620 / 5420, 0.5),  # (600 + 720 + 300) ÷ 5420; south 25 × 5 ÷ 250
    "out_of_stock_rate": (NOW, 0.25, 0.0),  # 1 of 4 listed
    "size_gap_rate": (NOW, 0.5, 0.0),  # 2 of 4 listed
    "aged_stock_share": (NOW, 100 / 4260, 0.0),  # 200 + 4000 + 100 - 40
    "articles_at_risk": (NOW, 2, 0),  # one critical, one out
    "excess_stock_value": (NOW, 400.0, 0.0),
    "wssi_opening_stock": (NOVEMBER, 360.0, 40.0),  # 300 + 60 in the week of the 17th
    "wssi_intake": (NOVEMBER, 170.0, 8.0),  # 100 + 50 + 20 + 0
    "wssi_sales": (NOVEMBER, 290.0, 12.0),  # 150 + 100 + 20 + 20
    "wssi_closing_stock": (NOVEMBER, 240.0, 36.0),  # 200 + 40 in the week of the 24th, = 360 + 170 - 290
    "revenue_month_to_date": (NOVEMBER, 202.3, 30.0),
    "revenue_year_to_date": (NOVEMBER, 321.3, 50.0),  # 119 in October; south 20
    "revenue_28_days": ({"end": date(2025, 12, 8)}, 202.3, 30.0),  # 11 November to 8 December
    "revenue_last_year": (BY_MONTH, 238.0, 10.0),
    "revenue_growth_month": (BY_MONTH, 0.7, 0.5),  # 202.30 ÷ 119 - 1; south 30 ÷ 20 - 1
    "revenue_growth_year": (BY_MONTH, -0.15, 2.0),  # 202.30 ÷ 238 - 1; south 30 ÷ 10 - 1
    "revenue_growth_52_weeks": (WEEK_46, 0.25, 2.0),  # 297.50 ÷ 238 - 1, the week of 11 November 2024
    "revenue_year_to_date_growth": (LAST_DAY, 0.4, 4.0),  # 499.80 ÷ 357 - 1: 11 December 2024 is out; south 50 ÷ 10 - 1
    "like_for_like": (NOVEMBER, 0.25, 2.0),  # 297.50 ÷ 238 - 1
    "comparable_revenue": (NOVEMBER, 297.5, 30.0),
    "comparable_revenue_last_year": (NOVEMBER, 238.0, 10.0),
    "articles": (NOW, 3, 1),
    "article_revenue": (NOW, 2800.0, 50.0),
    "daily_units": (NOW, 2.5, 0.5),
    "segment_customers": (NOW, 3, 1),
    "segment_revenue": (NOW, 650.25, 30.0),
    "open_to_buy": (NOW, 870.5, 5.0),  # 1000 - 200 + 70.50
    "planned_sales": (NOW, 940.0, 10.0),
    "on_order_value": (NOW, 200.0, 15.0),
    "fill_rate": (NOW, 0.8, 0.25),  # 32 of 40
    "overdue_units": (NOW, 2.0, 3.0),
}


@dataclass(frozen=True)
class Metrics:
    """A layer and the sessions of two retailers."""

    manifest: str
    layer: SemanticLayer
    sessions: Mapping[str, Session]

    def rows(self, *names: str, tenant: str = "north", **query: Any) -> list[list[object]]:
        """Rows of one metric query, as lists."""
        return [list(row) for row in run(self.layer, self.sessions[tenant], MetricQuery(names, **query)).rows]

    def catalog(self) -> dict[str, Metric]:
        """Public metrics by name."""
        return {metric.name: metric for metric in self.layer.catalog()}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    folder: Path = tmp_path_factory.mktemp("values")
    run_dbt(ROOT / "dbt", target_for(f"duckdb:///{folder}/none.duckdb"), folder, command=PARSE)
    manifest = semantic_manifest(folder)
    sessions = {tenant: session_of(tenant) for tenant in RETAILERS}
    return Metrics(manifest, SemanticLayer.parse(manifest), sessions)


def test_every_metric_has_a_value_here(metrics: Metrics) -> None:
    assert sorted(VALUES) == sorted(metrics.catalog())


@pytest.mark.parametrize("name", VALUES)
def test_a_metric_is_what_was_reckoned_by_hand(metrics: Metrics, name: str) -> None:
    query, *values = VALUES[name]
    for tenant, expected in zip(("north", "south"), values, strict=True):
        [[*_, found]] = metrics.rows(name, tenant=tenant, **query)
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", VALUES)
def test_a_metric_can_be_asked_by_all_it_says_and_reads_published_tables(metrics: Metrics, name: str) -> None:
    metric = metrics.catalog()[name]
    for grain in metric.grains or (None,):
        query = MetricQuery((name,), metric.dimensions, grain)
        compiled = metrics.layer.compile(query)
        read = set(re.findall(r"(?:from|join)\s+([\w\"]+\.[\w\".]+)", compiled.sql, re.IGNORECASE))
        assert read
        assert read <= {f"marts.{table}" for table in TABLES}
        found = metrics.sessions["north"].query(compiled.sql, compiled.parameters)
        assert found.column_names == list(query.columns)


@pytest.mark.parametrize("name", VALUES)
def test_a_filter_holds_for_all_parts_of_a_metric(metrics: Metrics, name: str) -> None:
    """What is filtered for a value is what stands beside that value in a grouping."""
    metric, (query, *_) = metrics.catalog()[name], VALUES[name]
    for dimension in metric.dimensions:
        for *_, value, figure in metrics.rows(name, group_by=(dimension,), **query):
            if value is not None:
                [[*_, filtered]] = metrics.rows(name, where=(Filter(dimension, "EQ", (value,)),), **query)  # type: ignore[arg-type]
                expected = None if figure is None else pytest.approx(figure, rel=1e-9)
                assert filtered == expected, (dimension, value)


def test_each_metric_says_what_it_is_in_two_languages(metrics: Metrics) -> None:
    for metric in metrics.catalog().values():
        assert metric.unit in {"currency", "count", "fraction", "units", "days", "weeks", "ratio"}
        for texts in (metric.label, metric.description, metric.formula, metric.caution, metric.synonyms):
            assert set(texts) == {"en", "de"}
            assert all(texts.values()), metric.name
        for language in ("en", "de"):
            assert metric.description[language].endswith(".")
            assert metric.caution[language].endswith(".")


def test_no_name_means_two_metrics(metrics: Metrics) -> None:
    """Neither of the definitions, nor of them and the glossary or the lexicon; what asks back is no name."""
    meant: dict[tuple[str, ...], set[str]] = {}
    for metric in metrics.catalog().values():
        for name in (*metric.label.values(), *metric.synonyms["en"], *metric.synonyms["de"]):
            meant.setdefault(skeletons(name), set()).add(metric.name)
    for language in ("de", "en"):
        for words, meaning in load_lexicon().phrases[language].items():
            if meaning.role == "metric":
                meant.setdefault(words, set()).add(meaning.value)
    assert {words: names for words, names in meant.items() if len(names) > 1} == {}


def test_every_term_of_the_glossary_leads_to_a_metric_there_is(metrics: Metrics) -> None:
    assert {term.metric for term in load_glossary().values() if term.metric} <= set(metrics.catalog())


def test_the_document_says_what_the_definitions_say(metrics: Metrics) -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == document(json.loads(metrics.manifest)), "run `make docs`"
    for metric in metrics.catalog().values():
        for texts in (metric.label, metric.description, metric.formula, metric.caution):
            assert texts["en"] in written
            assert texts["de"] in written


def test_metrics_have_the_dimensions_all_their_parts_share(metrics: Metrics) -> None:
    found = {name: metric.dimensions for name, metric in metrics.catalog().items()}
    places = ("branch", "category", "department", "product_type", "supplier", "season")
    assert found["revenue"] == (*places, "staff")
    assert found["sell_through"] == places
    assert found["days_of_supply"] == (*places, "stockout_risk")
    assert found["articles"] == (*places[1:], "abc", "xyz", "velocity")
    assert found["gmroi"] == (*places, "stockout_risk")
    assert found["revenue_year_to_date_growth"] == ("branch",)
    assert found["like_for_like"] == ("branch",)
    assert found["segment_customers"] == ("segment",)


def test_metrics_know_what_time_means_to_them(metrics: Metrics) -> None:
    found = {name: (metric.time, metric.grains) for name, metric in metrics.catalog().items()}
    assert found["revenue"] == ("flow", GRAINS)
    assert found["stock_value"] == ("level", GRAINS)
    assert found["sell_through"] == ("balance", GRAINS)
    assert found["stock_turnover"] == ("as_of", ())
    assert found["open_to_buy"] == ("plan", ("MONTH", "QUARTER", "YEAR"))
    assert found["wssi_closing_stock"] == ("flow", GRAINS[1:])
    assert found["revenue_28_days"] == ("running", GRAINS)
    assert found["revenue_month_to_date"] == ("running", GRAINS[:3])
    assert found["revenue_growth_year"] == ("comparison", ("MONTH", "QUARTER", "YEAR"))
    assert found["revenue_year_to_date_growth"] == ("comparison", ("DAY",))


# classes


def test_classes_slice_articles_and_customers(metrics: Metrics) -> None:
    assert metrics.rows("articles", "article_revenue", group_by=("abc",)) == [
        ["A", 1, 2000],
        ["B", 1, 800],
        ["C", 1, 0],
    ]
    assert metrics.rows("articles", group_by=("abc", "xyz")) == [["A", "X", 1], ["B", "Y", 1], ["C", None, 1]]
    assert metrics.rows("articles", group_by=("velocity",)) == [["medium", 2], ["very slow", 1]]
    assert metrics.rows("segment_customers", "segment_revenue", group_by=("segment",)) == [
        ["Champions", 2, 600.0],
        ["Hibernating", 1, 50.25],
    ]
    assert metrics.rows("days_of_supply", group_by=("stockout_risk",)) == [
        ["critical", 4.0],
        ["none", 210.0],
        ["out", 0.0],
    ]
    with pytest.raises(UnknownDimension, match="articles has no dimension 'segment'"):
        metrics.rows("articles", group_by=("segment",))


# comparisons: the step before lies before the period, and is whole


def test_the_steps_a_comparison_looks_back_at_lie_before_the_period(metrics: Metrics) -> None:
    names = ("revenue", "revenue_last_year", "revenue_growth_year", "revenue_growth_month")
    [[_, *november]] = metrics.rows(*names, **BY_MONTH)
    assert november == pytest.approx([202.3, 238.0, -0.15, 0.7])
    quarter = {"start": date(2025, 7, 1), "end": date(2025, 9, 30)}
    assert metrics.rows("revenue_growth_year", grain="QUARTER", **quarter) == []
    # The third quarter has no sales at all; the second last week of October neither, but its year before has.
    week = {"start": date(2025, 10, 6), "end": date(2025, 10, 19)}
    assert metrics.rows("revenue_growth_52_weeks", grain="WEEK", **week) == [["2025-10-13", 0.0]]


def test_a_comparison_sees_only_what_is_filtered_in_both_steps(metrics: Metrics) -> None:
    trousers = (Filter("category", "EQ", ("HOSEN",)),)
    assert metrics.rows("revenue_growth_year", where=trousers, **BY_MONTH) == [["2025-11-01", None]]  # none last year
    by_category = metrics.rows("revenue_growth_year", group_by=("category",), **BY_MONTH)
    assert by_category == [
        ["2025-11-01", "HOSEN", None],
        ["2025-11-01", "JACKEN", -0.5],  # 119 ÷ 238 - 1
        ["2025-11-01", "KRAFTSTOFF", None],
    ]


def test_what_is_gone_has_lost_everything(metrics: Metrics) -> None:
    november = {"start": date(2024, 12, 1), "end": date(2024, 12, 31)}
    rows = metrics.rows("revenue_growth_month", group_by=("category",), grain="MONTH", **november)
    assert rows == [["2024-12-01", "HOSEN", None], ["2024-12-01", "JACKEN", -1.0]]


def test_a_step_that_is_not_over_is_not_compared_and_the_future_has_no_rows(metrics: Metrics) -> None:
    rows = metrics.rows("revenue", "revenue_growth_year", grain="MONTH", start=date(2025, 10, 1))
    assert rows == [
        ["2025-10-01", 119.0, 0.0],
        ["2025-11-01", 202.3, pytest.approx(-0.15)],
        ["2025-12-01", 178.5, None],
    ]
    weeks = metrics.rows("revenue_growth_52_weeks", grain="WEEK", start=date(2025, 12, 8))
    assert weeks == [["2025-12-08", None]]  # 10 December is a Wednesday
    days = metrics.rows("revenue_growth_52_weeks", grain="DAY", start=date(2025, 12, 8))
    assert days == [["2025-12-10", 2.0]]  # 178.50 beside 59.50 on 11 December 2024, a Wednesday as well


@pytest.mark.parametrize(
    "query",
    [
        {},
        NOVEMBER,
        {"grain": "DAY"},
        {"grain": "MONTH", "start": date(2025, 11, 2)},
        {"grain": "MONTH", "end": date(2025, 11, 29)},
        {"grain": "QUARTER", "start": date(2025, 11, 1)},
        {"grain": "YEAR", "start": date(2025, 10, 1)},
    ],
)
def test_a_comparison_needs_whole_steps_of_its_grains(metrics: Metrics, query: dict[str, Any]) -> None:
    with pytest.raises(InvalidMetricQuery, match="revenue_growth_year"):
        metrics.rows("revenue_growth_year", **query)


def test_a_period_may_end_with_the_last_day_of_the_calendar(metrics: Metrics) -> None:
    assert metrics.rows("revenue_growth_year", grain="MONTH", start=date(2025, 11, 1), end=date.max)


def test_seven_euros_become_nineteen_ninety_five(metrics: Metrics) -> None:
    """A factor of 2.85 gross and a margin of 58.2 % net of 19 % VAT, whatever is knocked off the label afterwards."""
    bought = {"sale_line_id": "a", "receipt_id": "a", "sold_on": date(2025, 11, 11), "quantity": 1, "cost_amount": 7}
    sold = {"label_amount": 19.95, "gross_amount": 15.96, "labelled_gross_amount": 15.96, "net_amount": 13.4118}
    few = {"few": RETAILERS["north"] | {"fct_sale_lines": [bought | sold]}}
    query = MetricQuery(("markup", "entry_margin", "gross_margin", "discount_rate"), **NOVEMBER)
    [figures] = run(metrics.layer, session_of("few", few), query).rows
    assert figures == pytest.approx((2.85, 0.582, 1 - 7 / 13.4118, 0.2), abs=5e-4)


def test_a_growth_from_less_than_nothing_is_none(metrics: Metrics) -> None:
    """More came back in October 2024 and a year later than was sold: 50 after -100 is no growth of -150 %."""
    days = {"2024-10-10": -100, "2025-10-10": -100, "2025-11-11": 50}
    lines = [
        {"sale_line_id": day, "receipt_id": day, "sold_on": date.fromisoformat(day), "gross_amount": gross}
        for day, gross in days.items()
    ]
    branch_days = [
        {"sold_on": date.fromisoformat(day), "branch": 1, "revenue": gross, "comparable_revenue": gross}
        | {"comparable_revenue_last_year": -100}
        for day, gross in days.items()
    ]
    tables = {"fct_sale_lines": lines, "mart_branch_performance": branch_days}
    session = session_of("few", {"few": RETAILERS["north"] | tables})

    def growth(name: str, **query: Any) -> object:
        [[*_, figure]] = run(metrics.layer, session, MetricQuery((name,), **query)).rows
        return figure

    assert growth("revenue_growth_month", **BY_MONTH) is None
    october = {"start": date(2025, 10, 1), "end": date(2025, 10, 31), "grain": "MONTH"}
    assert growth("revenue_growth_year", **october) is None
    on_the_day = {"start": date(2025, 10, 9), "end": date(2025, 10, 9), "grain": "DAY"}  # 364 days after
    assert growth("revenue_growth_52_weeks", **on_the_day) is None
    assert growth("revenue_year_to_date_growth", start=AS_OF, end=AS_OF, grain="DAY") is None
    assert growth("like_for_like", **NOVEMBER) is None


def test_a_sell_through_of_more_returns_than_goods_is_none(metrics: Metrics) -> None:
    back = {"sale_line_id": "a", "receipt_id": "a", "sold_on": date(2025, 11, 11), "quantity": -8, "is_return": True}
    few = {"few": RETAILERS["north"] | {"fct_sale_lines": [back | {"is_merchandise": True, "gross_amount": -8}]}}
    november = MetricQuery(("units", "sell_through"), **NOVEMBER)
    assert run(metrics.layer, session_of("few", few), november).rows == ((-8.0, None),)


def test_months_of_any_length_are_compared_whole(metrics: Metrics) -> None:
    """March beside all of February once, though the 29th to the 31st have no day there."""
    sales = [(date(2025, 2, 1), 10), (date(2025, 2, 28), 100), (date(2025, 3, 3), 5), (date(2025, 3, 31), 50)]
    lines = [
        {"sale_line_id": str(at), "receipt_id": str(at), "sold_on": on, "gross_amount": gross}
        for at, (on, gross) in enumerate(sales)
    ]
    few = {"few": RETAILERS["north"] | {"fct_sale_lines": lines}}
    march = MetricQuery(("revenue_growth_month",), grain="MONTH", start=date(2025, 3, 1), end=date(2025, 3, 31))
    assert run(metrics.layer, session_of("few", few), march).rows == (("2025-03-01", -0.5),)  # 55 ÷ 110 - 1


# windows that run


def test_a_window_reaches_back_before_the_period_and_shows_its_last_day(metrics: Metrics) -> None:
    end = {"start": date(2025, 11, 28), "end": date(2025, 11, 30)}
    windows = ("revenue_month_to_date", "revenue_year_to_date", "revenue_28_days")
    assert metrics.rows(*windows, **end) == [[202.3, 321.3, 202.3]]
    assert metrics.rows(*windows, grain="DAY", **end) == [
        ["2025-11-28", 202.3, 321.3, 202.3],
        ["2025-11-29", 202.3, 321.3, 202.3],
        ["2025-11-30", 202.3, 321.3, 202.3],
    ]
    assert metrics.rows("revenue_28_days", grain="MONTH", start=date(2025, 11, 1)) == [
        ["2025-11-01", 202.3],
        ["2025-12-01", pytest.approx(83.3)],  # on the last day on record, not on the 31st: -119 + 23.80 + 178.50
    ]
    assert metrics.rows("revenue_year_to_date", grain="YEAR") == [["2024-01-01", 416.5], ["2025-01-01", 499.8]]


def test_without_a_step_a_window_ends_with_the_period_or_with_the_data(metrics: Metrics) -> None:
    assert metrics.rows("revenue_month_to_date") == [[178.5]]
    assert metrics.rows("revenue_month_to_date", end=date(2026, 5, 5)) == [[178.5]]
    assert metrics.rows("revenue_month_to_date", end=AS_OF - timedelta(days=1)) == [[None]]
    assert metrics.rows("revenue_month_to_date", start=date(2026, 1, 1)) == [[None]]
    assert metrics.rows("revenue_28_days", end=date(2025, 12, 9)) == [[pytest.approx(-95.2)]]  # from 12 November
    assert metrics.rows("revenue_28_days", group_by=("branch",)) == [[2, pytest.approx(83.3)]]
    assert metrics.rows("revenue_28_days", group_by=("branch",), end=date(2025, 11, 30), limit=1) == [[1, 297.5]]
    with pytest.raises(InvalidMetricQuery, match="beside other metrics it needs a grain"):
        metrics.rows("revenue", "revenue_28_days")
    assert metrics.rows("revenue", "revenue_28_days", grain="DAY", start=AS_OF) == [["2025-12-10", 178.5, 83.3]]


def test_a_window_is_not_asked_by_steps_longer_than_itself(metrics: Metrics) -> None:
    with pytest.raises(InvalidMetricQuery, match="not known by QUARTER; ask by DAY or WEEK or MONTH"):
        metrics.rows("revenue_month_to_date", grain="QUARTER")


# states


def test_the_newest_state_has_no_steps_and_no_other_day(metrics: Metrics) -> None:
    with pytest.raises(InvalidMetricQuery, match="newest day only"):
        metrics.rows("stock_turnover", grain="MONTH")
    assert metrics.rows("articles_at_risk", start=AS_OF, end=AS_OF) == [[2]]
    assert metrics.rows("articles_at_risk", "revenue", **NOVEMBER) == [[None, 202.3]]


def test_sell_through_needs_a_snapshot_in_the_period(metrics: Metrics) -> None:
    october = {"start": date(2025, 10, 1), "end": date(2025, 10, 31)}
    assert metrics.rows("sell_through", **october) == [[None]]
    assert metrics.rows("sell_through", group_by=("season",), **NOVEMBER) == [
        ["S24", pytest.approx(1 / 3)],  # one sold, two left
        ["W25", 0.2],  # 2 - 1 sold, 4 left
    ]


def test_weeks_open_with_the_first_and_close_with_the_last(metrics: Metrics) -> None:
    names = ("wssi_opening_stock", "wssi_intake", "wssi_sales", "wssi_closing_stock")
    assert metrics.rows(*names, grain="WEEK") == [
        ["2025-11-17", 360.0, 120.0, 170.0, 310.0],
        ["2025-11-24", 310.0, 50.0, 120.0, 240.0],
        ["2025-12-01", 40.0, 5.0, 15.0, 30.0],
    ]
    assert metrics.rows(*names, grain="MONTH", **NOVEMBER) == [["2025-11-01", 360.0, 170.0, 290.0, 240.0]]
    with pytest.raises(InvalidMetricQuery, match="not known by DAY"):
        metrics.rows("wssi_sales", grain="DAY")


def test_the_plan_lies_ahead(metrics: Metrics) -> None:
    assert metrics.rows("open_to_buy", grain="MONTH") == [["2025-12-01", 1070.5], ["2026-01-01", -200.0]]
    assert metrics.rows("open_to_buy", start=date(2026, 1, 1), group_by=("category",)) == [["JACKEN", -200.0]]
