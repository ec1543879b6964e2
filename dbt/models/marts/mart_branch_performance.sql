with

sales as (
    select * from {{ ref('int_sales_branch_days') }}
),

dates as (
    select * from {{ ref('dim_dates') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

traded_weeks as (
    select distinct
        tenant_id,
        branch,
        {{ week_start('sold_on') }} as week_start
    from sales
),

-- Last year's sales, seen from the day of this year that stands opposite.
last_year as (
    select
        dates.tenant_id,
        dates.day as sold_on,
        sales.branch,
        sales.revenue
    from dates
    inner join as_of
        on dates.tenant_id = as_of.tenant_id
        and dates.day <= as_of.as_of_on
    inner join sales
        on dates.tenant_id = sales.tenant_id
        and dates.same_day_last_year = sales.sold_on
),

both_years as (
    select
        coalesce(sales.tenant_id, last_year.tenant_id) as tenant_id,
        coalesce(sales.sold_on, last_year.sold_on) as sold_on,
        coalesce(sales.branch, last_year.branch) as branch,
        sales.tenant_id is not null as is_sold_this_year,
        sales.receipts,
        sales.units,
        sales.revenue,
        sales.net_revenue,
        sales.cost,
        last_year.revenue as revenue_last_year
    from sales
    full outer join last_year
        on sales.tenant_id = last_year.tenant_id
        and sales.sold_on = last_year.sold_on
        and sales.branch = last_year.branch
),

compared as (
    select
        both_years.*,
        dates.same_day_last_year,
        coalesce(both_years.sold_on <= as_of.as_of_on, false)
            and this_week.tenant_id is not null
            and that_week.tenant_id is not null as is_comparable
    from both_years
    left join as_of
        on both_years.tenant_id = as_of.tenant_id
    left join dates
        on both_years.tenant_id = dates.tenant_id
        and both_years.sold_on = dates.day
    left join traded_weeks as this_week
        on both_years.tenant_id = this_week.tenant_id
        and both_years.branch = this_week.branch
        and {{ week_start('both_years.sold_on') }} = this_week.week_start
    left join traded_weeks as that_week
        on both_years.tenant_id = that_week.tenant_id
        and both_years.branch = that_week.branch
        and {{ week_start('dates.same_day_last_year') }} = that_week.week_start
),

final as (
    select
        tenant_id,
        sold_on,
        same_day_last_year,
        branch,
        cast(coalesce(receipts, 0) as bigint) as receipts,
        coalesce(units, 0) as units,
        cast(coalesce(revenue, 0) as decimal(18, 2)) as revenue,
        cast(case when is_comparable then coalesce(revenue, 0) else 0 end as decimal(18, 2))
            as comparable_revenue,
        cast(case when is_comparable then coalesce(revenue_last_year, 0) else 0 end as decimal(18, 2))
            as comparable_revenue_last_year,
        cast(case when is_sold_this_year then net_revenue else 0 end as decimal(18, 4)) as net_revenue,
        cast(case when is_sold_this_year then cost else 0 end as decimal(18, 4)) as cost,
        is_comparable
    from compared
)

select * from final
