with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
),

final as (
    select
        tenant_id,
        sold_on,
        branch,
        department,
        category,
        count(*) as lines,
        sum(case when is_merchandise then quantity else 0 end) as units,
        cast(sum(gross_amount) as decimal(18, 2)) as revenue,
        cast(sum(net_amount) as decimal(18, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(18, 4)) as cost
    from sale_lines
    group by tenant_id, sold_on, branch, department, category
)

select * from final
