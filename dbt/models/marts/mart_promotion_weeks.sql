with

promotions as (
    select * from {{ ref('stg_prohandel__promotions') }}
),

categories as (
    select * from {{ ref('int_categories') }}
),

articles as (
    select * from {{ ref('int_articles') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

names as (
    select tenant_id, name, count(*) as numbers
    from categories
    group by tenant_id, name
),

sizes as (
    select tenant_id, category_number, count(*) as articles
    from articles
    where is_active
    group by tenant_id, category_number
),

branches as (
    select tenant_id, count(*) as branches
    from {{ ref('stg_prohandel__branches') }}
    where is_active
    group by tenant_id
),

-- Who names neither article nor category means all of them. An article that nobody knows belongs to the category it says.
placed as (
    select
        promotions.tenant_id,
        categories.name as category,
        promotions.kind,
        promotions.first_on,
        promotions.last_on,
        promotions.discount,
        promotions.share
        / case when promotions.article_number is null then 1 else coalesce(sizes.articles, 1) end
        / case when promotions.branch is null then 1 else coalesce(branches.branches, 1) end
        / names.numbers as share
    from promotions
    left join articles
        on promotions.tenant_id = articles.tenant_id
        and promotions.article_number = articles.article_number
    inner join categories
        on promotions.tenant_id = categories.tenant_id
        and (
            categories.category_number = coalesce(articles.category_number, promotions.category_number)
            or (promotions.article_number is null and promotions.category_number is null)
        )
    inner join names
        on categories.tenant_id = names.tenant_id
        and categories.name = names.name
    left join sizes
        on categories.tenant_id = sizes.tenant_id
        and categories.category_number = sizes.category_number
    left join branches
        on promotions.tenant_id = branches.tenant_id
),

weekly as (
    select
        placed.tenant_id,
        placed.category,
        calendar.week_start,
        placed.kind,
        {{ sum_pieces('placed.share') }} as share_days,
        {{ sum_pieces('placed.share * placed.discount') }} as discount_days,
        {{ sum_pieces('case when placed.discount is not null then placed.share else 0 end') }} as discounted_days
    from placed
    inner join calendar
        on placed.tenant_id = calendar.tenant_id
        and calendar.day between placed.first_on and placed.last_on
    group by placed.tenant_id, placed.category, calendar.week_start, placed.kind
),

final as (
    select
        tenant_id,
        category,
        week_start,
        kind,
        round(least(share_days / 7, 1), 6) as share,
        round({{ ratio('discount_days', 'discounted_days') }}, 6) as discount
    from weekly
    where share_days >= 0.000007
)

select * from final
