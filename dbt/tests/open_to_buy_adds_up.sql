-- The formula holds in every month, a month opens with what the month before it closes with, the first opens with the
-- newest stock of its category (of merchandise, in its department), and nobody loses a month.
with

plan as (
    select
        *,
        lag(planned_closing) over (partition by tenant_id, department, category order by month_start) as closed_before,
        count(*) over (partition by tenant_id, department, category) as months
    from {{ ref('mart_open_to_buy') }}
),

stock as (
    select
        positions.tenant_id,
        positions.department,
        positions.category,
        cast(sum(positions.stock_value) as decimal(38, 4)) as stock_value
    from {{ ref('mart_inventory_status') }} as positions
    inner join {{ ref('dim_articles') }} as articles
        on positions.tenant_id = articles.tenant_id
        and positions.article_number = articles.article_number
    where articles.is_merchandise
    group by positions.tenant_id, positions.department, positions.category
)

select
    coalesce(plan.tenant_id, stock.tenant_id) as tenant_id,
    coalesce(plan.department, stock.department) as department,
    coalesce(plan.category, stock.category) as category,
    plan.month_start,
    plan.opening_stock,
    plan.closed_before,
    stock.stock_value,
    plan.open_to_buy
from plan
full outer join stock
    on plan.tenant_id = stock.tenant_id
    and plan.department = stock.department
    and plan.category = stock.category
where plan.open_to_buy <> plan.planned_closing + plan.planned_sales - plan.opening_stock - plan.on_order
    or plan.opening_stock <> coalesce(plan.closed_before, stock.stock_value, 0)
    or plan.months <> 6
    or (
        plan.tenant_id is null
        and stock.stock_value <> 0
        and stock.tenant_id in (select tenant_id from {{ ref('int_as_of') }})
    )
