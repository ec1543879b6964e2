{{ config(materialized='view') }}

with

snapshots as (
    select * from {{ ref('int_stock_snapshots') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

within as (
    select
        snapshots.tenant_id,
        snapshots.snapshot_on,
        as_of.as_of_on
    from snapshots
    left join as_of
        on snapshots.tenant_id = as_of.tenant_id
    -- A merchant whose tills have not reported yet has stock all the same.
    where as_of.as_of_on is null
        or snapshots.snapshot_on > as_of.as_of_on - 364
),

final as (
    select
        tenant_id,
        snapshot_on,
        as_of_on,
        {{ week_start('snapshot_on') }} as week_start,
        snapshot_on = max(snapshot_on) over (partition by tenant_id) as is_newest,
        cast(count(*) over (partition by tenant_id) as bigint) as snapshots
    from within
)

select * from final
