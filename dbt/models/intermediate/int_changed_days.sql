{% set lines = as_built('fct_sale_lines') %}

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
),

final as (
    {{ days_of_run('int_changed_days', 'changed') }}
)

select * from final
