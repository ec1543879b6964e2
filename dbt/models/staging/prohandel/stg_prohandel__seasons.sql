with

seasons as (
    select * from {{ current_masters('prohandel_season', number='season_number') }}
),

final as (
    select
        tenant_id,
        season_number,
        coalesce(nullif(trim(name), ''), 'Season ' || cast(season_number as varchar)) as name,
        {{ never_to_null('valid_from') }} as starts_on,
        {{ never_to_null('valid_until') }} as ends_on
    from seasons
    where season_number <> 0
)

select * from final
