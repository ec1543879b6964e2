with

stock as (
    select * from {{ ref('fct_stock_daily') }}
),

days as (
    select * from {{ ref('int_stock_days') }}
    where is_newest
),

final as (
    select
        stock.tenant_id,
        stock.snapshot_on,
        days.as_of_on,
        stock.branch,
        stock.article_number,
        stock.category,
        stock.department,
        stock.product_type,
        stock.supplier,
        stock.season,
        coalesce(stock.quantity, 0) as quantity,
        stock.stock_value,
        stock.sizes,
        stock.sizes_out
    from stock
    inner join days
        on stock.tenant_id = days.tenant_id
        and stock.snapshot_on = days.snapshot_on
)

select * from final
