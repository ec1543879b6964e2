with

positions as (
    select * from {{ ref('stg_prohandel__order_positions') }}
),

priced as (
    select
        *,
        case
            when delivered_units is null or delivered_units < 0 then ordered_units
            when delivered_units < ordered_units then ordered_units - delivered_units
            else 0
        end as still_open
    from positions
),

final as (
    select
        tenant_id,
        order_id,
        cast(position as bigint) as position,
        order_number,
        supplier_number,
        branch,
        article_number,
        ordered_on,
        expected_on,
        ordered_units,
        delivered_units,
        cast(still_open as double) as open_units,
        unit_cost,
        {{ money('ordered_units * unit_cost', 4) }} as ordered_value,
        {{ money('still_open * unit_cost', 4) }} as open_value
    from priced
)

select * from final
