"""Stock of the newest snapshot, by branch and article.

{ stock(branch: "367", risk: OUT) { nodes { article label stockUnits daysOfSupply } totalCount } }
"""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.connections import Listing, connection
from mercurios.api.names import article_number, branch_number, category_name

STOCK = Listing(
    name="stock",
    tables=("mart_inventory_status", "dim_articles"),
    source="marts.mart_inventory_status as stock",
    joined="left join marts.dim_articles as articles on stock.article_number = articles.article_number",
    columns="""
        cast(stock.branch as varchar) as branch, cast(stock.article_number as varchar) as article,
        articles.label as label,
        stock.category as category, stock.department as department, stock.product_type as "productType",
        stock.supplier as supplier, stock.season as season, stock.snapshot_on as "snapshotOn",
        stock.stock_units as "stockUnits", stock.on_order_units as "onOrderUnits", stock.units_91d as "units91d",
        stock.daily_units as "dailyUnits", stock.days_of_supply as "daysOfSupply",
        stock.days_since_sale as "daysSinceSale", upper(stock.stockout_risk) as risk, stock.sizes as sizes,
        stock.sizes_out as "sizesOut", coalesce(stock.is_listed, false) as "isListed",
        coalesce(stock.is_slow, false) as "isSlow", coalesce(stock.is_excess, false) as "isExcess",
        stock.is_old as "isOld", stock.turnover as turnover, cast(stock.stock_value as double) as "stockValue",
        cast(stock.excess_stock_value as double) as "excessStockValue"
    """,
    key={"stock.branch": "bigint", "stock.article_number": "bigint"},
    filters={
        "branch": "stock.branch = $branch",
        "category": "stock.category = $category",
        "article": "stock.article_number = $article",
        "risk": "stock.stockout_risk = $risk",
    },
)


def _stock(_: object, info: GraphQLResolveInfo, **arguments: Any) -> Mapping[str, Any]:
    asker: Asker = info.context
    risk = arguments.get("risk")
    given = {
        "branch": branch_number(asker.session, arguments.get("branch")),
        "category": category_name(asker.session, arguments.get("category")),
        "article": article_number(asker.session, arguments.get("article")),
        "risk": risk and risk.lower(),
    }
    return connection(asker, STOCK, arguments, given=given)


RESOLVERS: Resolvers = {"Query.stock": _stock}
