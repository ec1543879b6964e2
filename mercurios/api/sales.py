"""Sale lines, the newest first.

{ sales(from: "2025-11-01", branch: "367") { nodes { soldOn article revenue } totalCount } }
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.connections import Listing, connection
from mercurios.api.names import article_number, branch_number, category_name
from mercurios.errors import BadRequest

SALES = Listing(
    name="sales",
    tables=("fct_sale_lines", "dim_articles"),
    source="marts.fct_sale_lines as lines",
    joined="left join marts.dim_articles as articles on lines.article_number = articles.article_number",
    columns="""
        lines.sale_line_id as id, lines.receipt_id as receipt, lines.sold_on as "soldOn", lines.sold_at as "soldAt",
        cast(lines.branch as varchar) as branch, cast(lines.article_number as varchar) as article,
        articles.label as label,
        lines.category as category, lines.department as department, lines.product_type as "productType",
        lines.supplier as supplier, lines.season as season, lines.quantity as quantity,
        cast(lines.gross_amount as double) as revenue, cast(lines.label_amount as double) as "labelValue",
        cast(lines.net_amount as double) as "netRevenue", cast(lines.cost_amount as double) as cost,
        cast(lines.customer_number as varchar) as "customerNumber", coalesce(lines.is_return, false) as "isReturn",
        coalesce(lines.is_merchandise, true) as "isMerchandise"
    """,
    key={"lines.sold_on": "date", "lines.sale_line_id": "varchar"},
    filters={
        "first_day": "lines.sold_on >= $first_day",
        "last_day": "lines.sold_on <= $last_day",
        "branch": "lines.branch = $branch",
        "category": "lines.category = $category",
        "article": "lines.article_number = $article",
    },
    is_descending=True,
)


def _sales(_: object, info: GraphQLResolveInfo, **arguments: Any) -> Mapping[str, Any]:
    asker: Asker = info.context
    first_day, last_day = days(arguments)
    given = {
        "first_day": first_day,
        "last_day": last_day,
        "branch": branch_number(asker.session, arguments.get("branch")),
        "category": category_name(asker.session, arguments.get("category")),
        "article": article_number(asker.session, arguments.get("article")),
    }
    return connection(asker, SALES, arguments, given=given)


def days(arguments: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """The arguments `from` and `to`; raises BadRequest for a period that ends before it begins."""
    first, last = arguments.get("from"), arguments.get("to")
    if first and last and first > last:
        raise BadRequest(f"the period from {first} to {last} ends before it begins; swap `from` and `to`")
    return first, last


RESOLVERS: Resolvers = {"Query.sales": _sales}
