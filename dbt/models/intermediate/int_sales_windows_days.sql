{{ config(materialized='view') }}

with

as_of as (
    select * from {{ ref('int_as_of') }}
),

dates as (
    select * from {{ ref('dim_dates') }}
),

final as (
    select
        dates.tenant_id,
        dates.day as sold_on,
        as_of.as_of_on,
        cast(as_of.as_of_on - dates.day as bigint) as days_ago,
        cast(floor((as_of.as_of_on - dates.day) / 7) as bigint) as weeks_ago
    from dates
    inner join as_of
        on dates.tenant_id = as_of.tenant_id
    -- Twelve months and what has passed of the thirteenth, for a plan by calendar months.
    where dates.day <= as_of.as_of_on
        and dates.day > as_of.as_of_on - 400
)

select * from final
