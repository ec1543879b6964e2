-- The rules of seeds/warehouse_rules.csv, each breach with the rule and the record. Never an error: what is wrong in one
-- merchant's books must not keep the others from their marts.
{{ config(severity='warn') }}

select
    tenant_id,
    rule,
    severity,
    entity,
    record,
    detail
from {{ ref('int_rule_breaches') }}
