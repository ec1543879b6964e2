with

articles as (
    select
        tenant_id,
        article_number,
        coalesce(supplier_number, 0) as supplier_number
    from {{ ref('dim_articles') }}
),

suppliers as (
    select * from {{ ref('dim_suppliers') }}
),

tenants as (
    select * from {{ ref('int_sales_windows_tenants') }}
),

sold as (
    select
        sales.tenant_id,
        articles.supplier_number,
        {{ sum_pieces('sales.units_364d') }} as units_364d,
        {{ sum_pieces('sales.sold_units_364d') }} as sold_units_364d,
        {{ sum_pieces('sales.returned_units_364d') }} as returned_units_364d,
        cast(sum(sales.revenue_364d) as decimal(18, 2)) as revenue_364d,
        cast(sum(sales.net_revenue_364d) as decimal(18, 4)) as net_revenue_364d,
        cast(sum(sales.cost_364d) as decimal(18, 4)) as cost_364d
    from {{ ref('int_sales_windows_articles') }} as sales
    inner join articles
        on sales.tenant_id = articles.tenant_id
        and sales.article_number = articles.article_number
    group by sales.tenant_id, articles.supplier_number
),

stock as (
    select
        newest.tenant_id,
        articles.supplier_number,
        {{ sum_pieces('newest.quantity') }} as stock_units,
        -- Closing stock of the sell-through: what a mistake of booking made negative is not there.
        {{ sum_pieces('greatest(newest.quantity, 0)') }} as closing_units,
        sum(newest.stock_value) as stock_value
    from {{ ref('int_stock_newest') }} as newest
    inner join articles
        on newest.tenant_id = articles.tenant_id
        and newest.article_number = articles.article_number
    where newest.quantity <> 0 or newest.stock_value <> 0
    group by newest.tenant_id, articles.supplier_number
),

averages as (
    select
        averages.tenant_id,
        articles.supplier_number,
        cast(sum(averages.stock_value_of_snapshots) as double) / max(averages.snapshots) as average_stock_value
    from {{ ref('int_stock_averages') }} as averages
    inner join articles
        on averages.tenant_id = articles.tenant_id
        and averages.article_number = articles.article_number
    group by averages.tenant_id, articles.supplier_number
),

positions as (
    select
        orders.*,
        as_of.as_of_on,
        coalesce(orders.ordered_on > as_of.as_of_on - 364, true) as is_within_364d
    from {{ ref('fct_purchase_orders') }} as orders
    left join {{ ref('int_as_of') }} as as_of
        on orders.tenant_id = as_of.tenant_id
),

ordered as (
    select
        tenant_id,
        coalesce(supplier_number, 0) as supplier_number,
        count(distinct case when is_within_364d then order_id end) as orders,
        {{ sum_pieces('case when is_within_364d then ordered_units else 0 end') }} as ordered_units,
        {{ sum_pieces('case when is_within_364d then delivered_units else 0 end') }} as delivered_units,
        {{ sum_pieces('open_units') }} as open_units,
        {{ sum_pieces('case when expected_on < as_of_on then open_units else 0 end') }} as overdue_units,
        sum(open_value) as open_value
    from positions
    where is_within_364d or open_units <> 0
    group by tenant_id, coalesce(supplier_number, 0)
),

listed as (
    select tenant_id, supplier_number from sold
    union
    select tenant_id, supplier_number from stock
    union
    select tenant_id, supplier_number from ordered
),

joined as (
    select
        listed.tenant_id,
        listed.supplier_number,
        coalesce(suppliers.name, '(unknown)') as supplier,
        tenants.as_of_on,
        tenants.days_covered,
        coalesce(sold.units_364d, 0) as units_364d,
        coalesce(sold.sold_units_364d, 0) as sold_units_364d,
        coalesce(sold.returned_units_364d, 0) as returned_units_364d,
        coalesce(sold.revenue_364d, 0) as revenue_364d,
        case when sold.tenant_id is null then 0 else sold.net_revenue_364d end as net_revenue_364d,
        case when sold.tenant_id is null then 0 else sold.cost_364d end as cost_364d,
        coalesce(stock.stock_units, 0) as stock_units,
        coalesce(stock.closing_units, 0) as closing_units,
        coalesce(stock.stock_value, 0) as stock_value,
        coalesce(averages.average_stock_value, 0) as average_stock_value,
        coalesce(ordered.orders, 0) as orders,
        coalesce(ordered.ordered_units, 0) as ordered_units,
        coalesce(ordered.delivered_units, 0) as delivered_units,
        coalesce(ordered.open_units, 0) as open_units,
        coalesce(ordered.overdue_units, 0) as overdue_units,
        coalesce(ordered.open_value, 0) as open_value
    from listed
    left join suppliers
        on listed.tenant_id = suppliers.tenant_id
        and listed.supplier_number = suppliers.supplier_number
    left join tenants
        on listed.tenant_id = tenants.tenant_id
    left join sold
        on listed.tenant_id = sold.tenant_id
        and listed.supplier_number = sold.supplier_number
    left join stock
        on listed.tenant_id = stock.tenant_id
        and listed.supplier_number = stock.supplier_number
    left join averages
        on listed.tenant_id = averages.tenant_id
        and listed.supplier_number = averages.supplier_number
    left join ordered
        on listed.tenant_id = ordered.tenant_id
        and listed.supplier_number = ordered.supplier_number
),

final as (
    select
        tenant_id,
        supplier_number,
        cast(orders as bigint) as orders,
        days_covered,
        as_of_on,
        supplier,
        sold_units_364d,
        returned_units_364d,
        {{ ratio('returned_units_364d', 'sold_units_364d') }} as return_rate_364d,
        {{ ratio('cast(net_revenue_364d - cost_364d as decimal(18, 4))', 'net_revenue_364d') }} as gross_margin_364d,
        case when units_364d + closing_units > 0 then units_364d / (units_364d + closing_units) end as sell_through_364d,
        case
            when average_stock_value > 0 then cast(cost_364d as double) * 365 / days_covered / average_stock_value
        end as turnover,
        stock_units,
        ordered_units,
        delivered_units,
        open_units,
        overdue_units,
        {{ ratio('delivered_units', 'ordered_units') }} as fill_rate,
        cast(revenue_364d as decimal(18, 2)) as revenue_364d,
        cast(net_revenue_364d as decimal(18, 4)) as net_revenue_364d,
        cast(cost_364d as decimal(18, 4)) as cost_364d,
        cast(net_revenue_364d - cost_364d as decimal(18, 4)) as gross_profit_364d,
        cast(stock_value as decimal(18, 4)) as stock_value,
        cast(average_stock_value as decimal(18, 4)) as average_stock_value,
        cast(open_value as decimal(18, 4)) as open_value
    from joined
)

select * from final
