{{ config(row_access_policy=none) }}

with

final as (
    {{ days('2000-01-01', '2049-12-31') }}
)

select * from final
