{#
    Every value that is not null exists in `field` of `to`, for the same tenant.
    optional: a tenant without any row there is left out, because merchants need not have every entity.
#}
{% test relationship_within_tenant(model, column_name, to, field, optional=false) %}

with

child as (
    select distinct tenant_id, {{ column_name }} as reference
    from {{ model }}
    where {{ column_name }} is not null
),

parent as (
    select distinct tenant_id, {{ field }} as reference
    from {{ to }}
)

select child.*
from child
left join parent
    on child.tenant_id = parent.tenant_id
    and child.reference = parent.reference
where parent.tenant_id is null
{%- if optional %}
    and child.tenant_id in (select tenant_id from parent)
{%- endif %}

{% endtest %}
