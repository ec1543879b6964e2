with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
    where is_merchandise
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
    where weeks_ago < 52
),

weekly as (
    select
        sale_lines.tenant_id,
        sale_lines.article_number,
        days.weeks_ago,
        {{ sum_pieces_of_lines('sale_lines.quantity') }} as units
    from sale_lines
    inner join days
        on sale_lines.tenant_id = days.tenant_id
        and sale_lines.sold_on = days.sold_on
    group by sale_lines.tenant_id, sale_lines.article_number, days.weeks_ago
),

-- A week without a sale has no row and counts as 0: it adds to neither sum, and 52 divides both.
moments as (
    select
        tenant_id,
        article_number,
        {{ sum_pieces('units') }} / 52 as mean_units,
        cast(sum(cast(units * units as decimal(38, 6))) as double) / 52 as mean_squared_units
    from weekly
    group by tenant_id, article_number
),

final as (
    select
        tenant_id,
        article_number,
        mean_units,
        case
            when mean_units > 0
                then sqrt(greatest(mean_squared_units - mean_units * mean_units, 0)) / mean_units
        end as weekly_cv
    from moments
)

select * from final
