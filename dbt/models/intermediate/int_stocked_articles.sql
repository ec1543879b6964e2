{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    on_schema_change='fail',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {
        'int_changed_snapshots': ['tenant_id', 'month_start'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_changed_snapshots') }}, {{ ref('int_replaced_tenants') }}
{% endif %}
with

snapshots as (
    select * from {{ ref('stg_prohandel__article_sizes') }}
    {% if is_incremental() %}
    where (tenant_id, cast(date_trunc('month', snapshot_on) as date)) in (
        select tenant_id, month_start from {{ ref('int_changed_snapshots') }}
    )
    {% endif %}
),

final as (
    select distinct
        tenant_id,
        article_number,
        cast(date_trunc('month', snapshot_on) as date) as month_start
    from snapshots
)

select * from final
