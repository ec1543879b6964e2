{{ config(materialized='view') }}

with

forecasts as (
    select * from {{ ref('mart_forecast_accuracy') }}
),

final as (
    select
        tenant_id,
        level,
        role,
        model_version,
        horizon,
        cast(count(*) as bigint) as n,
        {{ ratio('sum(absolute_error)', 'sum(abs(y))') }} as wape,
        {{ ratio('sum(error)', 'sum(abs(y))') }} as bias,
        avg(cast(case when within80 then 1 when not within80 then 0 end as double)) as coverage80,
        avg(cast(case when within95 then 1 when not within95 then 0 end as double)) as coverage95
    from forecasts
    group by tenant_id, level, role, model_version, horizon
)

select * from final
