{% set lines = as_built('fct_sale_lines') %}
{% set before = as_built('int_touched_days') %}
{% set built = as_built('int_batches_built') %}

-- depends_on: {{ ref('int_replaced_tenants') }}
with

arrived as (
    select distinct
        tenant_id,
        started_at
    from {{ ref('int_batches') }}
    where entity = 'sale'
        and is_new
),

touched as (
    select
        sales.tenant_id,
        sales.sold_on
    from {{ ref('stg_prohandel__sales') }} as sales
    inner join arrived
        on sales.tenant_id = arrived.tenant_id
        and sales._extracted_at = arrived.started_at
    union
    select
        sales.tenant_id,
        sales.sold_on
    from {{ ref('stg_prohandel__sales') }} as sales
    inner join {{ ref('int_replaced_tenants') }} as tenants
        on sales.tenant_id = tenants.tenant_id
    union
    select
        tenant_id,
        sold_on
    from {{ ref('int_changed_lines') }}
    {% if lines %}
    union
    select
        lines.tenant_id,
        lines.sold_on
    from {{ lines }} as lines
    inner join {{ ref('int_replaced_tenants') }} as tenants
        on lines.tenant_id = tenants.tenant_id
    {% endif %}
    {% if before and built %}
    -- What a run that broke off was to mend.
    union
    select
        tenant_id,
        sold_on
    from {{ before }}
    where run <> (select coalesce(max(run), '') from {{ built }})
    {% endif %}
),

final as (
    select
        tenant_id,
        sold_on,
        cast(date_trunc('month', sold_on) as date) as month_start,
        '{{ invocation_id }}' as run
    from touched
)

select * from final
