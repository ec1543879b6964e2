with

customers as (
    select * from {{ ref('dim_customers') }}
    where last_sold_on is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

receipts as (
    select * from {{ ref('fct_receipts') }}
    where customer_number is not null
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
    where days_ago < 364
),

bought as (
    select
        receipts.tenant_id,
        receipts.customer_number,
        sum(case when receipts.is_return then 0 else 1 end) as receipts,
        cast(sum(receipts.gross_amount) as decimal(18, 2)) as revenue,
        cast(sum(receipts.net_amount) as decimal(18, 4)) as net_revenue
    from receipts
    inner join days
        on receipts.tenant_id = days.tenant_id
        and receipts.sold_on = days.sold_on
    group by receipts.tenant_id, receipts.customer_number
),

joined as (
    select
        customers.tenant_id,
        customers.customer_number,
        as_of.as_of_on,
        customers.first_sold_on,
        customers.last_sold_on,
        greatest(as_of.as_of_on - customers.last_sold_on, 0) as recency_days,
        coalesce(bought.receipts, 0) as receipts,
        coalesce(bought.revenue, 0) as revenue,
        case when bought.tenant_id is null then 0 else bought.net_revenue end as net_revenue
    from customers
    left join as_of
        on customers.tenant_id = as_of.tenant_id
    left join bought
        on customers.tenant_id = bought.tenant_id
        and customers.customer_number = bought.customer_number
),

scored as (
    select
        *,
        ntile(5) over (partition by tenant_id order by last_sold_on, customer_number) as recency_quintile,
        ntile(5) over (partition by tenant_id order by receipts, customer_number) as frequency_quintile,
        ntile(5) over (partition by tenant_id order by revenue, customer_number) as monetary_quintile
    from joined
),

final as (
    select
        tenant_id,
        customer_number,
        cast(recency_days as bigint) as recency_days,
        cast(receipts as bigint) as receipts,
        cast(recency_quintile as bigint) as recency_quintile,
        cast(frequency_quintile as bigint) as frequency_quintile,
        cast(monetary_quintile as bigint) as monetary_quintile,
        as_of_on,
        first_sold_on,
        last_sold_on,
        case
            when recency_quintile = 5 and frequency_quintile = 5 and monetary_quintile = 5 then 'Champions'
            when recency_quintile >= 4 and frequency_quintile >= 4 then 'Loyal'
            when recency_quintile = 5 and frequency_quintile = 1 then 'New'
            when recency_quintile >= 4 then 'Promising'
            when recency_quintile <= 2 and frequency_quintile >= 4 then 'At Risk'
            when recency_quintile <= 2 and frequency_quintile <= 2 and monetary_quintile <= 2 then 'Hibernating'
            else 'Needs Attention'
        end as segment,
        cast(revenue as decimal(18, 2)) as revenue,
        cast(cast(revenue as double) / nullif(receipts, 0) as decimal(18, 2)) as average_receipt,
        cast(net_revenue as decimal(18, 4)) as net_revenue
    from scored
)

select * from final
