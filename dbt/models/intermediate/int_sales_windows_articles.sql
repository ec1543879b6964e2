with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
    where days_ago < 364
),

lines as (
    select
        sale_lines.tenant_id,
        sale_lines.article_number,
        sale_lines.sold_on,
        sale_lines.is_return,
        case when sale_lines.is_merchandise then sale_lines.quantity else 0 end as units,
        sale_lines.gross_amount,
        sale_lines.net_amount,
        sale_lines.cost_amount,
        days.days_ago
    from sale_lines
    -- On equal days, not a range: then the scan leaves out the partitions of all other days.
    inner join days
        on sale_lines.tenant_id = days.tenant_id
        and sale_lines.sold_on = days.sold_on
),

final as (
    select
        tenant_id,
        article_number,
        min(sold_on) as first_sold_on,
        {{ sum_pieces_of_lines('case when days_ago < 28 then units else 0 end') }} as units_28d,
        {{ sum_pieces_of_lines('case when days_ago between 28 and 55 then units else 0 end') }} as units_28d_before,
        {{ sum_pieces_of_lines('case when days_ago < 91 then units else 0 end') }} as units_91d,
        {{ sum_pieces_of_lines('units') }} as units_364d,
        {{ sum_pieces_of_lines('case when not is_return then units else 0 end') }} as sold_units_364d,
        {{ sum_pieces_of_lines('case when is_return then -units else 0 end') }} as returned_units_364d,
        cast(sum(case when days_ago < 28 then gross_amount else 0 end) as decimal(18, 2)) as revenue_28d,
        cast(sum(case when days_ago < 91 then gross_amount else 0 end) as decimal(18, 2)) as revenue_91d,
        cast(sum(gross_amount) as decimal(18, 2)) as revenue_364d,
        cast(sum(net_amount) as decimal(18, 4)) as net_revenue_364d,
        cast(sum(cost_amount) as decimal(18, 4)) as cost_364d
    from lines
    group by tenant_id, article_number
)

select * from final
