-- A pair is on no more receipts than either article, and each of these on no more than there are.
select *
from {{ ref('mart_basket_pairs') }}
where not coalesce(
    article_number < other_article_number
    and receipts >= {{ var('basket_least_receipts') }}
    and support > 0
    and support <= least(confidence, other_confidence)
    and greatest(confidence, other_confidence) <= 1
    -- lift = confidence ÷ share of the other = confidence × other_confidence ÷ support
    and abs(lift * support / confidence / other_confidence - 1) < 1e-9,
    false
)
