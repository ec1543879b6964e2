"""Known customers under pseudonyms, and the segments they fall into.

    { customers(segment: AT_RISK) { nodes { id recencyDays revenue } } segments { segment customers revenue } }

A pseudonym is a keyed hash of the customer's number: the same in every release, another one at every merchant. The list
is ordered by it, or its order would tell the numbers. Names and addresses are nowhere in a release.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.connections import Listing, connection
from mercurios.errors import NoRelease

_PSEUDONYM = "left(sha256($pepper || '/' || cast(customer_number as varchar)), 32)"
_SEGMENT = "upper(replace(segment, ' ', '_'))"
CUSTOMERS = Listing(
    name="customers",
    tables=("dim_customers", "mart_customer_segments"),
    source="marts.dim_customers as customers left join marts.mart_customer_segments as figures using (customer_number)",
    columns=f"""
        {_PSEUDONYM} as id, cast(customer_number as varchar) as number, {_SEGMENT} as segment,
        customers.first_sold_on as "firstSoldOn", customers.last_sold_on as "lastSoldOn",
        figures.recency_days as "recencyDays", figures.receipts as receipts,
        cast(figures.revenue as double) as revenue, cast(figures.average_receipt as double) as "averageReceipt",
        figures.recency_quintile as "recencyQuintile", figures.frequency_quintile as "frequencyQuintile",
        figures.monetary_quintile as "monetaryQuintile"
    """,
    key={_PSEUDONYM: "varchar"},
    filters={"segment": f"{_SEGMENT} = $segment"},
)
_SEGMENTS = f"""
    select
        {_SEGMENT} as segment,
        count(*) as customers,
        count(*) / sum(count(*)) over () as "customerShare",
        cast(sum(revenue) as double) as revenue,
        cast(sum(revenue) as double) / nullif(cast(sum(sum(revenue)) over () as double), 0) as "revenueShare",
        sum(receipts) as receipts,
        cast(sum(revenue) as double) / nullif(sum(receipts), 0) as "averageReceipt",
        avg(recency_days) as "averageRecencyDays",
        max(as_of_on) as "asOfOn"
    from marts.mart_customer_segments
    group by segment
    order by revenue desc nulls last, segment
"""  # noqa: S608 - a constant


def _customers(_: object, info: GraphQLResolveInfo, **arguments: Any) -> Mapping[str, Any]:
    asker: Asker = info.context
    fixed = {"pepper": asker.backend.seals.pepper(asker.identity.tenant)}
    given = {"segment": arguments.get("segment")}
    return connection(asker, CUSTOMERS, arguments, given=given, fixed=fixed)


def _segments(_: object, info: GraphQLResolveInfo) -> Sequence[Mapping[str, Any]]:
    asker: Asker = info.context
    if not asker.session.holds("mart_customer_segments"):
        raise NoRelease(f"release {asker.session.release.id} holds no segments; run `mercurios export` first")
    segments: list[dict[str, Any]] = asker.session.query(_SEGMENTS).to_pylist()
    return [row | {"receipts": int(row["receipts"] or 0)} for row in segments]


RESOLVERS: Resolvers = {"Query.customers": _customers, "Query.segments": _segments}
