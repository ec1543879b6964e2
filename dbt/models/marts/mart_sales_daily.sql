{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    on_schema_change='fail',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'sold_on']}},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_changed_days') }}
{% endif %}
with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
    {% if is_incremental() %}
    where (tenant_id, sold_on) in (select tenant_id, sold_on from {{ ref('int_changed_days') }})
    {% endif %}
),

final as (
    select
        tenant_id,
        sold_on,
        branch,
        cast(count(*) as bigint) as lines,
        department,
        category,
        {{ sum_pieces('case when is_merchandise then quantity else 0 end') }} as units,
        {{ sum_pieces('case when is_merchandise and not is_return then quantity else 0 end') }} as sold_units,
        {{ sum_pieces('case when is_merchandise and is_return then -quantity else 0 end') }} as returned_units,
        cast(sum(gross_amount) as decimal(18, 2)) as revenue,
        cast(sum(label_amount) as decimal(18, 2)) as label_value,
        cast(sum(labelled_gross_amount) as decimal(18, 2)) as labelled_revenue,
        cast(sum(net_amount) as decimal(18, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(18, 4)) as cost
    from sale_lines
    group by tenant_id, sold_on, branch, department, category
)

select * from final
