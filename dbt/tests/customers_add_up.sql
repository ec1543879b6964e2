-- Receipts and revenue of 364 days of the calendar of all known customers are those of the facts, per tenant.
with

as_of as (
    select * from {{ ref('int_as_of') }}
),

facts as (
    select
        receipts.tenant_id,
        sum(case when receipts.is_return then 0 else 1 end) as receipts,
        cast(sum(receipts.gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(receipts.net_amount) as decimal(38, 4)) as net_revenue
    from {{ ref('fct_receipts') }} as receipts
    inner join as_of
        on receipts.tenant_id = as_of.tenant_id
    where receipts.customer_number is not null
        and receipts.sold_on > as_of.as_of_on - 364
        and receipts.sold_on >= {{ first_day() }}
        and receipts.sold_on <= as_of.as_of_on
    group by receipts.tenant_id
),

segments as (
    select
        tenant_id,
        sum(receipts) as receipts,
        cast(sum(revenue) as decimal(38, 2)) as revenue,
        cast(sum(net_revenue) as decimal(38, 4)) as net_revenue
    from {{ ref('mart_customer_segments') }}
    group by tenant_id
)

select
    coalesce(facts.tenant_id, segments.tenant_id) as tenant_id,
    facts.receipts as fact_receipts,
    segments.receipts as segment_receipts,
    facts.revenue as fact_revenue,
    segments.revenue as segment_revenue,
    facts.net_revenue as fact_net_revenue,
    segments.net_revenue as segment_net_revenue
from facts
full outer join segments
    on facts.tenant_id = segments.tenant_id
where coalesce(facts.receipts, 0) <> coalesce(segments.receipts, 0)
    or coalesce(facts.revenue, 0) <> coalesce(segments.revenue, 0)
    or coalesce(facts.net_revenue, 0) <> coalesce(segments.net_revenue, 0)
