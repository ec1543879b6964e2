with

branches as (
    select * from {{ current_masters('prohandel_branch') }}
),

final as (
    select
        tenant_id,
        number as branch,
        coalesce(nullif(trim(name1), ''), 'Branch ' || cast(number as varchar)) as name,
        coalesce(is_active, true) and _deleted_at is null as is_active
    from branches
)

select * from final
