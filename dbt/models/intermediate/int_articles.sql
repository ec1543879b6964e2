with

articles as (
    select * from {{ ref('stg_prohandel__articles') }}
),

categories as (
    select * from {{ ref('int_categories') }}
),

suppliers as (
    select * from {{ ref('stg_prohandel__suppliers') }}
),

seasons as (
    select * from {{ ref('stg_prohandel__seasons') }}
),

standard_rates as (
    select * from {{ ref('int_vat_rates') }}
    where is_standard
),

-- A till sells and a stock list holds articles whose master is gone: they keep their number and nothing else.
referenced as (
    select tenant_id, article_number from articles
    union
    select tenant_id, article_number from {{ ref('int_sold_articles') }}
    union
    select tenant_id, article_number from {{ ref('int_stocked_articles') }}
),

described as (
    select
        referenced.tenant_id,
        referenced.article_number,
        articles.article_number is not null as has_master,
        articles.category_number,
        articles.supplier_number,
        articles.season_number,
        articles.product_type,
        articles.supplier_article_number,
        articles.supplier_color,
        articles.package_size,
        articles.brand,
        nullif(categories.name, '(unknown)') as category,
        categories.department,
        suppliers.name as supplier,
        seasons.name as season,
        coalesce(not categories.is_service, true) as is_merchandise,
        coalesce(articles.is_nos, false) as is_nos,
        coalesce(articles.is_active, false) as is_active,
        articles.purchase_price,
        articles.label_price,
        case when categories.category_number is null then standard_rates.vat_rate else categories.vat_rate end as vat_rate,
        articles.first_sold_on,
        articles.last_sold_on
    from referenced
    left join articles
        on referenced.tenant_id = articles.tenant_id
        and referenced.article_number = articles.article_number
    left join categories
        on articles.tenant_id = categories.tenant_id
        and articles.category_number = categories.category_number
    left join suppliers
        on articles.tenant_id = suppliers.tenant_id
        and articles.supplier_number = suppliers.supplier_number
    left join seasons
        on articles.tenant_id = seasons.tenant_id
        and articles.season_number = seasons.season_number
    left join standard_rates
        on referenced.tenant_id = standard_rates.tenant_id
),

final as (
    select
        tenant_id,
        article_number,
        {{ words([
            'coalesce(product_type, category)',
            'package_size',
            'brand',
            'supplier_color',
            "coalesce(supplier_article_number, cast(article_number as varchar))",
        ]) }} as label,
        category_number,
        supplier_number,
        season_number,
        coalesce(category, '(unknown)') as category,
        coalesce(department, '(unknown)') as department,
        coalesce(product_type, '(unknown)') as product_type,
        coalesce(supplier, '(unknown)') as supplier,
        coalesce(season, '(unknown)') as season,
        brand,
        has_master,
        is_merchandise,
        is_nos,
        is_active,
        purchase_price,
        label_price,
        vat_rate,
        first_sold_on,
        last_sold_on
    from described
)

select * from final
