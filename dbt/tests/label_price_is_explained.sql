-- ProHandel's identity: sale price + discount + deduction = label price × quantity wherever a label price stands.
-- A warning: a merchant's till may break it, and the discount rate is then only as good as the labels.
{{ config(severity='warn') }}

select
    tenant_id,
    sale_line_id,
    gross_amount,
    discount_amount,
    deduction_amount,
    label_price,
    quantity
from {{ ref('stg_prohandel__sales') }}
where label_price <> 0
    and {{ money('label_price * quantity', 2) }} <> gross_amount + discount_amount + deduction_amount
