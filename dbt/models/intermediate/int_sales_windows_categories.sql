with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
    where is_merchandise
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
),

final as (
    select
        sale_lines.tenant_id,
        sale_lines.department,
        sale_lines.category,
        sale_lines.sold_on,
        cast(sum(sale_lines.cost_amount) as decimal(18, 4)) as cost
    from sale_lines
    inner join days
        on sale_lines.tenant_id = days.tenant_id
        and sale_lines.sold_on = days.sold_on
    group by sale_lines.tenant_id, sale_lines.department, sale_lines.category, sale_lines.sold_on
)

select * from final
