with

branches as (
    select * from {{ current_masters('prohandel_branch') }}
),

countries as (
    select * from {{ ref('stg_prohandel__countries') }}
),

final as (
    select
        branches.tenant_id,
        branches.number as branch,
        coalesce(nullif(trim(branches.name1), ''), 'Branch ' || cast(branches.number as varchar)) as name,
        nullif(branches.state_number, 0) as state_number,
        coalesce(countries.iso_code, nullif(trim(branches.country_number), '')) as country,
        coalesce(branches.is_active, true) and branches._deleted_at is null as is_active,
        coalesce(branches.is_webshop, false) as is_webshop
    from branches
    left join countries
        on branches.tenant_id = countries.tenant_id
        and trim(branches.country_number) = countries.country_number
)

select * from final
