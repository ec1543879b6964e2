"""What a release tells of a merchant's shelves: articles, places, stock, open orders, units sold, open-to-buy.

    shelf = read_shelf(session, as_of, spec)
    shelf.items         # one row an item, as `propose` takes them and more
    shelf.sales         # key, sold_on, revenue (units), as `split_series` takes them

An item is an article in a branch where every branch that sells, stocks or awaits the article has sold it often enough;
else it is the article, for all branches together.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from mercurios.errors import ModelError
from mercurios.replenishment import ReplenishmentSpec
from mercurios.serving import Session

_NEWEST = "select max(as_of_on) as day from marts.mart_product_performance"
_TENANT = "select currency, time_zone from marts.dim_tenants"
_HOLIDAYS = "select day as ds, holiday as name from marts.dim_dates where holiday is not null order by day"
_ARTICLES = """
    select
        sold.article_number,
        articles.label,
        articles.category,
        articles.department,
        articles.supplier_number,
        articles.supplier,
        coalesce(sold.abc, 'C') || coalesce(sold.xyz, 'Z') as service_class,
        cast(
            coalesce(nullif(articles.purchase_price, 0), sold.cost_364d / nullif(sold.units_364d, 0)) as double
        ) as unit_cost,
        cast(sold.net_revenue_364d as double) / nullif(sold.units_364d, 0) as price,
        cast(sold.revenue_91d as double) as revenue
    from marts.mart_product_performance as sold
    inner join marts.dim_articles as articles using (article_number)
    left join marts.dim_seasons as seasons using (season_number)
    where articles.is_merchandise
        and coalesce(articles.is_active, true)
        and (coalesce(articles.is_nos, false) or coalesce(seasons.ends_on >= sold.as_of_on, true))
        and sold.last_sold_on > sold.as_of_on - 7 * $weeks
    order by sold.revenue_91d desc, sold.article_number
"""
_SOLD = """
    select article_number, branch, sold_on, sum(quantity) as units
    from marts.fct_sale_lines
    where is_merchandise and sold_on <= $until
    group by all
"""
_STOCK = """
    select article_number, branch, cast(greatest(stock_units, 0) as double) as on_hand
    from marts.mart_inventory_status
"""
_OPEN = """
    select
        article_number,
        branch,
        sum(open_units) as on_order,
        sum(open_units * greatest(expected_on - $newest, 0)) filter (where expected_on is not null) as unit_days,
        sum(open_units) filter (where expected_on is not null) as dated
    from marts.fct_purchase_orders
    where open_units > 0
    group by all
"""
_PROMISED = """
    with orders as (
        select supplier_number, order_id, avg(expected_on - ordered_on) as days
        from marts.fct_purchase_orders
        where expected_on >= ordered_on
        group by all
    )
    select supplier_number, avg(days) as lead_days_mean, coalesce(stddev_samp(days), 0) as lead_days_sd
    from orders group by all
"""
_FIRST = "select min(first_sold_on) as day from marts.dim_articles"
_OPEN_TO_BUY = (
    "select cast(sum(open_to_buy) as double) as money from marts.mart_open_to_buy where month_start <= $until"
)
_PLACE_DAYS = 91
_HISTORY_DAYS = 26 * 7
_A_YEAR = 364


@dataclass(frozen=True)
class Shelf:
    """What can be ordered. until: the last local day that is over.

    items: one row per unique_id; on_hand is null without a stock record, unit_cost and price where they are not known.
    considered: articles sold lately, of which the items are those that earn most; share: of their revenue, a fraction.
    budget: open-to-buy up to the month in which an order of today arrives, or None without a year to plan by.
    """

    items: pl.DataFrame
    sales: pl.DataFrame
    holidays: pl.DataFrame
    until: date
    currency: str
    considered: int
    share: float
    budget: float | None


def read_shelf(session: Session, as_of: datetime, spec: ReplenishmentSpec) -> Shelf:
    """Read one tenant's release; raises ModelError when `as_of` has no time zone."""
    if as_of.tzinfo is None:
        raise ModelError(f"as_of {as_of.isoformat()}: expected a moment with a time zone, e.g. datetime.now(UTC)")
    tenant = session.query(_TENANT).to_pylist()[0]
    until = as_of.astimezone(ZoneInfo(tenant["time_zone"])).date() - timedelta(days=1)
    # Stock and open-to-buy are of the last day the tills reported, which may be long ago.
    newest = min(until, _frame(session, _NEWEST)["day"].item() or until)
    considered = _frame(session, _ARTICLES, weeks=spec.selection.sold_within_weeks)
    articles = considered.head(spec.selection.articles)
    chosen = articles.select("article_number")
    sold, stock, open_orders = (
        _frame(session, sql, **given).join(chosen, on="article_number", how="semi")
        for sql, given in ((_SOLD, {"until": until}), (_STOCK, {}), (_OPEN, {"newest": newest}))
    )
    by_branch = _by_branch(sold, stock, open_orders, newest, spec.selection.branch_weeks_sold)
    sold, stock, open_orders = (_keyed(rows, by_branch) for rows in (sold, stock, open_orders))
    return Shelf(
        items=_items(articles, sold, stock, open_orders, _frame(session, _PROMISED), spec),
        sales=sold.select("sold_on", key="unique_id", revenue="units"),
        holidays=_frame(session, _HOLIDAYS),
        until=until,
        currency=tenant["currency"],
        considered=considered.height,
        share=_share(articles, considered),
        budget=_budget(session, newest, spec.stock.default_lead_days),
    )


def _frame(session: Session, sql: str, **given: object) -> pl.DataFrame:
    rows = pl.from_arrow(session.query(sql, given))
    assert isinstance(rows, pl.DataFrame)
    return rows


def _by_branch(
    sold: pl.DataFrame, stock: pl.DataFrame, open_orders: pl.DataFrame, newest: date, least: int
) -> pl.DataFrame:
    """Articles that are ordered by branch: article_number."""
    since = pl.col("sold_on") > newest - timedelta(days=_HISTORY_DAYS)
    there = sold.filter(since & (pl.col("units") > 0)).group_by("article_number", "branch")
    weeks = there.agg(weeks=pl.col("sold_on").dt.truncate("1w").n_unique())
    lately = sold.filter(pl.col("sold_on") > newest - timedelta(days=_PLACE_DAYS))
    places = pl.concat(
        rows.select("article_number", "branch") for rows in (lately, stock.filter(pl.col("on_hand") > 0), open_orders)
    ).unique()
    counted = places.join(weeks, on=["article_number", "branch"], how="left").with_columns(pl.col("weeks").fill_null(0))
    return counted.group_by("article_number").agg(pl.col("weeks").min()).filter(pl.col("weeks") >= least)


def _keyed(rows: pl.DataFrame, by_branch: pl.DataFrame) -> pl.DataFrame:
    """Rows with the unique_id of their item; branch is null where all are ordered for together."""
    apart = pl.col("article_number").is_in(by_branch["article_number"].implode())
    branch = pl.when(apart).then(pl.col("branch"))
    article = pl.col("article_number").cast(pl.String)
    return rows.with_columns(branch=branch).with_columns(
        unique_id=pl.when(apart).then(pl.format("{}/{}", article, "branch")).otherwise(article)
    )


def _items(  # noqa: PLR0913 - one frame a source
    articles: pl.DataFrame,
    sold: pl.DataFrame,
    stock: pl.DataFrame,
    open_orders: pl.DataFrame,
    promised: pl.DataFrame,
    spec: ReplenishmentSpec,
) -> pl.DataFrame:
    on_hand = stock.group_by("unique_id").agg(pl.col("on_hand").sum())
    sums = open_orders.group_by("unique_id").agg(pl.col("on_order", "unit_days", "dated").sum())
    awaited = sums.select("unique_id", "on_order", on_order_days=pl.col("unit_days") / pl.col("dated"))
    return (
        sold.select("unique_id", "article_number", "branch")
        .unique()
        .join(articles, on="article_number")
        .join(on_hand, on="unique_id", how="left")
        .join(awaited, on="unique_id", how="left")
        .join(promised, on="supplier_number", how="left")
        .with_columns(
            pl.when(pl.col("unit_cost") > 0).then(pl.col("unit_cost")),
            pl.when(pl.col("price") >= 0).then(pl.col("price")),
            pl.col("on_order").fill_null(0.0),
            pl.when(pl.col("on_order_days").is_finite()).then(pl.col("on_order_days")),
            **{name: pl.lit(float(value)) for name, value in spec.terms.model_dump().items()},
        )
        .sort("unique_id")
    )


def _share(articles: pl.DataFrame, considered: pl.DataFrame) -> float:
    whole = float(considered["revenue"].sum())
    return float(articles["revenue"].sum()) / whole if whole else 1.0


def _budget(session: Session, newest: date, lead_days: float) -> float | None:
    """Open-to-buy plans by last year: without one, there is nothing to plan by."""
    first = _frame(session, _FIRST)["day"].item()
    if first is None or newest - first < timedelta(days=_A_YEAR - 1):
        return None
    money = _frame(session, _OPEN_TO_BUY, until=newest + timedelta(days=round(lead_days)))["money"].item()
    return None if money is None else max(float(money), 0.0)
