with

kept as (
    select * from {{ source('retrain', 'kept_forecasts') }}
),

levelled as (
    select
        *,
        {{ by_forecast_level('period_days') }} as period_days
    from kept
),

final as (
    select
        tenant_id,
        level,
        key,
        ds,
        period_days,
        cast(ds + period_days - 1 as date) as ends_on,
        cutoff,
        cast(floor((ds - cutoff - 1) / period_days) as bigint) + 1 as horizon,
        role,
        model,
        model_version,
        mean,
        lo80,
        hi80,
        lo95,
        hi95
    from levelled
)

select * from final
