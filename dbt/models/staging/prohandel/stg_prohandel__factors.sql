with

factors as (
    select * from {{ source('prohandel', 'prohandel_factor') }}
),

told as (
    select
        tenant_id,
        lower(trim(factor)) as factor,
        cast(day as date) as day,
        coalesce({{ never_to_null('known_on') }}, cast('1900-01-01' as date)) as known_on,
        value,
        last_change,
        id
    from factors
    where _deleted_at is null and abs(value) < {{ least_uncountable() }}
),

final as (
    select tenant_id, factor, day, known_on, value
    from told
    qualify row_number() over (
        partition by tenant_id, factor, day, known_on order by last_change desc nulls last, id
    ) = 1
)

select * from final
