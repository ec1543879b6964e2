{% set lines = as_built('fct_sale_lines') %}
{% set before = as_built('int_changed_days') %}
{% set built = as_built('int_batches_built') %}

-- depends_on: {{ ref('int_changed_articles') }}
with

changed as (
    select
        tenant_id,
        sold_on
    from {{ ref('int_touched_days') }}
    {% if lines %}
    union
    select
        lines.tenant_id,
        lines.sold_on
    from {{ lines }} as lines
    inner join {{ ref('int_changed_articles') }} as articles
        on lines.tenant_id = articles.tenant_id
        and lines.article_number = articles.article_number
    where articles.has_lines
    {% endif %}
    {% if before and built %}
    -- A run that broke off may have changed the lines already, and not what is made of them.
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
    from changed
)

select * from final
