-- What the tills reported, the facts and the daily mart agree: lines per tenant over all days, and to the cent on the
-- days that changed. A line that a join drops or doubles shows here, and one that stayed on the day it was moved from.
with

days as (
    select distinct tenant_id, sold_on from {{ ref('int_changed_days') }}
),

counted as (
    {% for relation, lines, alive in [
        (source('prohandel', 'prohandel_sale'), 'count(*)', '_deleted_at is null'),
        (ref('fct_sale_lines'), '-count(*)', none),
    ] %}
    select
        tenant_id,
        {{ lines }} as lines
    from {{ relation }}
    {{ 'where ' ~ alive if alive }}
    group by tenant_id
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

miscounted as (
    select
        tenant_id,
        cast(null as date) as sold_on,
        'lines' as what,
        cast(sum(lines) as double) as difference,
        0 as bearable
    from counted
    group by tenant_id
    having sum(lines) <> 0
),

raw_days as (
    select
        sales.tenant_id,
        days.sold_on,
        count(*) as lines,
        cast(sum({{ money('sales.sale_price', 2) }}) as decimal(38, 2)) as revenue,
        cast(sum({{ money('sales.purchase_price', 4) }}) as decimal(38, 4)) as cost
    from {{ source('prohandel', 'prohandel_sale') }} as sales
    inner join days
        on sales.tenant_id = days.tenant_id
        and cast(sales.date as date) = days.sold_on
    where sales._deleted_at is null
    group by sales.tenant_id, days.sold_on
),

line_days as (
    select
        tenant_id,
        sold_on,
        count(*) as lines,
        sum(case when is_merchandise then cast(quantity as decimal(38, 6)) else 0 end) as units,
        {{ sum_pieces('case when is_merchandise then abs(quantity) else 0 end') }} as moved,
        cast(sum(gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(net_amount) as decimal(38, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(38, 4)) as cost
    from {{ ref('fct_sale_lines') }}
    where (tenant_id, sold_on) in (select tenant_id, sold_on from days)
    group by tenant_id, sold_on
),

receipt_days as (
    select
        tenant_id,
        sold_on,
        sum(lines) as lines,
        sum(cast(sold_units as decimal(38, 6)) - cast(returned_units as decimal(38, 6))) as units,
        cast(sum(gross_amount) as decimal(38, 2)) as revenue,
        cast(sum(net_amount) as decimal(38, 4)) as net_revenue,
        cast(sum(cost_amount) as decimal(38, 4)) as cost
    from {{ ref('fct_receipts') }}
    where (tenant_id, sold_on) in (select tenant_id, sold_on from days)
    group by tenant_id, sold_on
),

mart_days as (
    select
        tenant_id,
        sold_on,
        sum(lines) as lines,
        sum(cast(units as decimal(38, 6))) as units,
        cast(sum(revenue) as decimal(38, 2)) as revenue,
        cast(sum(net_revenue) as decimal(38, 4)) as net_revenue,
        cast(sum(cost) as decimal(38, 4)) as cost
    from {{ ref('mart_sales_daily') }}
    where (tenant_id, sold_on) in (select tenant_id, sold_on from days)
    group by tenant_id, sold_on
),

compared as (
    {% for name, measures in [
        ('raw_days', ['lines', 'revenue', 'cost']),
        ('receipt_days', ['lines', 'units', 'revenue', 'net_revenue', 'cost']),
        ('mart_days', ['lines', 'units', 'revenue', 'net_revenue', 'cost']),
    ] %}
    {% for measure in measures %}
    select
        coalesce(line_days.tenant_id, {{ name }}.tenant_id) as tenant_id,
        coalesce(line_days.sold_on, {{ name }}.sold_on) as sold_on,
        '{{ measure }} of {{ name }}' as what,
        cast(coalesce({{ name }}.{{ measure }}, 0) - coalesce(line_days.{{ measure }}, 0) as double) as difference,
        {{ rounding('line_days.moved') if measure == 'units' else 0 }} as bearable
    from line_days
    full outer join {{ name }}
        on line_days.tenant_id = {{ name }}.tenant_id
        and line_days.sold_on = {{ name }}.sold_on
    {{ 'union all' if not loop.last }}
    {% endfor %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from miscounted
union all
select * from compared
where abs(difference) > bearable
