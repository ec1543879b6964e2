with

seasons as (
    select * from {{ ref('stg_prohandel__seasons') }}
),

final as (
    select
        tenant_id,
        season_number,
        name,
        starts_on,
        ends_on
    from seasons
)

select * from final
