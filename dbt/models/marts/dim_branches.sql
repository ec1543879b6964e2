with

branches as (
    select * from {{ ref('stg_prohandel__branches') }}
),

sales as (
    select
        tenant_id,
        number as branch,
        min(first_sold_on) as first_sold_on,
        max(last_sold_on) as last_sold_on
    from {{ ref('int_first_and_last_sales') }}
    where kind = 'branch'
    group by tenant_id, number
),

-- Known from the master, from a till, or from both.
final as (
    select
        coalesce(branches.tenant_id, sales.tenant_id) as tenant_id,
        coalesce(branches.branch, sales.branch) as branch,
        branches.state_number,
        coalesce(branches.name, 'Branch ' || cast(sales.branch as varchar)) as name,
        branches.country,
        coalesce(branches.is_active, true) as is_active,
        coalesce(branches.is_webshop, false) as is_webshop,
        sales.first_sold_on,
        sales.last_sold_on
    from branches
    full outer join sales
        on branches.tenant_id = sales.tenant_id
        and branches.branch = sales.branch
)

select * from final
