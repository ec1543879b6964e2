-- The lines of 364 days of the calendar, the articles and the suppliers agree per tenant, to the cent; so do the newest snapshot, the
-- articles, the suppliers and the positions of the branches.
with

as_of as (
    select * from {{ ref('int_as_of') }}
),

lines as (
    select
        lines.tenant_id,
        cast(sum(lines.gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(lines.net_amount) as decimal(38, 4)) as net_revenue,
        cast(sum(lines.cost_amount) as decimal(38, 4)) as cost,
        {{ sum_pieces('case when lines.is_merchandise and lines.is_return then -lines.quantity else 0 end') }}
            as returned_units,
        {{ sum_pieces('case when lines.is_merchandise and lines.is_return then abs(lines.quantity) else 0 end') }}
            as moved
    from {{ ref('fct_sale_lines') }} as lines
    inner join as_of
        on lines.tenant_id = as_of.tenant_id
    where lines.sold_on > as_of.as_of_on - 364
        and lines.sold_on >= {{ first_day() }}
        and lines.sold_on <= as_of.as_of_on
    group by lines.tenant_id
),

newest as (
    select
        stock.tenant_id,
        max(stock.snapshot_on) as snapshot_on
    from {{ ref('fct_stock_daily') }} as stock
    left join as_of
        on stock.tenant_id = as_of.tenant_id
    where coalesce(stock.snapshot_on > as_of.as_of_on - 364, true)
    group by stock.tenant_id
),

stock as (
    select
        stock.tenant_id,
        cast(sum(stock.stock_value) as decimal(38, 4)) as stock_value
    from {{ ref('fct_stock_daily') }} as stock
    inner join newest
        on stock.tenant_id = newest.tenant_id
        and stock.snapshot_on = newest.snapshot_on
    group by stock.tenant_id
),

{% for name, mart in [('articles', 'mart_product_performance'), ('suppliers', 'mart_supplier_performance')] %}
{{ name }} as (
    select
        tenant_id,
        cast(sum(revenue_364d) as decimal(38, 2)) as revenue,
        cast(sum(net_revenue_364d) as decimal(38, 4)) as net_revenue,
        cast(sum(cost_364d) as decimal(38, 4)) as cost,
        {{ sum_pieces('returned_units_364d') }} as returned_units,
        cast(sum(stock_value) as decimal(38, 4)) as stock_value
    from {{ ref(mart) }}
    group by tenant_id
),
{% endfor %}

positions as (
    select
        tenant_id,
        cast(sum(stock_value) as decimal(38, 4)) as stock_value
    from {{ ref('mart_inventory_status') }}
    group by tenant_id
),

tenants as (
    select tenant_id from lines
    union
    select tenant_id from stock
    union
    select tenant_id from articles
    union
    select tenant_id from suppliers
    union
    select tenant_id from positions
),

compared as (
    select
        tenants.tenant_id,
        {% for figure in ['revenue', 'net_revenue', 'cost', 'returned_units'] %}
        coalesce(lines.{{ figure }}, 0) as {{ figure }},
        coalesce(articles.{{ figure }}, 0) as {{ figure }}_of_articles,
        coalesce(suppliers.{{ figure }}, 0) as {{ figure }}_of_suppliers,
        {% endfor %}
        lines.moved,
        coalesce(stock.stock_value, 0) as stock_value,
        coalesce(articles.stock_value, 0) as stock_value_of_articles,
        coalesce(suppliers.stock_value, 0) as stock_value_of_suppliers,
        coalesce(positions.stock_value, 0) as stock_value_of_positions
    from tenants
    left join lines
        on tenants.tenant_id = lines.tenant_id
    left join stock
        on tenants.tenant_id = stock.tenant_id
    left join articles
        on tenants.tenant_id = articles.tenant_id
    left join suppliers
        on tenants.tenant_id = suppliers.tenant_id
    left join positions
        on tenants.tenant_id = positions.tenant_id
)

select *
from compared
where revenue <> revenue_of_articles
    or revenue <> revenue_of_suppliers
    or net_revenue <> net_revenue_of_articles
    or net_revenue <> net_revenue_of_suppliers
    or cost <> cost_of_articles
    or cost <> cost_of_suppliers
    or abs(returned_units - returned_units_of_articles) > {{ rounding('moved') }}
    or abs(returned_units - returned_units_of_suppliers) > {{ rounding('moved') }}
    or stock_value <> stock_value_of_articles
    or stock_value <> stock_value_of_suppliers
    or stock_value <> stock_value_of_positions
