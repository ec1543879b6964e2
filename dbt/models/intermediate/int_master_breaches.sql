{% set numbered = {
    'category_number_twice': 'prohandel_category',
    'branch_number_twice': 'prohandel_branch',
    'article_number_twice': 'prohandel_article',
    'supplier_number_twice': 'prohandel_supplier',
    'customer_number_twice': 'prohandel_customer',
} %}

with

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

vat_rates as (
    select * from {{ ref('int_vat_rates') }}
),

categories as (
    select * from {{ ref('stg_prohandel__categories') }}
),

tree as (
    select * from {{ ref('int_categories') }}
),

articles as (
    select * from {{ ref('stg_prohandel__articles') }}
),

suppliers as (
    select * from {{ ref('stg_prohandel__suppliers') }}
),

seasons as (
    select * from {{ ref('stg_prohandel__seasons') }}
),

branches as (
    select * from {{ ref('stg_prohandel__branches') }}
),

selling_branches as (
    select distinct
        tenant_id,
        number as branch
    from {{ ref('int_first_and_last_sales') }}
    where kind = 'branch'
),

stock as (
    select * from {{ source('prohandel', 'prohandel_articlesize') }}
    where _deleted_at is null
),

orders as (
    select * from {{ ref('stg_prohandel__orders') }}
),

positions as (
    select * from {{ ref('stg_prohandel__order_positions') }}
),

vouchers as (
    select * from {{ ref('stg_prohandel__vouchers') }}
),

{% for rule, table in numbered.items() %}
{{ rule }} as (
    select
        tenant_id,
        '{{ rule }}' as rule,
        cast(number as varchar) as record,
        cast(count(*) as varchar) || ' living records have this number' as detail
    from {{ source('prohandel', table) }}
    where _deleted_at is null
        and number <> 0
    group by tenant_id, number
    having count(*) > 1
),
{% endfor %}

{% for rule, column, master in [
    ('article_category_unknown', 'category_number', 'categories'),
    ('article_supplier_unknown', 'supplier_number', 'suppliers'),
    ('article_season_unknown', 'season_number', 'seasons'),
] %}
-- Merchants need not have every entity.
{{ rule }} as (
    select
        articles.tenant_id,
        '{{ rule }}' as rule,
        cast(articles.article_number as varchar) as record,
        '{{ column | replace('_number', '') }} ' || cast(articles.{{ column }} as varchar) as detail
    from articles
    left join {{ master }} as known
        on articles.tenant_id = known.tenant_id
        and articles.{{ column }} = known.{{ column }}
    where articles.{{ column }} is not null
        and known.{{ column }} is null
        and articles.tenant_id in (select tenant_id from {{ master }})
),
{% endfor %}

told as (
    select
        tenants.tenant_id,
        'tenant_without_vat_rates' as rule,
        tenants.tenant_id as record,
        'no VAT rate is set up' as detail
    from tenants
    left join vat_rates
        on tenants.tenant_id = vat_rates.tenant_id
    where vat_rates.tenant_id is null
    union all
    select
        categories.tenant_id,
        'tax_number_without_rate' as rule,
        cast(categories.category_number as varchar) as record,
        'tax number ' || cast(categories.tax_number as varchar) as detail
    from categories
    left join vat_rates
        on categories.tenant_id = vat_rates.tenant_id
        and categories.tax_number = vat_rates.tax_number
    where categories.tax_number is not null
        and vat_rates.tenant_id is null
    union all
    select
        tree.tenant_id,
        'category_cycle' as rule,
        cast(tree.category_number as varchar) as record,
        case
            when tree.is_circular
                then 'its main category ' || cast(categories.main_category_number as varchar) || ' leads back to it'
            else 'it lies under {{ deepest_category() }} categories'
        end as detail
    from tree
    inner join categories
        on tree.tenant_id = categories.tenant_id
        and tree.category_number = categories.category_number
    where tree.is_cut
    union all
    select
        categories.tenant_id,
        'category_parent_unknown' as rule,
        cast(categories.category_number as varchar) as record,
        'main category ' || cast(categories.main_category_number as varchar) as detail
    from categories
    left join categories as parents
        on categories.tenant_id = parents.tenant_id
        and categories.main_category_number = parents.category_number
    where categories.main_category_number is not null
        and parents.tenant_id is null
    union all
    select
        tenant_id,
        'article_without_category' as rule,
        cast(article_number as varchar) as record,
        'no category' as detail
    from articles
    where category_number is null
        and is_active
    union all
    select
        selling_branches.tenant_id,
        'sale_at_unknown_branch' as rule,
        cast(selling_branches.branch as varchar) as record,
        'no record has this number' as detail
    from selling_branches
    left join branches
        on selling_branches.tenant_id = branches.tenant_id
        and selling_branches.branch = branches.branch
    where branches.tenant_id is null
    union all
    select
        tenant_id,
        'stock_negative' as rule,
        id as record,
        'article ' || cast(article_number as varchar) || ' in branch ' || cast(branch_number as varchar) as detail
    from stock
    where stock_quantity < 0
    union all
    select
        tenant_id,
        'stock_uncountable' as rule,
        id as record,
        'article ' || cast(article_number as varchar) || ' in branch ' || cast(branch_number as varchar) as detail
    from stock
    where {{ is_uncountable(['stock_quantity', 'purchase_price', product('stock_quantity', 'purchase_price')]) }}
    union all
    select
        tenant_id,
        'article_uncountable' as rule,
        cast(number as varchar) as record,
        'the purchase price or the label price is out of bounds' as detail
    from {{ current_masters('prohandel_article') }} as counted
    where {{ is_uncountable(['purchase_price', 'label_price']) }}
    union all
    select
        tenant_id,
        'voucher_uncountable' as rule,
        cast(number as varchar) as record,
        'the value or what was redeemed is out of bounds' as detail
    from {{ current_masters('prohandel_voucher') }} as counted
    where {{ is_uncountable(['value', 'amount_redeemed']) }}
        and _deleted_at is null
    union all
    select
        tenant_id,
        'order_without_day' as rule,
        order_id as record,
        'order ' || cast(order_number as varchar) as detail
    from orders
    where ordered_on is null
    union all
    select
        positions.tenant_id,
        'order_position_without_article' as rule,
        positions.order_id || '/' || cast(positions.position as varchar) as record,
        'order ' || cast(positions.order_number as varchar) || ', article '
            || cast(positions.article_number as varchar) as detail
    from positions
    left join articles
        on positions.tenant_id = articles.tenant_id
        and positions.article_number = articles.article_number
    where articles.tenant_id is null
    union all
    select
        tenant_id,
        'order_position_without_delivery' as rule,
        order_id || '/' || cast(position as varchar) as record,
        'order ' || cast(order_number as varchar) as detail
    from positions
    where delivered_units is null
    union all
    select
        tenant_id,
        'order_position_uncountable' as rule,
        order_id || '/' || cast(position as varchar) as record,
        'order ' || cast(order_number as varchar) as detail
    from positions
    where is_uncountable
    union all
    select
        tenant_id,
        'voucher_overdrawn' as rule,
        cast(voucher_number as varchar) as record,
        'redeemed ' || cast(redeemed_amount as varchar) || ' of ' || cast(value as varchar) as detail
    from vouchers
    where redeemed_amount > value
),

final as (
    select * from told
    {% for rule in numbered %}
    union all
    select * from {{ rule }}
    {% endfor %}
    {% for rule in ['article_category_unknown', 'article_supplier_unknown', 'article_season_unknown'] %}
    union all
    select * from {{ rule }}
    {% endfor %}
)

select * from final
