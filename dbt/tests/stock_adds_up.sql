-- Snapshot by article size and stock by article agree per tenant and day, on the days that may have come.
with

days as (
    select tenant_id, snapshot_on from {{ ref('int_changed_snapshots') }}
),

staged as (
    select
        tenant_id,
        snapshot_on,
        count(*) as sizes,
        {{ sum_pieces('quantity') }} as quantity,
        {{ sum_pieces('abs(quantity)') }} as moved,
        cast(sum(stock_value) as decimal(38, 4)) as stock_value
    from {{ ref('stg_prohandel__article_sizes') }}
    where (tenant_id, snapshot_on) in (select tenant_id, snapshot_on from days)
    group by tenant_id, snapshot_on
),

facts as (
    select
        tenant_id,
        snapshot_on,
        sum(sizes) as sizes,
        {{ sum_pieces('quantity') }} as quantity,
        cast(sum(stock_value) as decimal(38, 4)) as stock_value
    from {{ ref('fct_stock_daily') }}
    where (tenant_id, snapshot_on) in (select tenant_id, snapshot_on from days)
    group by tenant_id, snapshot_on
)

select
    coalesce(staged.tenant_id, facts.tenant_id) as tenant_id,
    coalesce(staged.snapshot_on, facts.snapshot_on) as snapshot_on,
    staged.quantity as staged_quantity,
    facts.quantity as fact_quantity,
    staged.stock_value as staged_value,
    facts.stock_value as fact_value
from staged
full outer join facts
    on staged.tenant_id = facts.tenant_id
    and staged.snapshot_on = facts.snapshot_on
where coalesce(staged.sizes, 0) <> coalesce(facts.sizes, 0)
    or coalesce(staged.stock_value, 0) <> coalesce(facts.stock_value, 0)
    or abs(coalesce(staged.quantity, 0) - coalesce(facts.quantity, 0)) > {{ rounding('staged.moved') }}
