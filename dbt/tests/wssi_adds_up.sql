-- Closing = opening + intake − sales, and a week opens with what the week before it closed with.
with

weeks as (
    select * from {{ ref('mart_wssi') }}
)

select
    weeks.tenant_id,
    weeks.department,
    weeks.category,
    weeks.week_start,
    weeks.opening_stock,
    weeks.intake,
    weeks.sales,
    weeks.closing_stock,
    following.opening_stock as opening_stock_of_next
from weeks
left join weeks as following
    on weeks.tenant_id = following.tenant_id
    and weeks.department = following.department
    and weeks.category = following.category
    and weeks.week_start + 7 = following.week_start
where weeks.closing_stock <> weeks.opening_stock + weeks.intake - weeks.sales
    or weeks.closing_stock <> following.opening_stock
