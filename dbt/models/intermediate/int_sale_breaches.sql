{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'sold_on']}},
) }}

{% set details = {
    'sale_without_article': "case when article_number = 0 then 'no article' else 'article ' || cast(article_number as varchar) end",
    'sale_without_cost': "'no purchase price'",
    'sale_type_unknown': "'type ' || cast(type as varchar)",
    'currency_foreign': "'currency ' || currency || ' instead of ' || tenant_currency",
    'day_in_future': "cast(sold_on as varchar) || ', read on ' || cast(read_on as varchar)",
    'day_before_calendar': "cast(sold_on as varchar)",
    'receipt_without_number': "'register ' || coalesce(cast(cash_register_number as varchar), 'unknown')",
    'quantity_uncountable': "'a quantity or an amount is out of bounds'",
    'return_not_negative': "'a return of a positive quantity'",
    'label_price_unexplained': "'price and reductions make up ' || cast(reckoned as varchar) || ', the label ' || cast(labelled as varchar)",
} %}

with

sales as (
    select
        *,
        cast(date as date) as sold_on
    from {{ source('prohandel', 'prohandel_sale') }}
    where _deleted_at is null
),

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

currencies as (
    select * from {{ ref('stg_prohandel__currencies') }}
),

articles as (
    select * from {{ ref('stg_prohandel__articles') }}
),

described as (
    select
        sales.tenant_id,
        sales.sold_on,
        sales.id as sale_line_id,
        coalesce(sales.article_number, 0) as article_number,
        articles.article_number is null as is_without_article,
        sales.type,
        sales.quantity,
        sales.purchase_price,
        sales.receipt_number,
        sales.cash_register_number,
        upper(coalesce(currencies.iso_code, nullif(trim(sales.currency_number), ''))) as currency,
        upper(tenants.currency) as tenant_currency,
        cast({{ to_local('sales._extracted_at', 'tenants.time_zone') }} as date) as read_on,
        {{ money('coalesce(sales.label_price, 0)', 2) }} as label_price,
        {{ money('sales.sale_price', 2) }}
            + {{ money('coalesce(sales.discount, 0)', 2) }}
            + {{ money('coalesce(sales.deduction, 0)', 2) }} as reckoned,
        {{ money(product('sales.quantity', 'sales.label_price'), 2) }} as labelled,
        {{ is_uncountable([
            'sales.quantity',
            'sales.sale_price',
            'sales.discount',
            'sales.deduction',
            'sales.label_price',
            'sales.purchase_price',
            product('sales.quantity', 'sales.label_price'),
        ]) }} as is_uncountable
    from sales
    inner join tenants
        on sales.tenant_id = tenants.tenant_id
    left join currencies
        on sales.tenant_id = currencies.tenant_id
        and trim(sales.currency_number) = currencies.currency_number
    left join articles
        on sales.tenant_id = articles.tenant_id
        and sales.article_number = articles.article_number
        and sales.article_number <> 0
    {{ where_changed('int_changed_days', 'sold_on', of='sales') }}
),

judged as (
    select
        *,
        is_without_article as sale_without_article,
        purchase_price is null as sale_without_cost,
        type not in (0, 1, 2, 3) as sale_type_unknown,
        coalesce(currency <> tenant_currency, false) as currency_foreign,
        sold_on > read_on as day_in_future,
        sold_on < {{ first_day() }} as day_before_calendar,
        coalesce(receipt_number, 0) = 0 as receipt_without_number,
        is_uncountable as quantity_uncountable,
        mod(type, 2) = 1 and quantity > 0 as return_not_negative,
        label_price <> 0 and not is_uncountable and labelled <> reckoned as label_price_unexplained
    from described
),

final as (
    {% for rule, detail in details.items() %}
    select
        tenant_id,
        sold_on,
        sale_line_id,
        article_number,
        '{{ rule }}' as rule,
        {{ detail }} as detail
    from judged
    where {{ rule }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from final
