with

articles as (
    select * from {{ ref('int_articles') }}
),

sales as (
    select
        tenant_id,
        number as article_number,
        min(first_sold_on) as first_sold_on,
        max(last_sold_on) as last_sold_on
    from {{ ref('int_first_and_last_sales') }}
    where kind = 'article'
    group by tenant_id, number
),

final as (
    select
        articles.tenant_id,
        articles.article_number,
        articles.category_number,
        articles.supplier_number,
        articles.season_number,
        articles.label,
        articles.category,
        articles.department,
        articles.product_type,
        articles.supplier,
        articles.season,
        articles.brand,
        articles.is_merchandise,
        articles.is_nos,
        articles.is_active,
        articles.purchase_price,
        articles.label_price,
        articles.vat_rate,
        -- The master may know of sales from before the first line that was read.
        case
            when articles.first_sold_on < sales.first_sold_on then articles.first_sold_on
            else coalesce(sales.first_sold_on, articles.first_sold_on)
        end as first_sold_on,
        coalesce(sales.last_sold_on, articles.last_sold_on) as last_sold_on
    from articles
    left join sales
        on articles.tenant_id = sales.tenant_id
        and articles.article_number = sales.article_number
)

select * from final
