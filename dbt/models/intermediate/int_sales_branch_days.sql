{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'sold_on']}},
) }}

with

receipts as (
    select * from {{ ref('fct_receipts') }}
    {{ where_changed('int_changed_days', 'sold_on') }}
),

final as (
    select
        tenant_id,
        sold_on,
        branch,
        cast(sum(case when is_return then 0 else 1 end) as bigint) as receipts,
        {{ sum_pieces('sold_units - returned_units') }} as units,
        cast(sum(gross_amount) as decimal(18, 2)) as revenue,
        cast(sum(net_amount) as decimal(18, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(18, 4)) as cost
    from receipts
    group by tenant_id, sold_on, branch
)

select * from final
