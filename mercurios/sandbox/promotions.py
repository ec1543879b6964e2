"""Promotions of the Complete Journey as plans: which share of a category is on a mailer or a display, week by week.

promotions("north", plan, sale, products)["kind"].unique()

The data says it per article and store, in 20.9 million rows. A category and week is the grain that weekly forecasts
read, and about 1 % of a merchant's records.
"""

from datetime import date, datetime

import numpy as np
import polars as pl

from mercurios.sandbox.identity import uuids

RULE = (
    "one row for each category, week and kind (mailer, which is its inner pages, front_page, display). share is the "
    "part of the category's stores and articles that takes part; articles weigh by what they sold 17 to 5 weeks "
    "before. The eight weeks after the data are planned as the same weeks of 2017 were, 52 weeks before. discount is "
    "left out: the data has it of sales alone."
)
_WEEK_TWO = date(2017, 1, 2)  # when the second week of the data begins
_PLANNED = range(2, 10)  # weeks that stand again 52 weeks later
_FRONT_PAGES = ["D", "F", "H", "L"]
_LEAST = 0.005
_MADE = datetime(2017, 1, 1)


def promotions(merchant: str, plan: pl.LazyFrame, sale: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """Planned promotions of one merchant in the API's fields, by category, week and kind.

    plan: rows of the package's promotions. sale: the merchant's lines in the API's fields. products: as
    `masters.products` makes them.
    """
    counted = _by_article(plan).collect()
    usual = _usual(sale, products)
    kinds = ("mailer", "front_page", "display")
    shares = (
        counted.lazy()
        .join(usual, on=["article", "week"])
        .group_by("category", "week")
        .agg(pl.col(kind).dot("usual") for kind in kinds)
        .join(usual.group_by("category", "week").agg(pl.col("usual").sum()), on=["category", "week"])
        .unpivot(kinds, index=["category", "week", "usual"], variable_name="kind")
        .with_columns(share=(pl.col("value") / pl.col("usual")).clip(0, 1).round(3))
        .filter(pl.col("share") >= _LEAST)
        .sort("category", "week", "kind")
    )
    rows = shares.select(
        "kind",
        "share",
        categoryNumber="category",
        firstDay="week",
        lastDay=pl.col("week") + pl.duration(days=6),
        lastChange=pl.lit(_MADE),
    ).collect()
    return rows.with_columns(uuids(f"{merchant}/promotion", np.arange(rows.height, dtype=np.uint64)))


def _by_article(plan: pl.LazyFrame) -> pl.LazyFrame:
    """The share of the stores that have an article on each kind: article, week (its Monday), one column a kind."""
    mailer, display = pl.col("mailer_location"), pl.col("display_location")
    first = mailer.is_in(_FRONT_PAGES)
    kinds = {"mailer": (mailer != "0") & ~first, "front_page": first, "display": display != "0"}
    stores = pl.col("store_id").n_unique()
    counted = plan.group_by("product_id", "week").agg(
        pl.col("store_id").filter(on).n_unique().alias(kind) for kind, on in kinds.items()
    )
    shared = counted.join(plan.select(stores=stores), how="cross").with_columns(pl.col(*kinds) / pl.col("stores"))
    again = shared.filter(pl.col("week").is_in(_PLANNED)).with_columns(pl.col("week") + 52)
    monday = pl.lit(_WEEK_TWO) + pl.duration(weeks=pl.col("week") - 2)
    return pl.concat([shared, again]).select(*kinds, article="product_id", week=monday)


def _usual(sale: pl.DataFrame, products: pl.DataFrame) -> pl.LazyFrame:
    """What each article sold 17 to 5 weeks before a week: article, category, week, usual."""
    category = products.lazy().select(article=pl.col("product_id").cast(pl.Int64), category="number")
    weekly = (
        sale.lazy()
        .group_by(article=pl.col("articleNumber").cast(pl.Int64), week=pl.col("date").cast(pl.Date).dt.truncate("1w"))
        .agg(usual=pl.col("salePrice").sum())
    )
    later = weekly.with_columns(ahead=pl.int_ranges(5, 18)).explode("ahead")
    return (
        later.with_columns(week=pl.col("week") + pl.duration(weeks="ahead"))
        .group_by("article", "week")
        .agg(pl.col("usual").sum())
        .filter(pl.col("usual") > 0)
        .join(category, on="article")
    )
