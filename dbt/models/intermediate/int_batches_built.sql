-- Every model of the strategy `replace`: what one of them has missed is new to all in the next run.
-- depends_on: {{ ref('fct_sale_lines') }}, {{ ref('fct_receipts') }}, {{ ref('fct_stock_daily') }}
-- depends_on: {{ ref('mart_sales_daily') }}, {{ ref('int_first_and_last_sales') }}, {{ ref('int_sales_branch_days') }}
-- depends_on: {{ ref('int_sold_articles') }}, {{ ref('int_stocked_articles') }}, {{ ref('int_stock_snapshots') }}
-- depends_on: {{ ref('int_sale_breaches') }}, {{ ref('mart_forecast_accuracy') }}
with

batches as (
    select * from {{ ref('int_batches') }}
),

final as (
    select
        tenant_id,
        batch_id,
        run,
        '{{ project_digest() }}' as project
    from batches
)

select * from final
