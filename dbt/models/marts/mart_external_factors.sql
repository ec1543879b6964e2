with

factors as (
    select * from {{ ref('stg_prohandel__factors') }}
),

final as (
    select tenant_id, factor, day, known_on, value
    from factors
)

select * from final
