with recursive

categories as (
    select * from {{ ref('stg_prohandel__categories') }}
),

vat_rates as (
    select * from {{ ref('int_vat_rates') }}
),

-- A category that names itself, nothing or one that is not there lies under none.
placed as (
    select
        categories.tenant_id,
        categories.category_number,
        parents.category_number as parent_number
    from categories
    left join categories as parents
        on categories.tenant_id = parents.tenant_id
        and categories.main_category_number = parents.category_number
        and categories.category_number <> parents.category_number
),

ascent as (
    select
        tenant_id,
        category_number,
        parent_number as ancestor_number,
        1 as steps
    from placed
    where parent_number is not null
    union all
    select
        ascent.tenant_id,
        ascent.category_number,
        placed.parent_number as ancestor_number,
        ascent.steps + 1 as steps
    from ascent
    inner join placed
        on ascent.tenant_id = placed.tenant_id
        and ascent.ancestor_number = placed.category_number
    where placed.parent_number is not null
        and ascent.ancestor_number <> ascent.category_number
        and ascent.steps < {{ deepest_category() }}
),

circular as (
    select distinct
        tenant_id,
        category_number
    from ascent
    where ancestor_number = category_number
),

cut as (
    select
        placed.tenant_id,
        placed.category_number,
        case when circular.category_number is null then placed.parent_number end as parent_number,
        circular.category_number is not null as is_circular
    from placed
    left join circular
        on placed.tenant_id = circular.tenant_id
        and placed.category_number = circular.category_number
),

named as (
    select
        cut.*,
        coalesce(categories.name, '(unknown)') as name
    from cut
    inner join categories
        on cut.tenant_id = categories.tenant_id
        and cut.category_number = categories.category_number
),

descent as (
    select
        tenant_id,
        category_number,
        category_number as department_number,
        1 as depth,
        cast(name as varchar) as path
    from named
    where parent_number is null
    union all
    select
        named.tenant_id,
        named.category_number,
        descent.department_number,
        descent.depth + 1 as depth,
        cast(descent.path || ' > ' || named.name as varchar) as path
    from descent
    inner join named
        on descent.tenant_id = named.tenant_id
        and descent.category_number = named.parent_number
    where descent.depth < {{ deepest_category() }}
),

-- What no descent reaches lies deeper than any tree: it is cut like a circle.
final as (
    select
        named.tenant_id,
        named.category_number,
        case when descent.depth > 1 then named.parent_number end as parent_number,
        coalesce(descent.department_number, named.category_number) as department_number,
        coalesce(descent.depth, 1) as depth,
        categories.tax_number,
        named.name,
        coalesce(departments.name, categories.name, '(unknown)') as department,
        coalesce(descent.path, named.name) as path,
        categories.is_service,
        coalesce(vat_rates.vat_rate, standard_rates.vat_rate) as vat_rate,
        named.is_circular,
        named.is_circular or descent.category_number is null as is_cut
    from named
    inner join categories
        on named.tenant_id = categories.tenant_id
        and named.category_number = categories.category_number
    left join descent
        on named.tenant_id = descent.tenant_id
        and named.category_number = descent.category_number
    left join categories as departments
        on named.tenant_id = departments.tenant_id
        and coalesce(descent.department_number, named.category_number) = departments.category_number
    left join vat_rates
        on categories.tenant_id = vat_rates.tenant_id
        and categories.tax_number = vat_rates.tax_number
    left join vat_rates as standard_rates
        on categories.tenant_id = standard_rates.tenant_id
        and standard_rates.is_standard
)

select * from final
