with

days as (
    select * from {{ ref('mart_sales_daily') }}
),

batches as (
    select * from {{ ref('int_batches') }}
),

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

read_until as (
    select
        batches.tenant_id,
        cast({{ to_local('max(batches.started_at)', 'max(tenants.time_zone)') }} as date) as read_on
    from batches
    inner join tenants
        on batches.tenant_id = tenants.tenant_id
    where batches.entity = 'sale'
    group by batches.tenant_id
),

-- A till with a wrong clock must not move the world; no calendar begins before 2000.
final as (
    select
        days.tenant_id,
        max(days.sold_on) as as_of_on
    from days
    inner join read_until
        on days.tenant_id = read_until.tenant_id
        and days.sold_on between {{ first_day() }} and read_until.read_on
    group by days.tenant_id
)

select * from final
