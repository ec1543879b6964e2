{{ config(materialized='view') }}

with

vat_rates as (
    select * from {{ ref('stg_prohandel__vat_rates') }}
),

final as (
    select
        tenant_id,
        tax_number,
        vat_rate,
        row_number() over (
            partition by tenant_id
            order by case when tax_number = 1 then 0 else 1 end, vat_rate desc, tax_number
        ) = 1 as is_standard
    from vat_rates
)

select * from final
