{% set lines = as_built('fct_sale_lines') %}

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
),

final as (
    {{ days_of_run('int_touched_days', 'touched') }}
)

select * from final
