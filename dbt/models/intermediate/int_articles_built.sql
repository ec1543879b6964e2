{{ config(
    materialized='incremental',
    meta={'replaced': {
        'int_changed_articles': ['tenant_id', 'article_number'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

-- depends_on: {{ ref('int_batches_built') }}, {{ ref('int_replaced_tenants') }}
with

final as (
    select
        tenant_id,
        article_number,
        category,
        department,
        product_type,
        supplier,
        season,
        is_merchandise,
        vat_rate,
        has_master,
        time_zone,
        currencies
    from {{ ref('int_changed_articles') }}
)

select * from final
