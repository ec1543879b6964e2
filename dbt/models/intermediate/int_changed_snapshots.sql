with

-- The merchant's day of a batch is the day of its moment in UTC or a neighbour of it.
arrived as (
    select distinct
        tenant_id,
        cast(started_at as date) as arrived_on
    from {{ ref('int_batches') }}
    where entity = 'articlesize'
        and is_new
),

days as (
    {% for days in [-1, 0, 1] %}
    select
        tenant_id,
        cast({{ dbt.dateadd('day', days, 'arrived_on') }} as date) as snapshot_on
    from arrived
    union
    {% endfor %}
    -- A tenant that is replaced is taken whole, also what came without a batch.
    select
        snapshots.tenant_id,
        snapshots.snapshot_on
    from {{ ref('stg_prohandel__article_sizes') }} as snapshots
    inner join {{ ref('int_replaced_tenants') }} as replaced
        on snapshots.tenant_id = replaced.tenant_id
),

final as (
    select
        tenant_id,
        snapshot_on,
        {{ month_start('snapshot_on') }} as month_start
    from days
)

select * from final
