{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    on_schema_change='fail',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'month_start']}},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_changed_days') }}
{% endif %}
with

lines as (
    select
        tenant_id,
        sold_on,
        cast(date_trunc('month', sold_on) as date) as month_start,
        article_number,
        branch,
        customer_number
    from {{ ref('fct_sale_lines') }}
    {% if is_incremental() %}
    where (tenant_id, cast(date_trunc('month', sold_on) as date)) in (
        select tenant_id, month_start from {{ ref('int_changed_days') }}
    )
    {% endif %}
),

final as (
    {% for kind, number in [('article', 'article_number'), ('branch', 'branch'), ('customer', 'customer_number')] %}
    select
        tenant_id,
        '{{ kind }}' as kind,
        {{ number }} as number,
        month_start,
        min(sold_on) as first_sold_on,
        max(sold_on) as last_sold_on
    from lines
    where {{ number }} is not null
    group by tenant_id, {{ number }}, month_start
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from final
