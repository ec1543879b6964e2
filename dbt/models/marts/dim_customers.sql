with

customers as (
    select * from {{ ref('stg_prohandel__customers') }}
),

purchases as (
    select
        tenant_id,
        number as customer_number,
        min(first_sold_on) as first_sold_on,
        max(last_sold_on) as last_sold_on
    from {{ ref('int_first_and_last_sales') }}
    where kind = 'customer'
    group by tenant_id, number
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
