with

stock as (
    select * from {{ ref('int_stock_newest') }}
),

articles as (
    select * from {{ ref('dim_articles') }}
),

seasons as (
    select * from {{ ref('dim_seasons') }}
),

sold as (
    select * from {{ ref('int_sales_windows_positions') }}
),

tenants as (
    select * from {{ ref('int_sales_windows_tenants') }}
),

averages as (
    select * from {{ ref('int_stock_averages') }}
),

on_order as (
    select
        tenant_id,
        branch,
        article_number,
        {{ sum_pieces('open_units') }} as open_units
    from {{ ref('fct_purchase_orders') }}
    group by tenant_id, branch, article_number
),

joined as (
    select
        stock.*,
        articles.is_merchandise and articles.is_nos and coalesce(articles.is_active, true) as is_never_out_of_stock,
        articles.first_sold_on,
        seasons.ends_on as season_ends_on,
        sold.last_sold_on,
        coalesce(sold.units_91d, 0) as units_91d,
        case when sold.tenant_id is null then 0 else sold.cost_364d end as cost_364d,
        case when sold.tenant_id is null then 0 else sold.net_revenue_364d - sold.cost_364d end as gross_profit_364d,
        tenants.days_covered,
        cast(averages.stock_value_of_snapshots as double) / averages.snapshots as average_stock_value,
        coalesce(on_order.open_units, 0) as on_order_units
    from stock
    left join articles
        on stock.tenant_id = articles.tenant_id
        and stock.article_number = articles.article_number
    left join seasons
        on articles.tenant_id = seasons.tenant_id
        and articles.season_number = seasons.season_number
    left join sold
        on stock.tenant_id = sold.tenant_id
        and stock.branch = sold.branch
        and stock.article_number = sold.article_number
    left join tenants
        on stock.tenant_id = tenants.tenant_id
    left join averages
        on stock.tenant_id = averages.tenant_id
        and stock.branch = averages.branch
        and stock.article_number = averages.article_number
    left join on_order
        on stock.tenant_id = on_order.tenant_id
        and stock.branch = on_order.branch
        and stock.article_number = on_order.article_number
),

covered as (
    select
        *,
        case when units_91d > 0 then greatest(quantity, 0) * 91 / units_91d end as days_of_supply,
        quantity > 0 or units_91d > 0 or coalesce(is_never_out_of_stock, false) as is_listed,
        coalesce(season_ends_on < as_of_on, false)
            or (
                as_of_on is not null
                and coalesce(last_sold_on <= as_of_on - {{ var('old_days') }}, true)
                and coalesce(first_sold_on <= as_of_on - {{ var('old_days') }}, true)
            ) as is_old
    from joined
),

final as (
    select
        tenant_id,
        branch,
        article_number,
        sizes,
        sizes_out,
        cast(as_of_on - last_sold_on as bigint) as days_since_sale,
        days_covered,
        as_of_on,
        snapshot_on,
        category,
        department,
        product_type,
        supplier,
        season,
        case
            when quantity <= 0 and units_91d > 0 then 'out'
            when quantity <= 0 or days_of_supply is null then 'none'
            when days_of_supply < {{ var('stockout_critical_days') }} then 'critical'
            when days_of_supply < {{ var('stockout_warning_days') }} then 'warning'
            else 'none'
        end as stockout_risk,
        quantity as stock_units,
        units_91d,
        units_91d / 91 as daily_units,
        days_of_supply,
        days_of_supply / 7 as weeks_of_supply,
        on_order_units,
        case
            when average_stock_value > 0 then cast(cost_364d as double) * 365 / days_covered / average_stock_value
        end as turnover,
        stock_value,
        cast(average_stock_value as decimal(18, 4)) as average_stock_value,
        cast(cost_364d as decimal(18, 4)) as cost_364d,
        cast(gross_profit_364d as decimal(18, 4)) as gross_profit_364d,
        cast(case when is_old then stock_value else 0 end as decimal(18, 4)) as old_stock_value,
        cast(
            case
                when days_of_supply > {{ var('excess_days') }}
                    then cast(stock_value as double) * (1 - {{ var('excess_days') }} / days_of_supply)
                else 0
            end as decimal(18, 4)
        ) as excess_stock_value,
        is_listed,
        is_listed and quantity <= 0 as is_out_of_stock,
        is_listed and coalesce(sizes_out > 0 and sizes_out < sizes, false) as has_size_gap,
        coalesce(days_of_supply > {{ var('excess_days') }}, false) as is_excess,
        as_of_on is not null
            and quantity > 0
            and coalesce(last_sold_on <= as_of_on - {{ var('slow_days') }}, true) as is_slow,
        is_old
    from covered
)

select * from final
