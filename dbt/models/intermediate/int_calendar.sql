{{ config(materialized='view') }}

with

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

days as (
    select * from {{ ref('int_calendar_days') }}
),

first_sales as (
    select
        tenant_id,
        min(first_sold_on) as first_sold_on
    from {{ ref('int_first_and_last_sales') }}
    where kind = 'branch'
    group by tenant_id
),

-- The year after the newest sales is there for what is planned.
final as (
    select
        tenants.tenant_id,
        days.day,
        days.year,
        days.quarter,
        days.month,
        days.iso_year,
        days.iso_week,
        days.weekday,
        days.retail_year,
        days.retail_period,
        days.retail_week,
        days.week_start,
        days.month_start,
        days.quarter_start,
        days.same_day_last_year,
        days.holiday,
        days.holiday_states,
        days.is_trading_day
    from tenants
    inner join as_of
        on tenants.tenant_id = as_of.tenant_id
    inner join first_sales
        on tenants.tenant_id = first_sales.tenant_id
    inner join days
        on coalesce(tenants.calendar, '') = days.calendar
        and days.year between extract(year from first_sales.first_sold_on) and extract(year from as_of.as_of_on) + 1
)

select * from final
