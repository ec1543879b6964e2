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
        {{ local_moment('sales.date', second_of_day('sales.time')) }} as sold_locally_at
    from sales
    left join tenants
        on sales.tenant_id = tenants.tenant_id
    where sales._deleted_at is null
),

final as (
    select
        tenant_id,
        id as sale_line_id,
        branch_number as branch,
        coalesce(cash_register_number, 0) as cash_register,
        nullif(receipt_number, 0) as receipt_number,
        receipt_position,
        cast(date as date) as sold_on,
        -- The first and the last day there is have no other day beside them.
        {{ to_utc('sold_locally_at', "case when date between '0001-01-02' and '9999-12-30' then time_zone else 'UTC' end") }} as sold_at,
        coalesce(article_number, 0) as article_number,
        nullif(customer_number, 0) as customer_number,
        nullif(staff_number, 0) as staff_number,
        nullif(trim(currency_number), '') as currency_number,
        mod(type, 2) = 1 as is_return,
        {{ pieces('quantity') }} as quantity,
        {{ money('sale_price', 2) }} as gross_amount,
        {{ money('coalesce(discount, 0)', 2) }} as discount_amount,
        {{ money('coalesce(deduction, 0)', 2) }} as deduction_amount,
        {{ money('coalesce(label_price, 0)', 2) }} as label_price,
        {{ money('purchase_price', 4) }} as cost_amount,
        _extracted_at
    from localised
)

select * from final
