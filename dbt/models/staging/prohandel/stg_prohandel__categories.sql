with

categories as (
    select * from {{ current_masters('prohandel_category') }}
),

final as (
    select
        tenant_id,
        number as category_number,
        nullif(main_category_number, 0) as main_category_number,
        nullif(tax_number, 0) as tax_number,
        nullif(trim(name), '') as name,
        coalesce(is_service_category, false) as is_service
    from categories
)

select * from final
