{# The given words with one blank between them; words that are null are left out. #}
{% macro words(expressions) -%}
    trim({% for expression in expressions %}coalesce({{ expression }} || ' ', ''){{ " || " if not loop.last }}{% endfor %})
{%- endmacro %}
