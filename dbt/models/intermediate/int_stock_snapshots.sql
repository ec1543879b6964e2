{{ config(
    materialized='incremental',
    meta={'replaced': {
        'int_changed_snapshots': ['tenant_id', 'snapshot_on'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

-- depends_on: {{ ref('int_replaced_tenants') }}
with

stock as (
    select * from {{ ref('fct_stock_daily') }}
    {{ where_changed('int_changed_snapshots', 'snapshot_on') }}
),

final as (
    select distinct
        tenant_id,
        snapshot_on
    from stock
)

select * from final
