with

snapshots as (
    select * from {{ source('prohandel', 'prohandel_stock_daily') }}
),

final as (
    select
        tenant_id,
        snapshot_on,
        number as article_size_number,
        coalesce(article_number, 0) as article_number,
        branch_number as branch,
        {{ pieces('stock_quantity') }} as quantity,
        {{ money('stock_quantity * purchase_price', 4) }} as stock_value
    from snapshots
)

select * from final
