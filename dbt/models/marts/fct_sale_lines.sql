with

sales as (
    select * from {{ ref('stg_prohandel__sales') }}
),

articles as (
    select * from {{ ref('int_articles') }}
),

final as (
    select
        sales.tenant_id,
        sales.sale_line_id,
        -- The counter of a register starts again some day, so the day belongs to the receipt's name.
        cast(sales.branch as varchar)
            || '-' || cast(sales.cash_register as varchar)
            || '-' || cast(sales.receipt_number as varchar)
            || '-' || cast(sales.sold_on as varchar) as receipt_id,
        sales.sold_on,
        sales.sold_at,
        sales.branch,
        sales.article_number,
        sales.customer_number,
        articles.category,
        articles.department,
        articles.product_type,
        articles.is_merchandise,
        sales.is_return,
        sales.quantity,
        sales.gross_amount,
        cast(cast(sales.gross_amount as double) / (1 + articles.vat_rate) as decimal(18, 4)) as net_amount,
        {{ money('sales.label_price * sales.quantity', 2) }} as label_amount,
        cast(case when sales.label_price <> 0 then sales.gross_amount else 0 end as decimal(18, 2)) as labelled_gross_amount,
        sales.cost_amount
    from sales
    left join articles
        on sales.tenant_id = articles.tenant_id
        and sales.article_number = articles.article_number
)

select * from final
