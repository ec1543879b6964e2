"""What the merchant keeps records of: branches, categories, articles, suppliers; with the figures of the release.

{ articles(category: "COFFEE") { nodes { number label figures { revenue364d abc } } } }
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.connections import Listing, connection
from mercurios.api.names import category_name
from mercurios.jobs.delay import find_supplier

BRANCHES = Listing(
    name="branches",
    tables=("dim_branches",),
    source="marts.dim_branches as branches",
    columns="""
        cast(branch as varchar) as number, coalesce(name, cast(branch as varchar)) as name, country,
        coalesce(is_active, true) as "isActive", coalesce(is_webshop, false) as "isWebshop",
        first_sold_on as "firstSoldOn", last_sold_on as "lastSoldOn"
    """,
    key={"branches.branch": "bigint"},
)
CATEGORIES = Listing(
    name="categories",
    tables=("dim_categories",),
    source="marts.dim_categories as categories",
    columns="""
        cast(category_number as varchar) as number, coalesce(name, cast(category_number as varchar)) as name,
        department, path, depth, cast(parent_number as varchar) as parent,
        coalesce(is_service, false) as "isService", vat_rate as "vatRate"
    """,
    key={"categories.category_number": "bigint"},
)
ARTICLES = Listing(
    name="articles",
    tables=("dim_articles", "mart_product_performance"),
    source="marts.dim_articles as articles",
    joined="left join marts.mart_product_performance as figures on articles.article_number = figures.article_number",
    columns="""
        cast(articles.article_number as varchar) as number, articles.label as label, articles.category as category,
        articles.department as department, articles.product_type as "productType", articles.brand as brand,
        articles.season as season, articles.supplier as supplier,
        cast(articles.supplier_number as varchar) as "supplierNumber",
        cast(articles.label_price as double) as "labelPrice",
        cast(articles.purchase_price as double) as "purchasePrice",
        articles.vat_rate as "vatRate", coalesce(articles.is_active, false) as "isActive",
        coalesce(articles.is_nos, false) as "isNos", coalesce(articles.is_merchandise, true) as "isMerchandise",
        articles.first_sold_on as "firstSoldOn", articles.last_sold_on as "lastSoldOn",
        case when figures.tenant_id is not null then {
            'asOfOn': figures.as_of_on, 'units28d': figures.units_28d, 'units91d': figures.units_91d,
            'units364d': figures.units_364d, 'revenue28d': cast(figures.revenue_28d as double),
            'revenue91d': cast(figures.revenue_91d as double), 'revenue364d': cast(figures.revenue_364d as double),
            'returnRate364d': figures.return_rate_364d, 'sellThrough364d': figures.sell_through_364d,
            'trend28d': figures.trend_28d, 'dailyUnits': figures.daily_units, 'stockUnits': figures.stock_units,
            'abc': figures.abc, 'xyz': figures.xyz, 'velocity': figures.velocity,
            'rankInCategory': figures.rank_in_category, 'grossMargin364d': figures.gross_margin_364d,
            'grossProfit364d': cast(figures.gross_profit_364d as double), 'markup': figures.markup,
            'stockValue': cast(figures.stock_value as double)
        } end as figures
    """,
    key={"articles.article_number": "bigint"},
    filters={
        "category": "articles.category = $category",
        "supplier": "articles.supplier_number = $supplier",
        "active": "coalesce(articles.is_active, false) = $active",
    },
)
SUPPLIERS = Listing(
    name="suppliers",
    tables=("dim_suppliers", "mart_supplier_performance"),
    source="marts.dim_suppliers as suppliers",
    joined="""left join marts.mart_supplier_performance as figures
        on suppliers.supplier_number = figures.supplier_number""",
    columns="""
        cast(suppliers.supplier_number as varchar) as number,
        coalesce(suppliers.name, cast(suppliers.supplier_number as varchar)) as name, suppliers.country as country,
        coalesce(suppliers.is_active, true) as "isActive",
        case when figures.tenant_id is not null then {
            'asOfOn': figures.as_of_on, 'soldUnits364d': figures.sold_units_364d,
            'revenue364d': cast(figures.revenue_364d as double), 'returnRate364d': figures.return_rate_364d,
            'sellThrough364d': figures.sell_through_364d, 'stockUnits': figures.stock_units, 'orders': figures.orders,
            'orderedUnits': figures.ordered_units, 'deliveredUnits': figures.delivered_units,
            'openUnits': figures.open_units, 'overdueUnits': figures.overdue_units, 'fillRate': figures.fill_rate,
            'grossMargin364d': figures.gross_margin_364d, 'turnover': figures.turnover,
            'stockValue': cast(figures.stock_value as double), 'openValue': cast(figures.open_value as double)
        } end as figures
    """,
    key={"suppliers.supplier_number": "bigint"},
)


def _whole(listing: Listing) -> Callable[..., Mapping[str, Any]]:
    def resolve(_: object, info: GraphQLResolveInfo, **page: Any) -> Mapping[str, Any]:
        return connection(info.context, listing, page)

    return resolve


def _articles(_: object, info: GraphQLResolveInfo, **arguments: Any) -> Mapping[str, Any]:
    asker: Asker = info.context
    supplier = arguments.get("supplier")
    given = {
        "category": category_name(asker.session, arguments.get("category")),
        "supplier": None if supplier is None else find_supplier(asker.session, supplier)[0],
        "active": arguments.get("active"),
    }
    return connection(asker, ARTICLES, arguments, given=given)


RESOLVERS: Resolvers = {
    "Query.branches": _whole(BRANCHES),
    "Query.categories": _whole(CATEGORIES),
    "Query.articles": _articles,
    "Query.suppliers": _whole(SUPPLIERS),
}
