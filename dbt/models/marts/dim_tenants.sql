with

tenants as (
    select * from {{ ref('stg_prohandel__tenants') }}
),

final as (
    select
        tenant_id,
        name,
        currency,
        time_zone,
        locale,
        calendar
    from tenants
)

select * from final
