with

currencies as (
    select * from {{ current_masters('prohandel_currency') }}
),

final as (
    select
        tenant_id,
        trim(number) as currency_number,
        nullif(upper(trim(iso_alpha3)), '') as iso_code
    from currencies
    where trim(number) <> ''
    qualify row_number() over (partition by tenant_id, trim(number) order by number) = 1
)

select * from final
