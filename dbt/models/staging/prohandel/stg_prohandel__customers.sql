with

customers as (
    select * from {{ current_masters('prohandel_customer') }}
),

final as (
    select
        tenant_id,
        number as customer_number
    from customers
    where number <> 0
)

select * from final
