with

sales as (
    select * from {{ source('prohandel', 'prohandel_sale') }}
),

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

localised as (
    select
        sales.*,
        tenants.time_zone,
        {{ local_moment('sales.date', 'coalesce(sales.time, 0)') }} as sold_locally_at
    from sales
    left join tenants
        on sales.tenant_id = tenants.tenant_id
    where not sales.is_deleted
),

final as (
    select
        tenant_id,
        id as sale_line_id,
        branch_number as branch,
        cash_register_number as cash_register,
        receipt_number,
        receipt_position,
        cast(date as date) as sold_on,
        {{ to_utc('sold_locally_at', 'time_zone') }} as sold_at,
        coalesce(article_number, 0) as article_number,
        nullif(customer_number, 0) as customer_number,
        mod(type, 2) = 1 as is_return,
        quantity,
        cast(sale_price as decimal(18, 2)) as gross_amount,
        cast(coalesce(discount, 0) as decimal(18, 2)) as discount_amount,
        cast(coalesce(deduction, 0) as decimal(18, 2)) as deduction_amount,
        cast(coalesce(label_price, 0) as decimal(18, 2)) as label_price,
        cast(purchase_price as decimal(18, 4)) as cost_amount
    from localised
)

select * from final
