with

orders as (
    select * from {{ ref('stg_prohandel__orders') }}
),

unnested as (
    {{ json_records('orders', 'positions', keep=[
        'tenant_id', 'order_id', 'order_number', 'supplier_number', 'ordered_on', '_extracted_at'
    ]) }}
),

typed as (
    select
        tenant_id,
        order_id,
        place as position,
        order_number,
        supplier_number,
        ordered_on,
        _extracted_at,
        nullif({{ json_integer('record', 'branchNumber') }}, 0) as branch,
        coalesce({{ json_integer('record', 'articleNumber') }}, 0) as article_number,
        {{ json_day('record', 'expectedArrival') }} as expected_on,
        coalesce({{ json_number('record', 'orderAmount') }}, {{ json_number('record', 'quantity') }}) as ordered,
        {{ json_number('record', 'deliveredAmount') }} as delivered,
        {{ json_number('record', 'backlogAmount') }} as backlog,
        coalesce(
            {{ json_number('record', 'netPurchasePrice') }},
            {{ json_number('record', 'purchasePrice') }},
            {{ json_number('record', 'price') }}
        ) as cost
    from unnested
),

final as (
    select
        tenant_id,
        order_id,
        position,
        order_number,
        supplier_number,
        branch,
        article_number,
        ordered_on,
        {{ never_to_null('expected_on') }} as expected_on,
        {{ pieces('ordered') }} as ordered_units,
        coalesce({{ pieces('delivered') }}, {{ pieces('ordered') }} - {{ pieces('backlog') }}) as delivered_units,
        {{ money('cost', 4) }} as unit_cost,
        {{ is_uncountable(['ordered', 'delivered', 'backlog', 'cost', product('ordered', 'cost')]) }} as is_uncountable,
        _extracted_at
    from typed
)

select * from final
