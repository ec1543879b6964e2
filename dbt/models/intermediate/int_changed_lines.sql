{% set lines = as_built('fct_sale_lines') %}

with

rewriting as (
    select distinct
        tenant_id,
        started_at
    from {{ ref('int_batches') }}
    where entity = 'sale'
        and is_new
        and is_rewriting
),

-- Dead ones too: they have left the staged lines, and must leave the fact.
rewritten as (
    select
        sales.tenant_id,
        sales.id as sale_line_id
    from {{ source('prohandel', 'prohandel_sale') }} as sales
    inner join rewriting
        on sales.tenant_id = rewriting.tenant_id
        and sales._extracted_at = rewriting.started_at
),

final as (
    {% if lines %}
    select
        lines.tenant_id,
        lines.sale_line_id,
        lines.sold_on
    from {{ lines }} as lines
    inner join rewritten
        on lines.tenant_id = rewritten.tenant_id
        and lines.sale_line_id = rewritten.sale_line_id
    {% else %}
    select
        tenant_id,
        sale_line_id,
        cast(null as date) as sold_on
    from rewritten
    where 1 = 0
    {% endif %}
)

select * from final
