{# Arithmetic of key figures, in SQL that every target understands. #}

{# A fraction; null where there is nothing to divide by. #}
{% macro ratio(part, whole) -%}
    cast({{ part }} as double) / nullif(cast({{ whole }} as double), 0)
{%- endmacro %}

{# Monday of the ISO week: 1 January 1900 was one. Snowflake's own weeks begin where a session parameter says. #}
{% macro week_start(day) -%}
    cast({{ dbt.dateadd('day', "-mod(" ~ day ~ " - cast('1900-01-01' as date), 7)", day) }} as date)
{%- endmacro %}

{# First day of the month `months` after the month of `day`; months may be an expression. #}
{% macro month_start(day, months=0) -%}
    cast(date_trunc('month', {{ add_months(day, months) if months else day }}) as date)
{%- endmacro %}

{# The same day of another month, or that month's last day where it is shorter. #}
{% macro add_months(day, months) -%}
    cast({{ dbt.dateadd('month', months, day) }} as date)
{%- endmacro %}
