{% set built = as_built('int_batches_built') %}
{% set before = as_built('int_batches') %}

with

tenants as (
    select tenant_id from {{ source('prohandel', 'tenants') }}
),

replaced as (
    select tenant_id from {{ ref('int_replaced_tenants') }}
),

accounted as (
    select
        tenant_id,
        batch_id,
        entity,
        started_at,
        -- Rows know their batch by its moment: where two have the same one, rows of the other are met again.
        coalesce(updated, 0) + coalesce(deleted, 0) > 0
            or count(*) over (partition by tenant_id, entity, started_at) > 1 as is_rewriting
    from {{ source('ops', 'batches') }}
    where entity in ('sale', 'articlesize')
),

-- Rows that came without a batch; their tenant is replaced in every run.
unaccounted as (
    select distinct
        tenant_id,
        'sale' as entity,
        _extracted_at as started_at
    from {{ source('prohandel', 'prohandel_sale') }}
    where tenant_id in (select tenant_id from tenants)
        and tenant_id not in (select tenant_id from accounted where entity = 'sale')
    union all
    select distinct
        tenant_id,
        'articlesize' as entity,
        cast(snapshot_on as timestamp) as started_at
    from {{ source('prohandel', 'prohandel_stock_daily') }}
    where tenant_id in (select tenant_id from tenants)
        and tenant_id not in (select tenant_id from accounted where entity = 'articlesize')
),

batches as (
    select * from accounted
    union all
    select
        tenant_id,
        'unaccounted' as batch_id,
        entity,
        started_at,
        true as is_rewriting
    from unaccounted
),

final as (
    select
        batches.tenant_id,
        batches.batch_id,
        batches.entity,
        batches.started_at,
        {% if built %}
        built.batch_id is null or replaced.tenant_id is not null as is_new,
        {% else %}
        true as is_new,
        {% endif %}
        {% if built and before %}
        -- After a run that broke off, what only brought rows may meet those it left.
        batches.is_rewriting
            or coalesce((select max(run) from {{ before }}), '') <> coalesce((select max(run) from {{ built }}), '')
            as is_rewriting,
        {% else %}
        batches.is_rewriting,
        {% endif %}
        '{{ invocation_id }}' as run
    from batches
    left join replaced
        on batches.tenant_id = replaced.tenant_id
    {% if built %}
    left join (select distinct tenant_id, batch_id from {{ built }}) as built
        on batches.tenant_id = built.tenant_id
        and batches.batch_id = built.batch_id
    {% endif %}
)

select * from final
