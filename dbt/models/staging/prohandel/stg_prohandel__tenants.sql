with

tenants as (
    select * from {{ source('prohandel', 'tenants') }}
),

final as (
    select
        tenant_id,
        name,
        currency,
        time_zone,
        locale
    from tenants
)

select * from final
