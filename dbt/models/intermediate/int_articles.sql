with

articles as (
    select * from {{ ref('stg_prohandel__articles') }}
),

categories as (
    select * from {{ ref('stg_prohandel__categories') }}
),

vat_rates as (
    select * from {{ ref('stg_prohandel__vat_rates') }}
),

-- What counts without a tax number, or with one that nobody has set up: tax number 1, else the highest rate.
standard_rates as (
    select
        tenant_id,
        coalesce(max(case when tax_number = 1 then vat_rate end), max(vat_rate)) as vat_rate
    from vat_rates
    group by tenant_id
),

-- A till sells and a stock list holds articles whose master is gone: they keep their number and nothing else.
referenced as (
    select tenant_id, article_number from articles
    union
    select tenant_id, article_number from {{ ref('stg_prohandel__sales') }}
    union
    select tenant_id, article_number from {{ ref('stg_prohandel__article_sizes') }}
),

described as (
    select
        referenced.tenant_id,
        referenced.article_number,
        articles.category_number,
        articles.product_type,
        articles.supplier_article_number,
        articles.supplier_color,
        articles.package_size,
        articles.brand,
        categories.name as category,
        coalesce(departments.name, categories.name) as department,
        coalesce(not categories.is_service, true) as is_merchandise,
        categories.tax_number
    from referenced
    left join articles
        on referenced.tenant_id = articles.tenant_id
        and referenced.article_number = articles.article_number
    left join categories
        on articles.tenant_id = categories.tenant_id
        and articles.category_number = categories.category_number
    left join categories as departments
        on categories.tenant_id = departments.tenant_id
        and categories.main_category_number = departments.category_number
),

final as (
    select
        described.tenant_id,
        described.article_number,
        {{ words([
            'coalesce(described.product_type, described.category)',
            'described.package_size',
            'described.brand',
            'described.supplier_color',
            "coalesce(described.supplier_article_number, cast(described.article_number as varchar))",
        ]) }} as label,
        described.category_number,
        coalesce(described.category, '(unknown)') as category,
        coalesce(described.department, '(unknown)') as department,
        coalesce(described.product_type, '(unknown)') as product_type,
        described.is_merchandise,
        coalesce(vat_rates.vat_rate, standard_rates.vat_rate) as vat_rate
    from described
    left join vat_rates
        on described.tenant_id = vat_rates.tenant_id
        and described.tax_number = vat_rates.tax_number
    left join standard_rates
        on described.tenant_id = standard_rates.tenant_id
)

select * from final
