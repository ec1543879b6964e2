with

as_of as (
    select * from {{ ref('int_as_of') }}
),

months as (
    {% for ahead in range(6) -%}
    select
        tenant_id,
        as_of_on,
        {{ month_start('as_of_on', ahead) }} as month_start
    from as_of
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

sales as (
    select
        tenant_id,
        department,
        category,
        {{ add_months('sold_on', 12) }} as planned_on,
        cost
    from {{ ref('int_sales_windows_categories') }}
),

-- What is left of the month of as_of_on, and all of the months after it.
planned as (
    select
        sales.tenant_id,
        sales.department,
        sales.category,
        {{ month_start('sales.planned_on') }} as month_start,
        sum(sales.cost) as cost
    from sales
    inner join as_of
        on sales.tenant_id = as_of.tenant_id
    where sales.planned_on > as_of.as_of_on
    group by sales.tenant_id, sales.department, sales.category, {{ month_start('sales.planned_on') }}
),

articles as (
    select * from {{ ref('dim_articles') }}
),

stock as (
    select
        newest.tenant_id,
        newest.department,
        newest.category,
        sum(newest.stock_value) as stock_value
    from {{ ref('int_stock_newest') }} as newest
    inner join articles
        on newest.tenant_id = articles.tenant_id
        and newest.article_number = articles.article_number
    where articles.is_merchandise
    group by newest.tenant_id, newest.department, newest.category
),

-- Overdue goods and goods without a date are expected now.
on_order as (
    select
        orders.tenant_id,
        coalesce(articles.department, '(unknown)') as department,
        coalesce(articles.category, '(unknown)') as category,
        case
            when orders.expected_on > as_of.as_of_on then {{ month_start('orders.expected_on') }}
            else {{ month_start('as_of.as_of_on') }}
        end as month_start,
        sum(orders.open_value) as open_value
    from {{ ref('fct_purchase_orders') }} as orders
    inner join as_of
        on orders.tenant_id = as_of.tenant_id
    left join articles
        on orders.tenant_id = articles.tenant_id
        and orders.article_number = articles.article_number
    where orders.open_value <> 0
        and coalesce(articles.is_merchandise, true)
    group by 1, 2, 3, 4
),

categories as (
    select tenant_id, department, category from planned
    union
    select tenant_id, department, category from stock where stock_value <> 0
    union
    select tenant_id, department, category from on_order
),

closing as (
    select
        months.tenant_id,
        categories.department,
        categories.category,
        months.month_start,
        months.as_of_on,
        coalesce(sum(planned.cost), 0) as planned_closing
    from months
    inner join categories
        on months.tenant_id = categories.tenant_id
    left join planned
        on categories.tenant_id = planned.tenant_id
        and categories.department = planned.department
        and categories.category = planned.category
        and planned.month_start > months.month_start
        and planned.month_start <= {{ add_months('months.month_start', var('open_to_buy_cover_months')) }}
    group by months.tenant_id, categories.department, categories.category, months.month_start, months.as_of_on
),

chained as (
    select
        closing.*,
        coalesce(planned.cost, 0) as planned_sales,
        coalesce(on_order.open_value, 0) as on_order,
        -- A month opens with what the month before it was planned to close with, the first one with what is there.
        coalesce(
            lag(closing.planned_closing) over (
                partition by closing.tenant_id, closing.department, closing.category order by closing.month_start
            ),
            stock.stock_value,
            0
        ) as opening_stock
    from closing
    left join planned
        on closing.tenant_id = planned.tenant_id
        and closing.department = planned.department
        and closing.category = planned.category
        and closing.month_start = planned.month_start
    left join on_order
        on closing.tenant_id = on_order.tenant_id
        and closing.department = on_order.department
        and closing.category = on_order.category
        and closing.month_start = on_order.month_start
    left join stock
        on closing.tenant_id = stock.tenant_id
        and closing.department = stock.department
        and closing.category = stock.category
),

final as (
    select
        tenant_id,
        department,
        category,
        month_start,
        as_of_on,
        cast(opening_stock as decimal(18, 4)) as opening_stock,
        cast(planned_sales as decimal(18, 4)) as planned_sales,
        cast(planned_closing as decimal(18, 4)) as planned_closing,
        cast(on_order as decimal(18, 4)) as on_order,
        cast(planned_closing + planned_sales - opening_stock - on_order as decimal(18, 4)) as open_to_buy
    from chained
)

select * from final
