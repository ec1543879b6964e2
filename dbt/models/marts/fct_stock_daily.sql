{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'snapshot_on'],
    meta={'replaced': {
        'int_changed_snapshots': ['tenant_id', 'snapshot_on'],
        'int_changed_articles': ['tenant_id', 'article_number'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_changed_snapshots') }}, {{ ref('int_changed_articles') }}, {{ ref('int_replaced_tenants') }}
{% endif %}
with

{% if is_incremental() %}
snapshots as (
    select snapshots.*
    from {{ ref('stg_prohandel__article_sizes') }} as snapshots
    inner join {{ ref('int_changed_snapshots') }} as changed
        on snapshots.tenant_id = changed.tenant_id
        and snapshots.snapshot_on = changed.snapshot_on
    union all
    select snapshots.*
    from {{ ref('stg_prohandel__article_sizes') }} as snapshots
    inner join {{ ref('int_changed_articles') }} as articles
        on snapshots.tenant_id = articles.tenant_id
        and snapshots.article_number = articles.article_number
    left join {{ ref('int_changed_snapshots') }} as changed
        on snapshots.tenant_id = changed.tenant_id
        and snapshots.snapshot_on = changed.snapshot_on
    where articles.has_lines
        and changed.tenant_id is null
),
{% else %}
snapshots as (
    select * from {{ ref('stg_prohandel__article_sizes') }}
),
{% endif %}

articles as (
    select * from {{ ref('int_articles') }}
),

summed as (
    select
        tenant_id,
        snapshot_on,
        branch,
        article_number,
        cast(count(*) as bigint) as sizes,
        cast(sum(case when coalesce(quantity, 0) <= 0 then 1 else 0 end) as bigint) as sizes_out,
        {{ sum_pieces('quantity') }} as quantity,
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
        summed.sizes,
        summed.sizes_out,
        articles.category,
        articles.department,
        articles.product_type,
        articles.supplier,
        articles.season,
        summed.quantity,
        summed.stock_value
    from summed
    left join articles
        on summed.tenant_id = articles.tenant_id
        and summed.article_number = articles.article_number
)

select * from final
