with

categories as (
    select * from {{ ref('int_categories') }}
),

final as (
    select
        tenant_id,
        category_number,
        parent_number,
        department_number,
        cast(depth as bigint) as depth,
        tax_number,
        name,
        department,
        path,
        is_service,
        vat_rate
    from categories
)

select * from final
