with

suppliers as (
    select * from {{ ref('stg_prohandel__suppliers') }}
),

final as (
    select
        tenant_id,
        supplier_number,
        name,
        country,
        is_active
    from suppliers
)

select * from final
