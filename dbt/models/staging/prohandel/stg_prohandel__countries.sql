with

countries as (
    select * from {{ current_masters('prohandel_country') }}
),

final as (
    select
        tenant_id,
        trim(number) as country_number,
        nullif(upper(trim(iso_alpha2)), '') as iso_code,
        nullif(trim(country_name), '') as name
    from countries
    where trim(number) <> ''
    -- The same letters with and without a blank are one country.
    qualify row_number() over (partition by tenant_id, trim(number) order by number) = 1
)

select * from final
