with

articles as (
    select * from {{ current_masters('prohandel_article') }}
),

final as (
    select
        tenant_id,
        number as article_number,
        nullif(category_number, 0) as category_number,
        nullif(supplier_number, 0) as supplier_number,
        nullif(season_number, 0) as season_number,
        nullif(trim(supplier_article_number), '') as supplier_article_number,
        nullif(trim(supplier_color), '') as supplier_color,
        nullif(trim(text1), '') as product_type,
        nullif(trim(text2), '') as package_size,
        nullif(trim(text3), '') as brand,
        coalesce(is_nos, false) as is_nos,
        coalesce(is_active, true) and _deleted_at is null as is_active,
        {{ money('purchase_price', 4) }} as purchase_price,
        {{ money('label_price', 2) }} as label_price,
        {{ never_to_null('first_sale_date') }} as first_sold_on,
        {{ never_to_null('last_sale_date') }} as last_sold_on,
        _extracted_at
    from articles
)

select * from final
