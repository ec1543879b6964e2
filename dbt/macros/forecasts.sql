{#
    The levels that are forecast, as models/forecast.yaml has them: days of a period (weeks start on Monday), and what the
    key of a forecast is in fct_sale_lines.
#}
{% macro forecast_levels() -%}
    {{ return({
        'total': {'period_days': 1, 'key': "'total'"},
        'department': {'period_days': 1, 'key': 'department'},
        'branch': {'period_days': 1, 'key': 'cast(branch as varchar)'},
        'branch_department': {'period_days': 1, 'key': "cast(branch as varchar) || '/' || department"},
        'category': {'period_days': 7, 'key': 'category'},
        'product_type': {'period_days': 7, 'key': 'product_type'},
    }) }}
{%- endmacro %}

{# One of the two by `level`; null for a level that is not there. #}
{% macro by_forecast_level(what) -%}
    case level
        {%- for name, told in forecast_levels().items() %} when '{{ name }}' then {{ told[what] }}{% endfor %} end
{%- endmacro %}
