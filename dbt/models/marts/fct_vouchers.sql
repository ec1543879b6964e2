with

vouchers as (
    select * from {{ ref('stg_prohandel__vouchers') }}
),

final as (
    select
        tenant_id,
        voucher_number,
        branch,
        customer_number,
        issued_on,
        redeemed_on,
        valid_until,
        value,
        redeemed_amount,
        cast(value - redeemed_amount as decimal(18, 2)) as open_amount
    from vouchers
)

select * from final
