{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {'int_touched_days': ['tenant_id', 'month_start']}},
) }}

with

sales as (
    select * from {{ ref('stg_prohandel__sales') }}
    {{ where_changed('int_touched_days', 'month_start', month_start('sold_on')) }}
),

final as (
    select distinct
        tenant_id,
        article_number,
        {{ month_start('sold_on') }} as month_start
    from sales
)

select * from final
