with

sale_lines as (
    select * from {{ ref('fct_sale_lines') }}
    where is_merchandise
        and not is_return
        and quantity > 0
        and article_number <> 0
),

days as (
    select * from {{ ref('int_sales_windows_days') }}
    where days_ago < 364
),

articles as (
    select * from {{ ref('dim_articles') }}
),

items as (
    select distinct
        sale_lines.tenant_id,
        sale_lines.receipt_id,
        sale_lines.article_number
    from sale_lines
    inner join days
        on sale_lines.tenant_id = days.tenant_id
        and sale_lines.sold_on = days.sold_on
),

-- A receipt with more articles than anybody carries is a delivery, and its pairs grow with the square.
receipts as (
    select
        tenant_id,
        receipt_id
    from items
    group by tenant_id, receipt_id
    having count(*) <= {{ var('basket_most_articles') }}
),

baskets as (
    select items.*
    from items
    inner join receipts
        on items.tenant_id = receipts.tenant_id
        and items.receipt_id = receipts.receipt_id
),

totals as (
    select
        tenant_id,
        count(*) as receipts
    from receipts
    group by tenant_id
),

-- No pair is on more receipts than either of its articles, so the rare ones can be left out before anything is paired.
bought as (
    select
        tenant_id,
        article_number,
        count(*) as receipts
    from baskets
    group by tenant_id, article_number
    having count(*) >= {{ var('basket_least_receipts') }}
    qualify row_number() over (partition by tenant_id order by count(*) desc, article_number)
        <= {{ var('basket_articles') }}
),

paired as (
    select
        baskets.tenant_id,
        baskets.receipt_id,
        baskets.article_number
    from baskets
    inner join bought
        on baskets.tenant_id = bought.tenant_id
        and baskets.article_number = bought.article_number
),

pairs as (
    select
        one.tenant_id,
        one.article_number,
        other.article_number as other_article_number,
        count(*) as receipts
    from paired as one
    inner join paired as other
        on one.tenant_id = other.tenant_id
        and one.receipt_id = other.receipt_id
        and one.article_number < other.article_number
    group by one.tenant_id, one.article_number, other.article_number
    having count(*) >= {{ var('basket_least_receipts') }}
),

final as (
    select
        pairs.tenant_id,
        pairs.article_number,
        pairs.other_article_number,
        cast(pairs.receipts as bigint) as receipts,
        articles.label,
        other_articles.label as other_label,
        {{ ratio('pairs.receipts', 'totals.receipts') }} as support,
        {{ ratio('pairs.receipts', 'bought.receipts') }} as confidence,
        {{ ratio('pairs.receipts', 'other_bought.receipts') }} as other_confidence,
        cast(pairs.receipts as double) * totals.receipts / bought.receipts / other_bought.receipts as lift
    from pairs
    inner join totals
        on pairs.tenant_id = totals.tenant_id
    inner join bought
        on pairs.tenant_id = bought.tenant_id
        and pairs.article_number = bought.article_number
    inner join bought as other_bought
        on pairs.tenant_id = other_bought.tenant_id
        and pairs.other_article_number = other_bought.article_number
    left join articles
        on pairs.tenant_id = articles.tenant_id
        and pairs.article_number = articles.article_number
    left join articles as other_articles
        on pairs.tenant_id = other_articles.tenant_id
        and pairs.other_article_number = other_articles.article_number
)

select * from final
