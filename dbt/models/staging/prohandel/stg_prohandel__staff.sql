with

staff as (
    select * from {{ current_masters('prohandel_staff') }}
),

final as (
    select
        tenant_id,
        number as staff_number,
        nullif(branch_number, 0) as branch,
        nullif(trim(job_title), '') as job_title,
        coalesce(is_active, true) and _deleted_at is null as is_active
    from staff
    where number <> 0
)

select * from final
