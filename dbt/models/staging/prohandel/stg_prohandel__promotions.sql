with

promotions as (
    select * from {{ source('prohandel', 'prohandel_promotion') }}
),

final as (
    select
        tenant_id,
        id as promotion_id,
        lower(trim(kind)) as kind,
        nullif(article_number, 0) as article_number,
        nullif(category_number, 0) as category_number,
        nullif(branch_number, 0) as branch,
        cast(first_day as date) as first_on,
        cast(last_day as date) as last_on,
        least(greatest(coalesce(share, 1), 0), 1) as share,
        case when discount is not null then least(greatest(discount, 0), 1) end as discount  -- DuckDB's greatest skips nulls
    from promotions
    where _deleted_at is null
)

select * from final
