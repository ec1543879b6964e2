{# ProHandel's way of writing things, in one place. #}

{# Masters carry a business number that may be given again after a deletion: one row a tenant and number, the living and newest. #}
{% macro current_masters(table) -%}
    (
        select *
        from {{ source('prohandel', table) }}
        qualify row_number() over (
            partition by tenant_id, number
            order by is_deleted, last_change desc nulls last, id
        ) = 1
    )
{%- endmacro %}

{# "Never" is written as 1 January 1990. #}
{% macro never_to_null(moment) -%}
    nullif(cast({{ moment }} as date), cast('1990-01-01' as date))
{%- endmacro %}
