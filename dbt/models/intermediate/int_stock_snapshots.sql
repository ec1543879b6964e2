{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    on_schema_change='fail',
    meta={'replaced': {
        'int_changed_snapshots': ['tenant_id', 'snapshot_on'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

-- depends_on: {{ ref('int_changed_snapshots') }}, {{ ref('int_replaced_tenants') }}
with

stock as (
    select * from {{ ref('fct_stock_daily') }}
    {% if is_incremental() %}
    where (tenant_id, snapshot_on) in (select tenant_id, snapshot_on from {{ ref('int_changed_snapshots') }})
    {% endif %}
),

final as (
    select distinct
        tenant_id,
        snapshot_on
    from stock
)

select * from final
