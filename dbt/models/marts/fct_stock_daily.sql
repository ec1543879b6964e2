with

snapshots as (
    select * from {{ ref('stg_prohandel__article_sizes') }}
),

articles as (
    select * from {{ ref('int_articles') }}
),

summed as (
    select
        tenant_id,
        snapshot_on,
        branch,
        article_number,
        sum(quantity) as quantity,
        cast(sum(stock_value) as decimal(18, 4)) as stock_value
    from snapshots
    group by tenant_id, snapshot_on, branch, article_number
),

final as (
    select
        summed.tenant_id,
        summed.snapshot_on,
        summed.branch,
        summed.article_number,
        articles.category,
        articles.department,
        articles.product_type,
        summed.quantity,
        summed.stock_value
    from summed
    left join articles
        on summed.tenant_id = articles.tenant_id
        and summed.article_number = articles.article_number
)

select * from final
