{% set built = as_built('int_articles_built') %}
{% set attributes = ['category', 'department', 'product_type', 'supplier', 'season', 'is_merchandise', 'vat_rate', 'time_zone'] %}

with

articles as (
    select
        articles.*,
        tenants.time_zone
    from {{ ref('int_articles') }} as articles
    left join {{ ref('stg_prohandel__tenants') }} as tenants
        on articles.tenant_id = tenants.tenant_id
),

final as (
    {% if built %}
    select
        built.tenant_id,
        built.article_number
    from {{ built }} as built
    inner join articles
        on built.tenant_id = articles.tenant_id
        and built.article_number = articles.article_number
    where {% for name in attributes %}built.{{ name }} is distinct from articles.{{ name }}{{ '\n        or ' if not loop.last }}{% endfor %}
    {% else %}
    select
        tenant_id,
        article_number
    from articles
    where 1 = 0
    {% endif %}
)

select * from final
