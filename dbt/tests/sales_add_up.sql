-- What the tills reported, the fact table and the daily mart agree per tenant, to the cent. A line that a join
-- drops or doubles shows here.
with

raw_lines as (
    select
        tenant_id,
        count(*) as lines,
        cast(sum({{ money('sale_price', 2) }}) as decimal(38, 2)) as revenue
    from {{ source('prohandel', 'prohandel_sale') }}
    where _deleted_at is null
    group by tenant_id
),

staged as (
    select
        tenant_id,
        count(*) as lines,
        cast(sum(gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(cost_amount) as decimal(38, 4)) as cost
    from {{ ref('stg_prohandel__sales') }}
    group by tenant_id
),

facts as (
    select
        tenant_id,
        count(*) as lines,
        sum(case when is_merchandise then quantity else 0 end) as units,
        cast(sum(gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(net_amount) as decimal(38, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(38, 4)) as cost
    from {{ ref('fct_sale_lines') }}
    group by tenant_id
),

daily as (
    select
        tenant_id,
        sum(lines) as lines,
        sum(units) as units,
        cast(sum(revenue) as decimal(38, 2)) as revenue,
        cast(sum(net_revenue) as decimal(38, 4)) as net_revenue,
        cast(sum(cost) as decimal(38, 4)) as cost
    from {{ ref('mart_sales_daily') }}
    group by tenant_id
),

compared as (
    select
        coalesce(raw_lines.tenant_id, staged.tenant_id, facts.tenant_id, daily.tenant_id) as tenant_id,
        coalesce(raw_lines.lines, 0) as raw_count,
        coalesce(staged.lines, 0) as staged_count,
        coalesce(facts.lines, 0) as fact_count,
        coalesce(daily.lines, 0) as daily_count,
        coalesce(raw_lines.revenue, 0) as raw_revenue,
        coalesce(staged.revenue, 0) as staged_revenue,
        coalesce(facts.revenue, 0) as fact_revenue,
        coalesce(daily.revenue, 0) as daily_revenue,
        coalesce(facts.units, 0) - coalesce(daily.units, 0) as units_missing,
        coalesce(facts.net_revenue, 0) - coalesce(daily.net_revenue, 0) as net_revenue_missing,
        coalesce(staged.cost, 0) - coalesce(facts.cost, 0) as cost_missing_in_facts,
        coalesce(facts.cost, 0) - coalesce(daily.cost, 0) as cost_missing_in_daily
    from raw_lines
    full outer join staged
        on raw_lines.tenant_id = staged.tenant_id
    full outer join facts
        on staged.tenant_id = facts.tenant_id
    full outer join daily
        on facts.tenant_id = daily.tenant_id
)

select *
from compared
where raw_count <> staged_count
    or staged_count <> fact_count
    or fact_count <> daily_count
    or raw_revenue <> staged_revenue
    or staged_revenue <> fact_revenue
    or fact_revenue <> daily_revenue
    -- Quantities are floating point: half a gram is nothing.
    or abs(units_missing) > 0.0005
    or net_revenue_missing <> 0
    or cost_missing_in_facts <> 0
    or cost_missing_in_daily <> 0
