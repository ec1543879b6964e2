{{ config(row_access_policy=none) }}

with

-- A merchant without a calendar has days all the same, and no holidays.
calendars as (
    select distinct
        coalesce(calendar, '') as calendar,
        coalesce(split_part(calendar, '-', 1), '') as country,
        coalesce(nullif(split_part(calendar, '-', 2), ''), calendar, '') as part
    from {{ ref('stg_prohandel__tenants') }}
),

public_holidays as (
    select
        country,
        ' ' || subdivisions || ' ' as subdivisions,
        day,
        name
    from {{ ref('public_holidays') }}
),

days as (
    select date_day as day from {{ ref('metricflow_time_spine') }}
),

holidays as (
    select
        calendars.calendar,
        public_holidays.day,
        min(public_holidays.name) as name
    from calendars
    inner join public_holidays
        on calendars.country = public_holidays.country
    where public_holidays.subdivisions is null
        or public_holidays.subdivisions like '% ' || calendars.part || ' %'
    group by calendars.calendar, public_holidays.day
),

nationwide as (
    select distinct
        country,
        day
    from public_holidays
    where subdivisions is null
        or subdivisions like '% ' || country || ' %'
),

regional as (
    select
        public_holidays.country,
        public_holidays.day,
        {{ texts_joined('trim(public_holidays.subdivisions)') }} as states
    from public_holidays
    left join nationwide
        on public_holidays.country = nationwide.country
        and public_holidays.day = nationwide.day
    where nationwide.day is null
    group by public_holidays.country, public_holidays.day
),

-- Easter moves by five weeks at most.
same_holidays as (
    select
        holidays.calendar,
        holidays.day,
        before.day as day_before
    from holidays
    inner join holidays as before
        on holidays.calendar = before.calendar
        and holidays.name = before.name
        and before.day between holidays.day - 414 and holidays.day - 314
    qualify row_number() over (
        partition by holidays.calendar, holidays.day
        order by abs(holidays.day - before.day - 364), before.day
    ) = 1
),

placed as (
    select
        calendars.calendar,
        calendars.country,
        days.day,
        cast(mod(days.day - cast('1990-01-01' as date), 7) + 1 as integer) as weekday
    from calendars
    cross join days
),

-- A week belongs to the year of its Thursday.
weeks as (
    select
        *,
        cast({{ dbt.dateadd('day', '1 - weekday', 'day') }} as date) as week_start,
        cast({{ dbt.dateadd('day', '4 - weekday', 'day') }} as date) as thursday
    from placed
),

numbered as (
    select
        *,
        extract(year from thursday) as iso_year,
        cast(floor((thursday - cast(date_trunc('year', thursday) as date)) / 7) as integer) + 1 as iso_week
    from weeks
),

-- Quarters of 4, 4 and 5 weeks; a 53rd week goes to the last period.
retail as (
    select
        *,
        case when iso_week > 39 then 3 when iso_week > 26 then 2 when iso_week > 13 then 1 else 0 end as quarters_before
    from numbered
),

final as (
    select
        retail.calendar,
        retail.day,
        cast(extract(year from retail.day) as bigint) as year,
        cast(extract(quarter from retail.day) as bigint) as quarter,
        cast(extract(month from retail.day) as bigint) as month,
        cast(retail.iso_year as bigint) as iso_year,
        cast(retail.iso_week as bigint) as iso_week,
        cast(retail.weekday as bigint) as weekday,
        cast(retail.iso_year as bigint) as retail_year,
        cast(
            3 * retail.quarters_before
            + case
                when retail.iso_week - 13 * retail.quarters_before <= 4 then 1
                when retail.iso_week - 13 * retail.quarters_before <= 8 then 2
                else 3
            end as bigint
        ) as retail_period,
        cast(retail.iso_week as bigint) as retail_week,
        retail.week_start,
        {{ month_start('retail.day') }} as month_start,
        cast(date_trunc('quarter', retail.day) as date) as quarter_start,
        case
            when same_holidays.day is not null then same_holidays.day_before
            when holidays.day is not null or opposite.day is null then retail.day - 364
            when week_before.day is null then retail.day - 371
            else retail.day - 378
        end as same_day_last_year,
        holidays.name as holiday,
        regional.states as holiday_states,
        retail.country not in ('AT', 'CH', 'DE', 'LI') or (holidays.day is null and retail.weekday < 7) as is_trading_day
    from retail
    left join holidays
        on retail.calendar = holidays.calendar
        and retail.day = holidays.day
    left join holidays as opposite
        on retail.calendar = opposite.calendar
        and retail.day - 364 = opposite.day
    left join holidays as week_before
        on retail.calendar = week_before.calendar
        and retail.day - 371 = week_before.day
    left join same_holidays
        on retail.calendar = same_holidays.calendar
        and retail.day = same_holidays.day
    left join regional
        on retail.country = regional.country
        and retail.day = regional.day
)

select * from final
