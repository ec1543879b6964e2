{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'sold_on']}},
) }}

with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
    {{ where_changed('int_changed_days', 'sold_on') }}
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
