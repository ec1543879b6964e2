with

staff as (
    select * from {{ ref('stg_prohandel__staff') }}
),

final as (
    select
        tenant_id,
        staff_number,
        branch,
        is_active
    from staff
)

select * from final
