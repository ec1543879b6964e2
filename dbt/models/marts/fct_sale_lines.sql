{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {
        'int_changed_lines': ['tenant_id', 'sold_on', 'sale_line_id'],
        'int_changed_articles': ['tenant_id', 'article_number'],
        'int_replaced_tenants': ['tenant_id'],
    }},
) }}

{% if not execute %}
-- depends_on: {{ ref('int_batches') }}, {{ ref('int_changed_lines') }}, {{ ref('int_changed_articles') }}
-- depends_on: {{ ref('int_replaced_tenants') }}, {{ ref('int_changed_days') }}
{% endif %}
with

{% if is_incremental() %}
arrived as (
    select distinct
        tenant_id,
        started_at
    from {{ ref('int_batches') }}
    where entity = 'sale'
        and is_new
        and tenant_id not in (select tenant_id from {{ ref('int_replaced_tenants') }})
),

-- A tenant that is replaced is taken whole, also what came without a batch.
sales as (
    select sales.*
    from {{ ref('stg_prohandel__sales') }} as sales
    inner join {{ ref('int_replaced_tenants') }} as replaced
        on sales.tenant_id = replaced.tenant_id
    union all
    select sales.*
    from {{ ref('stg_prohandel__sales') }} as sales
    inner join arrived
        on sales.tenant_id = arrived.tenant_id
        and sales._extracted_at = arrived.started_at
    union all
    select sales.*
    from {{ ref('stg_prohandel__sales') }} as sales
    inner join {{ ref('int_changed_articles') }} as changed
        on sales.tenant_id = changed.tenant_id
        and sales.article_number = changed.article_number
    left join arrived
        on sales.tenant_id = arrived.tenant_id
        and sales._extracted_at = arrived.started_at
    where changed.has_lines
        and arrived.tenant_id is null
),
{% else %}
sales as (
    select * from {{ ref('stg_prohandel__sales') }}
),
{% endif %}

articles as (
    select * from {{ ref('int_articles') }}
),

final as (
    select
        sales.tenant_id,
        sales.sale_line_id,
        -- The counter of a register starts again some day, so the day belongs to the receipt's name. A line without a
        -- receipt's number is a receipt of its own; an id may read like the name of another.
        coalesce(
            cast(sales.branch as varchar)
                || '-' || cast(sales.cash_register as varchar)
                || '-' || cast(sales.receipt_number as varchar)
                || '-' || cast(sales.sold_on as varchar),
            'line ' || sales.sale_line_id
        ) as receipt_id,
        sales.sold_on,
        sales.sold_at,
        sales.branch,
        sales.article_number,
        sales.customer_number,
        sales.staff_number,
        articles.category,
        articles.department,
        articles.product_type,
        articles.supplier,
        articles.season,
        articles.is_merchandise,
        sales.is_return,
        sales.quantity,
        sales.gross_amount,
        {{ money('sales.label_price * sales.quantity', 2) }} as label_amount,
        cast(case when sales.label_price <> 0 then sales.gross_amount else 0 end as decimal(18, 2)) as labelled_gross_amount,
        cast(cast(sales.gross_amount as double) / (1 + articles.vat_rate) as decimal(18, 4)) as net_amount,
        sales.cost_amount,
        sales.cash_register as _cash_register
    from sales
    left join articles
        on sales.tenant_id = articles.tenant_id
        and sales.article_number = articles.article_number
)

select * from final
