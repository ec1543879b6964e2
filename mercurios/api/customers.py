"""Known customers under pseudonyms, and the segments they fall into.

    { customers(segment: AT_RISK) { nodes { id recencyDays revenue } } segments { segment customers revenue } }

A pseudonym is a keyed hash of the customer's number: the same in every release, another one at every merchant. The list
is shuffled by a quicker one, or its order would tell the numbers. Names and addresses are nowhere in a release.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.api.connections import Listing, connection
from mercurios.errors import NoRelease

_SEGMENT = "upper(replace(segment, ' ', '_'))"
_OWN = """(
    select
        hash(known.customer_number, $pepper) as place, known.customer_number, known.first_sold_on, known.last_sold_on,
        figures.recency_days, figures.receipts, figures.revenue, figures.average_receipt, figures.recency_quintile,
        figures.frequency_quintile, figures.monetary_quintile, upper(replace(figures.segment, ' ', '_')) as segment
    from marts.dim_customers as known
    left join marts.mart_customer_segments as figures on known.customer_number = figures.customer_number
)"""
CUSTOMERS = Listing(
    name="customers",
    tables=("dim_customers", "mart_customer_segments"),
    source=f"{_OWN} as customers",
    columns="""
        left(sha256($pepper || '/' || cast(customer_number as varchar)), 32) as id,
        cast(customer_number as varchar) as number, segment, first_sold_on as "firstSoldOn",
        last_sold_on as "lastSoldOn", recency_days as "recencyDays", receipts, cast(revenue as double) as revenue,
        cast(average_receipt as double) as "averageReceipt", recency_quintile as "recencyQuintile",
        frequency_quintile as "frequencyQuintile", monetary_quintile as "monetaryQuintile"
    """,
    key={"customers.place": "ubigint", "customers.customer_number": "bigint"},
    filters={"segment": "customers.segment = $segment"},
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
