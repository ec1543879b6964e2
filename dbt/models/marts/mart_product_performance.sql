with

articles as (
    select * from {{ ref('dim_articles') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

sold as (
    select * from {{ ref('int_sales_windows_articles') }}
),

weeks as (
    select * from {{ ref('int_sales_windows_weeks') }}
),

stock as (
    select
        tenant_id,
        article_number,
        {{ sum_pieces('quantity') }} as stock_units,
        sum(stock_value) as stock_value
    from {{ ref('int_stock_newest') }}
    where quantity <> 0 or stock_value <> 0
    group by tenant_id, article_number
),

selected as (
    select
        articles.*,
        as_of.as_of_on,
        coalesce(sold.units_28d, 0) as units_28d,
        coalesce(sold.units_28d_before, 0) as units_28d_before,
        coalesce(sold.units_91d, 0) as units_91d,
        coalesce(sold.units_364d, 0) as units_364d,
        coalesce(sold.sold_units_364d, 0) as sold_units_364d,
        coalesce(sold.returned_units_364d, 0) as returned_units_364d,
        coalesce(sold.revenue_28d, 0) as revenue_28d,
        coalesce(sold.revenue_91d, 0) as revenue_91d,
        coalesce(sold.revenue_364d, 0) as revenue_364d,
        -- Sold, but without a VAT rate or a purchase price: unknown is not 0.
        case when sold.tenant_id is null then 0 else sold.net_revenue_364d end as net_revenue_364d,
        case when sold.tenant_id is null then 0 else sold.cost_364d end as cost_364d,
        weeks.weekly_cv,
        coalesce(stock.stock_units, 0) as stock_units,
        coalesce(stock.stock_value, 0) as stock_value
    from articles
    left join as_of
        on articles.tenant_id = as_of.tenant_id
    left join sold
        on articles.tenant_id = sold.tenant_id
        and articles.article_number = sold.article_number
    left join weeks
        on articles.tenant_id = weeks.tenant_id
        and articles.article_number = weeks.article_number
    left join stock
        on articles.tenant_id = stock.tenant_id
        and articles.article_number = stock.article_number
    where sold.tenant_id is not null
        or stock.tenant_id is not null
),

ranked as (
    select
        *,
        row_number() over (partition by tenant_id, department, category order by revenue_364d desc, article_number)
            as rank_in_category,
        sum(case when net_revenue_364d > 0 then net_revenue_364d else 0 end) over (
            partition by tenant_id
            order by coalesce(net_revenue_364d, 0) desc, article_number
            rows between unbounded preceding and current row
        ) - case when net_revenue_364d > 0 then net_revenue_364d else 0 end as net_revenue_ahead,
        sum(case when net_revenue_364d > 0 then net_revenue_364d else 0 end) over (partition by tenant_id)
            as net_revenue_of_all,
        cast(net_revenue_364d - cost_364d as decimal(18, 4)) as gross_profit_364d,
        cast(cast(label_price as double) / (1 + vat_rate) as decimal(18, 4)) as net_label_price,
        label_price > 0 and purchase_price > 0 as is_priced
    from selected
),

final as (
    select
        tenant_id,
        article_number,
        cast(rank_in_category as bigint) as rank_in_category,
        as_of_on,
        first_sold_on,
        last_sold_on,
        label,
        category,
        department,
        product_type,
        supplier,
        season,
        -- By the revenue ahead of it, so the article that crosses a line belongs to the better class.
        case
            when net_revenue_364d is null then null
            when net_revenue_364d <= 0 then 'C'
            when net_revenue_ahead < {{ var('abc_a_share') }} * net_revenue_of_all then 'A'
            when net_revenue_ahead < {{ var('abc_b_share') }} * net_revenue_of_all then 'B'
            else 'C'
        end as abc,
        case
            when weekly_cv <= {{ var('xyz_x_cv') }} then 'X'
            when weekly_cv <= {{ var('xyz_y_cv') }} then 'Y'
            when weekly_cv is not null then 'Z'
        end as xyz,
        case
            when not is_merchandise then null
            when units_91d <= {{ var('velocity_very_slow') }} * 91 then 'very slow'
            when units_91d <= {{ var('velocity_slow') }} * 91 then 'slow'
            when units_91d <= {{ var('velocity_medium') }} * 91 then 'medium'
            when units_91d <= {{ var('velocity_fast') }} * 91 then 'fast'
            else 'very fast'
        end as velocity,
        units_28d,
        units_91d,
        units_364d,
        returned_units_364d,
        {{ ratio('returned_units_364d', 'sold_units_364d') }} as return_rate_364d,
        case when units_28d_before > 0 then units_28d / units_28d_before - 1 end as trend_28d,
        weekly_cv,
        units_91d / 91 as daily_units,
        {{ ratio('gross_profit_364d', 'net_revenue_364d') }} as gross_margin_364d,
        case
            when units_364d + greatest(stock_units, 0) > 0
                then units_364d / (units_364d + greatest(stock_units, 0))
        end as sell_through_364d,
        case when is_priced then {{ ratio('label_price', 'purchase_price') }} end as markup,
        case when is_priced then {{ ratio('cast(net_label_price - purchase_price as decimal(18, 4))', 'net_label_price') }} end as entry_margin,
        stock_units,
        cast(revenue_28d as decimal(18, 2)) as revenue_28d,
        cast(revenue_91d as decimal(18, 2)) as revenue_91d,
        cast(revenue_364d as decimal(18, 2)) as revenue_364d,
        cast(net_revenue_364d as decimal(18, 4)) as net_revenue_364d,
        cast(cost_364d as decimal(18, 4)) as cost_364d,
        gross_profit_364d,
        cast(stock_value as decimal(18, 4)) as stock_value
    from ranked
)

select * from final
