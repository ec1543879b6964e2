with

vouchers as (
    select * from {{ current_masters('prohandel_voucher') }}
),

final as (
    select
        tenant_id,
        number as voucher_number,
        nullif(branch_number, 0) as branch,
        nullif(customer_number, 0) as customer_number,
        nullif(trim(currency_number), '') as currency_number,
        {{ never_to_null('date') }} as issued_on,
        {{ never_to_null('voucher_redemption_date') }} as redeemed_on,
        {{ never_to_null('valid_until') }} as valid_until,
        {{ money('value', 2) }} as value,
        {{ money('coalesce(amount_redeemed, 0)', 2) }} as redeemed_amount,
        _extracted_at
    from vouchers
    where _deleted_at is null
)

select * from final
