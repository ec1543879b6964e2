with

customers as (
    select * from {{ ref('stg_prohandel__customers') }}
),

purchases as (
    select
        tenant_id,
        customer_number,
        min(sold_on) as first_sold_on,
        max(sold_on) as last_sold_on
    from {{ ref('stg_prohandel__sales') }}
    where customer_number is not null
    group by tenant_id, customer_number
),

-- Known from the master, from a receipt, or from both.
final as (
    select
        coalesce(customers.tenant_id, purchases.tenant_id) as tenant_id,
        coalesce(customers.customer_number, purchases.customer_number) as customer_number,
        purchases.first_sold_on,
        purchases.last_sold_on
    from customers
    full outer join purchases
        on customers.tenant_id = purchases.tenant_id
        and customers.customer_number = purchases.customer_number
)

select * from final
