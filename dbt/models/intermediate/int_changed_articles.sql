{% set built = as_built('int_articles_built') %}
{% set names = [
    'category', 'department', 'product_type', 'supplier', 'season', 'is_merchandise', 'vat_rate', 'has_master',
    'time_zone', 'currencies',
] %}

-- depends_on: {{ ref('int_replaced_tenants') }}
with

articles as (
    select * from {{ ref('int_articles') }}
),

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

currencies as (
    select
        tenant_id,
        {{ texts_joined("currency_number || '=' || iso_code") }} as codes
    from {{ ref('stg_prohandel__currencies') }}
    group by tenant_id
),

attributes as (
    select
        articles.tenant_id,
        articles.article_number,
        articles.category,
        articles.department,
        articles.product_type,
        articles.supplier,
        articles.season,
        articles.is_merchandise,
        articles.vat_rate,
        articles.has_master,
        tenants.time_zone,
        {{ words(['tenants.currency', 'currencies.codes']) }} as currencies
    from articles
    left join tenants
        on articles.tenant_id = tenants.tenant_id
    left join currencies
        on articles.tenant_id = currencies.tenant_id
),

final as (
    select
        attributes.*,
        {% if built %}
        built.tenant_id is not null
            and attributes.tenant_id not in (select tenant_id from {{ ref('int_replaced_tenants') }}) as has_lines
        {% else %}
        false as has_lines
        {% endif %}
    from attributes
    {% if built %}
    left join {{ built }} as built
        on attributes.tenant_id = built.tenant_id
        and attributes.article_number = built.article_number
    where built.tenant_id is null
        or attributes.tenant_id in (select tenant_id from {{ ref('int_replaced_tenants') }})
    {%- for name in names %}
        or built.{{ name }} is distinct from attributes.{{ name }}
    {%- endfor %}
    {% endif %}
)

select * from final
