with

days as (
    select * from {{ ref('int_stock_days') }}
),

firsts as (
    select
        tenant_id,
        as_of_on,
        week_start,
        min(snapshot_on) as snapshot_on
    from days
    group by tenant_id, as_of_on, week_start
),

-- From the first snapshot of a week to the first one of the next; later sales are not known before as_of_on has passed.
weeks as (
    select
        opening.tenant_id,
        opening.week_start,
        opening.snapshot_on as opened_on,
        closing.snapshot_on as closed_on
    from firsts as opening
    inner join firsts as closing
        on opening.tenant_id = closing.tenant_id
        and opening.week_start + 7 = closing.week_start
    where closing.snapshot_on <= opening.as_of_on + 1
),

stock as (
    select
        stock.tenant_id,
        stock.department,
        stock.category,
        stock.snapshot_on,
        sum(stock.stock_value) as stock_value
    from {{ ref('fct_stock_daily') }} as stock
    inner join firsts
        on stock.tenant_id = firsts.tenant_id
        and stock.snapshot_on = firsts.snapshot_on
    inner join {{ ref('dim_articles') }} as articles
        on stock.tenant_id = articles.tenant_id
        and stock.article_number = articles.article_number
    where articles.is_merchandise
    group by stock.tenant_id, stock.department, stock.category, stock.snapshot_on
),

-- A snapshot is taken in the morning: it holds what that day still sells.
movements as (
    select
        weeks.tenant_id,
        stock.department,
        stock.category,
        weeks.week_start,
        stock.stock_value as opening_stock,
        0 as sales,
        0 as closing_stock
    from weeks
    inner join stock
        on weeks.tenant_id = stock.tenant_id
        and weeks.opened_on = stock.snapshot_on
    union all
    select
        weeks.tenant_id,
        stock.department,
        stock.category,
        weeks.week_start,
        0 as opening_stock,
        0 as sales,
        stock.stock_value as closing_stock
    from weeks
    inner join stock
        on weeks.tenant_id = stock.tenant_id
        and weeks.closed_on = stock.snapshot_on
    union all
    select
        weeks.tenant_id,
        sales.department,
        sales.category,
        weeks.week_start,
        0 as opening_stock,
        sales.cost as sales,
        0 as closing_stock
    from weeks
    inner join {{ ref('int_sales_windows_categories') }} as sales
        on weeks.tenant_id = sales.tenant_id
        and sales.sold_on >= weeks.opened_on
        and sales.sold_on < weeks.closed_on
),

summed as (
    select
        tenant_id,
        department,
        category,
        week_start,
        cast(sum(opening_stock) as decimal(18, 4)) as opening_stock,
        cast(coalesce(sum(sales), 0) as decimal(18, 4)) as sales,
        cast(sum(closing_stock) as decimal(18, 4)) as closing_stock
    from movements
    group by tenant_id, department, category, week_start
),

paced as (
    select
        *,
        cast(sum(sales) over (
            partition by tenant_id, department, category
            order by week_start
            rows between 12 preceding and current row
        ) as decimal(18, 4)) as recent_sales,
        count(*) over (
            partition by tenant_id, department, category
            order by week_start
            rows between 12 preceding and current row
        ) as recent_weeks
    from summed
),

final as (
    select
        tenant_id,
        department,
        category,
        week_start,
        opening_stock,
        cast(closing_stock - opening_stock + sales as decimal(18, 4)) as intake,
        sales,
        closing_stock,
        case
            when recent_sales > 0
                then {{ ratio('greatest(closing_stock, 0)', 'recent_sales') }} * recent_weeks
        end as weeks_of_supply
    from paced
)

select * from final
