with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
    where days_ago < 364
),

stock as (
    select * from {{ ref('int_stock_newest') }}
),

final as (
    select
        sale_lines.tenant_id,
        sale_lines.branch,
        sale_lines.article_number,
        max(case when not sale_lines.is_return then sale_lines.sold_on end) as last_sold_on,
        {{ sum_pieces_of_lines('case when sale_lines.is_merchandise and days.days_ago < 91 then sale_lines.quantity else 0 end') }}
            as units_91d,
        cast(sum(sale_lines.net_amount) as decimal(18, 4)) as net_revenue_364d,
        cast(sum(sale_lines.cost_amount) as decimal(18, 4)) as cost_364d
    from sale_lines
    inner join days
        on sale_lines.tenant_id = days.tenant_id
        and sale_lines.sold_on = days.sold_on
    inner join stock
        on sale_lines.tenant_id = stock.tenant_id
        and sale_lines.branch = stock.branch
        and sale_lines.article_number = stock.article_number
    group by sale_lines.tenant_id, sale_lines.branch, sale_lines.article_number
)

select * from final
