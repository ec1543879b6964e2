{{ config(materialized='view') }}

with

rules as (
    select * from {{ ref('warehouse_rules') }}
),

articles as (
    select * from {{ ref('stg_prohandel__articles') }}
),

-- A master that came after its sales mends them.
sales as (
    select
        sales.tenant_id,
        sales.rule,
        sales.sale_line_id as record,
        sales.detail
    from {{ ref('int_sale_breaches') }} as sales
    left join articles
        on sales.tenant_id = articles.tenant_id
        and sales.article_number = articles.article_number
        and sales.article_number <> 0
        and sales.rule = 'sale_without_article'
    where articles.tenant_id is null
),

breaches as (
    select
        tenant_id,
        rule,
        record,
        detail
    from {{ ref('int_master_breaches') }}
    union all
    select * from sales
),

tenants as (
    select tenant_id from {{ ref('stg_prohandel__tenants') }}
),

final as (
    select
        breaches.tenant_id,
        breaches.rule,
        rules.severity,
        rules.entity,
        breaches.record,
        breaches.detail
    from breaches
    inner join tenants
        on breaches.tenant_id = tenants.tenant_id
    left join rules
        on breaches.rule = rules.rule
)

select * from final
