{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'month_start'],
    meta={'replaced': {
        'int_changed_snapshots': ['tenant_id', 'month_start'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

-- depends_on: {{ ref('int_replaced_tenants') }}
with

snapshots as (
    select * from {{ ref('stg_prohandel__article_sizes') }}
    {{ where_changed('int_changed_snapshots', 'month_start', month_start('snapshot_on')) }}
),

final as (
    select distinct
        tenant_id,
        article_number,
        {{ month_start('snapshot_on') }} as month_start
    from snapshots
)

select * from final
