with

final as (
    select * from {{ ref('int_calendar') }}
)

select * from final
