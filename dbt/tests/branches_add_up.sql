-- Every branch's day has the revenue, pieces and cost of the daily mart and the receipts of the facts; a day that is only
-- there because of last year has nothing; comparable revenue is all of a comparable day and nothing of another.
with

daily as (
    select
        tenant_id,
        sold_on,
        branch,
        cast(sum(revenue) as decimal(38, 2)) as revenue,
        cast(sum(net_revenue) as decimal(38, 4)) as net_revenue,
        cast(sum(cost) as decimal(38, 4)) as cost,
        {{ sum_pieces('units') }} as units
    from {{ ref('mart_sales_daily') }}
    group by tenant_id, sold_on, branch
),

receipts as (
    select
        tenant_id,
        sold_on,
        branch,
        sum(case when is_return then 0 else 1 end) as receipts,
        {{ sum_pieces('abs(sold_units) + abs(returned_units)') }} as moved
    from {{ ref('fct_receipts') }}
    group by tenant_id, sold_on, branch
),

branches as (
    select * from {{ ref('mart_branch_performance') }}
),

compared as (
    select
        coalesce(branches.tenant_id, daily.tenant_id) as tenant_id,
        coalesce(branches.sold_on, daily.sold_on) as sold_on,
        coalesce(branches.branch, daily.branch) as branch,
        coalesce(branches.revenue, 0) as revenue,
        coalesce(daily.revenue, 0) as daily_revenue,
        coalesce(branches.net_revenue, 0) as net_revenue,
        coalesce(daily.net_revenue, 0) as daily_net_revenue,
        coalesce(branches.cost, 0) as cost,
        coalesce(daily.cost, 0) as daily_cost,
        coalesce(branches.units, 0) as units,
        coalesce(daily.units, 0) as daily_units,
        coalesce(branches.receipts, 0) as receipts,
        coalesce(receipts.receipts, 0) as fact_receipts,
        receipts.moved,
        coalesce(branches.comparable_revenue, 0) as comparable_revenue,
        coalesce(branches.comparable_revenue_last_year, 0) as comparable_revenue_last_year,
        coalesce(branches.is_comparable, false) as is_comparable,
        branches.tenant_id is null as is_missing
    from branches
    full outer join daily
        on branches.tenant_id = daily.tenant_id
        and branches.sold_on = daily.sold_on
        and branches.branch = daily.branch
    left join receipts
        on coalesce(branches.tenant_id, daily.tenant_id) = receipts.tenant_id
        and coalesce(branches.sold_on, daily.sold_on) = receipts.sold_on
        and coalesce(branches.branch, daily.branch) = receipts.branch
)

select *
from compared
where is_missing
    or revenue <> daily_revenue
    or net_revenue <> daily_net_revenue
    or cost <> daily_cost
    -- Summed by receipt here and by category there.
    or abs(units - daily_units) > {{ rounding('moved') }}
    or receipts <> fact_receipts
    or comparable_revenue <> case when is_comparable then revenue else 0 end
    or (not is_comparable and comparable_revenue_last_year <> 0)
