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
known as (
    select
        days.tenant_id,
        read_until.read_on,
        max(days.sold_on) as as_of_on,
        max(case when days.sold_on < read_until.read_on then days.sold_on end) as sold_until
    from days
    inner join read_until
        on days.tenant_id = read_until.tenant_id
        and days.sold_on between {{ first_day() }} and read_until.read_on
    group by days.tenant_id, read_until.read_on
),

-- Who has sold nothing for a week may have ended in the midst of one, or has not been read to the end.
final as (
    select
        tenant_id,
        as_of_on,
        case when read_on - 1 - sold_until < 7 then cast(read_on - 1 as date) else sold_until end as over_on
    from known
)

select * from final
