with

vat_rates as (
    select * from {{ source('prohandel', 'tenant_vat_rates') }}
),

final as (
    select
        tenant_id,
        tax_number,
        rate as vat_rate
    from vat_rates
)

select * from final
