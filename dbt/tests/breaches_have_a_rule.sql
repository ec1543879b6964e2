-- A breach of a rule that the seed does not hold would be in no report.
select distinct rule
from {{ ref('int_rule_breaches') }}
where entity is null
