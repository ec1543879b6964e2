{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'month_start']}},
) }}

with

lines as (
    select
        tenant_id,
        sold_on,
        {{ month_start('sold_on') }} as month_start,
        article_number,
        branch,
        customer_number
    from {{ ref('fct_sale_lines') }}
    {{ where_changed('int_changed_days', 'month_start', month_start('sold_on')) }}
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
