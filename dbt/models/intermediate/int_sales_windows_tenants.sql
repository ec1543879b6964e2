{{ config(materialized='view') }}

with

as_of as (
    select * from {{ ref('int_as_of') }}
),

articles as (
    select * from {{ ref('int_sales_windows_articles') }}
),

final as (
    select
        as_of.tenant_id,
        as_of.as_of_on,
        cast(as_of.as_of_on - min(articles.first_sold_on) + 1 as bigint) as days_covered
    from as_of
    left join articles
        on as_of.tenant_id = articles.tenant_id
    group by as_of.tenant_id, as_of.as_of_on
)

select * from final
