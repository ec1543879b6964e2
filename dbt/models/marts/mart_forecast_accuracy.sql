{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'ds'],
    meta={'replaced': {'int_changed_forecasts': ['tenant_id', 'level', 'ds']}},
) }}

with

forecasts as (
    select * from {{ ref('stg_retrain__forecasts') }}
    {{ where_changed('int_changed_forecasts', 'level, ds') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

lines as (
    select * from {{ ref('fct_sale_lines') }}
),

over as (
    select forecasts.*
    from forecasts
    inner join as_of
        on forecasts.tenant_id = as_of.tenant_id
        and forecasts.ends_on <= as_of.over_on
),

periods as (
    select distinct
        tenant_id,
        level,
        ds,
        period_days
    from over
),

days as (
    {% for day in range(7) %}
    select
        tenant_id,
        level,
        ds,
        cast(ds + {{ day }} as date) as sold_on
    from periods
    where period_days > {{ day }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

sold as (
    select
        days.tenant_id,
        days.level,
        days.ds,
        {{ by_forecast_level('key') }} as key,
        cast(sum(lines.gross_amount) as decimal(18, 2)) as revenue
    from days
    inner join lines
        on days.tenant_id = lines.tenant_id
        and days.sold_on = lines.sold_on
    group by days.tenant_id, days.level, days.ds, {{ by_forecast_level('key') }}
),

-- A period in which the merchant sold nothing at all was closed, one without a sale of the key is a zero.
open_periods as (
    select distinct
        tenant_id,
        level,
        ds
    from sold
),

met as (
    select
        over.*,
        cast(coalesce(sold.revenue, 0) as decimal(18, 2)) as y,
        over.mean - cast(coalesce(sold.revenue, 0) as double) as error
    from over
    inner join open_periods
        on over.tenant_id = open_periods.tenant_id
        and over.level = open_periods.level
        and over.ds = open_periods.ds
    left join sold
        on over.tenant_id = sold.tenant_id
        and over.level = sold.level
        and over.ds = sold.ds
        and over.key = sold.key
),

final as (
    select
        tenant_id,
        level,
        key,
        ds,
        cutoff,
        role,
        model,
        model_version,
        horizon,
        y,
        mean,
        lo80,
        hi80,
        lo95,
        hi95,
        error,
        abs(error) as absolute_error,
        {{ ratio('error', '(hi80 - lo80) / 2') }} as scaled,
        cast(y as double) >= lo80 and cast(y as double) <= hi80 as within80,
        cast(y as double) >= lo95 and cast(y as double) <= hi95 as within95
    from met
)

select * from final
