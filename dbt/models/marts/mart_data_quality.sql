with

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

rules as (
    select * from {{ ref('warehouse_rules') }}
),

breaches as (
    select
        tenant_id,
        rule,
        count(*) as breaches,
        left(min(record || ': ' || coalesce(detail, '')), 200) as example
    from {{ ref('int_rule_breaches') }}
    group by tenant_id, rule
),

checked as (
    select tenant_id, 'tenant' as entity, count(*) as checked
    from tenants
    group by tenant_id
    union all
    select tenant_id, 'sale' as entity, sum(lines) as checked
    from {{ ref('mart_sales_daily') }}
    group by tenant_id
    union all
    select tenant_id, 'stock' as entity, count(*) as checked
    from {{ source('prohandel', 'prohandel_articlesize') }}
    where _deleted_at is null
    group by tenant_id
    {% for entity, model in [
        ('category', 'int_categories'),
        ('branch', 'dim_branches'),
        ('article', 'stg_prohandel__articles'),
        ('supplier', 'stg_prohandel__suppliers'),
        ('customer', 'stg_prohandel__customers'),
        ('order', 'stg_prohandel__orders'),
        ('position', 'stg_prohandel__order_positions'),
        ('voucher', 'stg_prohandel__vouchers'),
    ] %}
    union all
    select tenant_id, '{{ entity }}' as entity, count(*) as checked
    from {{ ref(model) }}
    group by tenant_id
    {% endfor %}
),

final as (
    select
        tenants.tenant_id,
        rules.rule,
        rules.severity,
        rules.entity,
        rules.statement,
        rules.fallback,
        rules.remedy,
        breaches.example,
        cast(coalesce(checked.checked, 0) as bigint) as checked,
        cast(coalesce(breaches.breaches, 0) as bigint) as breaches,
        cast(coalesce(breaches.breaches, 0) as double) / nullif(checked.checked, 0) as share
    from tenants
    cross join rules
    left join breaches
        on tenants.tenant_id = breaches.tenant_id
        and rules.rule = breaches.rule
    left join checked
        on tenants.tenant_id = checked.tenant_id
        and rules.entity = checked.entity
)

select * from final
