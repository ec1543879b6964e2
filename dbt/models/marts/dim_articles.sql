with

articles as (
    select * from {{ ref('int_articles') }}
),

final as (
    select
        tenant_id,
        article_number,
        label,
        category_number,
        category,
        department,
        product_type,
        is_merchandise
    from articles
)

select * from final
