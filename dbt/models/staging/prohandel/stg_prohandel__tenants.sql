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
        locale,
        nullif(trim(calendar), '') as calendar
    from tenants
)

select * from final
