with

orders as (
    select * from {{ source('prohandel', 'prohandel_order') }}
),

final as (
    select
        tenant_id,
        id as order_id,
        number as order_number,
        nullif(supplier_number, 0) as supplier_number,
        {{ never_to_null('created') }} as ordered_on,
        positions,
        _extracted_at
    from orders
    where _deleted_at is null
)

select * from final
