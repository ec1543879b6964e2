{{ config(
    materialized='incremental',
    cluster_by=['tenant_id', 'sold_on'],
    meta={'replaced': {'int_changed_days': ['tenant_id', 'sold_on']}},
) }}

with

lines as (
    select * from {{ ref('fct_sale_lines') }}
    {{ where_changed('int_changed_days', 'sold_on') }}
),

final as (
    select
        tenant_id,
        receipt_id,
        min(sold_on) as sold_on,
        min(sold_at) as sold_at,
        min(branch) as branch,
        min(_cash_register) as cash_register,
        min(staff_number) as staff_number,
        min(customer_number) as customer_number,
        cast(count(*) as bigint) as lines,
        {{ sum_pieces('case when is_merchandise and not is_return then quantity else 0 end') }} as sold_units,
        {{ sum_pieces('case when is_merchandise and is_return then -quantity else 0 end') }} as returned_units,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount,
        cast(sum(net_amount) as decimal(18, 4)) as net_amount,
        cast(sum(cost_amount) as decimal(18, 4)) as cost_amount,
        min(case when is_return then 1 else 0 end) = 1 as is_return
    from lines
    group by tenant_id, receipt_id
)

select * from final
