with

stock as (
    select * from {{ ref('fct_stock_daily') }}
),

days as (
    select * from {{ ref('int_stock_days') }}
),

-- A position that a snapshot does not list had no stock that day: all snapshots of the tenant divide.
final as (
    select
        stock.tenant_id,
        stock.branch,
        stock.article_number,
        cast(sum(stock.stock_value) as decimal(38, 4)) as stock_value_of_snapshots,
        max(days.snapshots) as snapshots
    from stock
    inner join days
        on stock.tenant_id = days.tenant_id
        and stock.snapshot_on = days.snapshot_on
    group by stock.tenant_id, stock.branch, stock.article_number
)

select * from final
