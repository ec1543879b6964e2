{#
    The columns together are never null and never repeat. The first column should be tenant_id.
    within, by: only the rows that agree with a row of the relation `within` in the columns `by`, for tables that grow.
#}
{% test primary_key(model, columns, within=none, by=none) %}

select
    {{ columns | join(', ') }},
    count(*) as occurrences
from {{ model }}
{%- if within %}
where ({{ by | join(', ') }}) in (select {{ by | join(', ') }} from {{ within }})
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1{% for column in columns %} or {{ column }} is null{% endfor %}

{% endtest %}
