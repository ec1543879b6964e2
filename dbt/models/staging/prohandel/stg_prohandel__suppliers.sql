with

suppliers as (
    select * from {{ current_masters('prohandel_supplier') }}
),

countries as (
    select * from {{ ref('stg_prohandel__countries') }}
),

final as (
    select
        suppliers.tenant_id,
        suppliers.number as supplier_number,
        coalesce(
            nullif({{ words(["nullif(trim(suppliers.name1), '')", "nullif(trim(suppliers.name2), '')"]) }}, ''),
            'Supplier ' || cast(suppliers.number as varchar)
        ) as name,
        coalesce(countries.iso_code, nullif(trim(suppliers.country_number), '')) as country,
        coalesce(suppliers.is_active, true) and suppliers._deleted_at is null as is_active
    from suppliers
    left join countries
        on suppliers.tenant_id = countries.tenant_id
        and trim(suppliers.country_number) = countries.country_number
    where suppliers.number <> 0
)

select * from final
