{% set scored = as_built('mart_forecast_accuracy') %}

with

due as (
    select
        forecasts.tenant_id,
        forecasts.level,
        forecasts.ds,
        forecasts.period_days,
        count(*) as forecasts
    from {{ ref('stg_retrain__forecasts') }} as forecasts
    inner join {{ ref('int_as_of') }} as as_of
        on forecasts.tenant_id = as_of.tenant_id
        and forecasts.ends_on <= as_of.over_on
    group by forecasts.tenant_id, forecasts.level, forecasts.ds, forecasts.period_days
),

scored as (
    {% if scored %}
    select
        tenant_id,
        level,
        ds,
        count(*) as forecasts
    from {{ scored }}
    group by tenant_id, level, ds
    {% else %}
    select
        tenant_id,
        level,
        ds,
        forecasts
    from due
    where 1 = 0
    {% endif %}
),

-- The period is over, or a forecast came late. Nothing is ever scored of a closed day, which is found here every time.
miscounted as (
    select
        coalesce(due.tenant_id, scored.tenant_id) as tenant_id,
        coalesce(due.level, scored.level) as level,
        coalesce(due.ds, scored.ds) as ds
    from due
    full outer join scored
        on due.tenant_id = scored.tenant_id
        and due.level = scored.level
        and due.ds = scored.ds
    where coalesce(due.forecasts, 0) <> coalesce(scored.forecasts, 0)
),

changed_periods as (
    select
        tenant_id,
        sold_on as ds,
        1 as period_days
    from {{ ref('int_changed_days') }}
    union
    select
        tenant_id,
        {{ week_start('sold_on') }} as ds,
        7 as period_days
    from {{ ref('int_changed_days') }}
),

final as (
    select
        tenant_id,
        level,
        ds
    from miscounted
    union
    select
        due.tenant_id,
        due.level,
        due.ds
    from due
    inner join changed_periods
        on due.tenant_id = changed_periods.tenant_id
        and due.ds = changed_periods.ds
        and due.period_days = changed_periods.period_days
)

select * from final
