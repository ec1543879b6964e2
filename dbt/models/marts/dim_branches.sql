with

branches as (
    select * from {{ ref('stg_prohandel__branches') }}
),

final as (
    select
        tenant_id,
        branch,
        name,
        is_active
    from branches
)

select * from final
