-- Lines with numbers that no till means. They stay, and count as 0; a warning, because one merchant's slip must not
-- keep the others from their marts.
{{ config(severity='warn') }}

select
    tenant_id,
    id
from {{ source('prohandel', 'prohandel_sale') }}
where _deleted_at is null
    and (
        abs(quantity) >= 1e9
        or abs(sale_price) >= 1e11
        or abs(discount) >= 1e11
        or abs(deduction) >= 1e11
        or abs(label_price) >= 1e11
        or abs(purchase_price) >= 1e11
    )
