{# A model lives in the schema its folder names, on every target; dbt's default would prefix the target's own schema. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
