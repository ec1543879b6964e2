-- depends_on: {{ ref('int_batches_built') }}
with

articles as (
    select * from {{ ref('int_articles') }}
),

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

final as (
    select
        articles.tenant_id,
        articles.article_number,
        articles.category,
        articles.department,
        articles.product_type,
        articles.supplier,
        articles.season,
        articles.is_merchandise,
        articles.vat_rate,
        tenants.time_zone
    from articles
    left join tenants
        on articles.tenant_id = tenants.tenant_id
)

select * from final
