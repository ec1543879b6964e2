{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    on_schema_change='fail',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {'int_touched_days': ['tenant_id', 'month_start']}},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_touched_days') }}
{% endif %}
with

sales as (
    select * from {{ ref('stg_prohandel__sales') }}
    {% if is_incremental() %}
    where (tenant_id, cast(date_trunc('month', sold_on) as date)) in (
        select tenant_id, month_start from {{ ref('int_touched_days') }}
    )
    {% endif %}
),

final as (
    select distinct
        tenant_id,
        article_number,
        cast(date_trunc('month', sold_on) as date) as month_start
    from sales
)

select * from final
