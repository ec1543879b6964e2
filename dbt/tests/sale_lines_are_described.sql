-- Every line of a changed day finds its tenant, article and customer among the dimensions.
with

lines as (
    select distinct
        tenant_id,
        article_number,
        customer_number
    from {{ ref('fct_sale_lines') }}
    where (tenant_id, sold_on) in (select tenant_id, sold_on from {{ ref('int_changed_days') }})
)

select lines.*
from lines
left join {{ ref('dim_tenants') }} as tenants
    on lines.tenant_id = tenants.tenant_id
left join {{ ref('dim_articles') }} as articles
    on lines.tenant_id = articles.tenant_id
    and lines.article_number = articles.article_number
left join {{ ref('dim_customers') }} as customers
    on lines.tenant_id = customers.tenant_id
    and lines.customer_number = customers.customer_number
where tenants.tenant_id is null
    or articles.tenant_id is null
    or (customers.tenant_id is null and lines.customer_number is not null)
