{# ProHandel's way of writing things, in one place. #}

{# Masters carry a business number that may be given again after a deletion: one row a tenant and number, the living and newest. #}
{% macro current_masters(table, number='number') -%}
    (
        select *
        from {{ source('prohandel', table) }}
        qualify row_number() over (
            partition by tenant_id, {{ number }}
            order by case when _deleted_at is null then 0 else 1 end, last_change desc nulls last, id
        ) = 1
    )
{%- endmacro %}

{# "Never" is written as 1 January 1990. #}
{% macro never_to_null(moment) -%}
    nullif(cast({{ moment }} as date), cast('1990-01-01' as date))
{%- endmacro %}

{# Seconds after midnight; what is none of a day's 86,400 says nothing of the moment, only the day is left. #}
{% macro second_of_day(seconds) -%}
    case when {{ seconds }} between 0 and 86399 then {{ seconds }} else 0 end
{%- endmacro %}

{# What no till means: a hundred thousand such numbers still add up to what fits the decimals of a sum. #}
{% macro least_uncountable() -%}
    1e9
{%- endmacro %}

{# A number of pieces; one that no till means counts as 0, and the rules `…_uncountable` tell of it. #}
{% macro pieces(number) -%}
    case when abs({{ number }}) < {{ least_uncountable() }} then {{ number }} when {{ number }} is not null then 0 end
{%- endmacro %}

{# Money; an amount that no till means counts as 0, likewise. #}
{% macro money(amount, scale) -%}
    cast({{ pieces(amount) }} as decimal(18, {{ scale }}))
{%- endmacro %}

{# Whether one of the numbers counts as 0. #}
{% macro is_uncountable(numbers) -%}
    (
        {%- for number in numbers -%}
        coalesce(abs({{ number }}) >= {{ least_uncountable() }}, false){{ ' or ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}

{# Pieces at a price; what counts as 0 cannot make it overflow. #}
{% macro product(number, price) -%}
    {{ pieces(number) }} * {{ pieces(price) }}
{%- endmacro %}

{#
    What two sums of pieces may differ by. They are kept as floating point: half a gram is nothing, and less than a
    trillionth of all that was `moved` (without its signs).
#}
{% macro rounding(moved) -%}
    0.0005 + 1e-12 * coalesce({{ moved }}, 0)
{%- endmacro %}

{# No line is older: a till that has never been told the day writes 1 January 1990. #}
{% macro first_day() -%}
    cast('2000-01-01' as date)
{%- endmacro %}

{# No merchant's tree of categories is deeper; a chain that goes on has lost its way. #}
{% macro deepest_category() -%}
    20
{%- endmacro %}


{#
    Every record of the JSON array in `column` of the CTE `relation`, as a query: the columns `keep`, `place` (from 1) and `record` (JSON).
    Null and an empty array have none.
#}
{% macro json_records(relation, column, keep) -%}
    {{ return(adapter.dispatch('json_records')(relation, column, keep)) }}
{%- endmacro %}

{% macro duckdb__json_records(relation, column, keep) -%}
    select
        {{ keep | join(', ') }},
        unnest(range(1, cast(json_array_length({{ column }}) as bigint) + 1)) as place,
        unnest(json_extract({{ column }}, '$[*]')) as record
    from {{ relation }}
    where {{ column }} is not null
{%- endmacro %}

{% macro snowflake__json_records(relation, column, keep) -%}
    select
        {% for name in keep %}{{ relation }}.{{ name }}, {% endfor %}
        one.index + 1 as place,
        one.value as record
    from {{ relation }}, lateral flatten(input => parse_json({{ relation }}.{{ column }})) as one
{%- endmacro %}


{# A field of such a record as text, whole number, number or day; null where it is absent. #}
{% macro json_text(record, field) -%}
    {{ return(adapter.dispatch('json_text')(record, field)) }}
{%- endmacro %}

{% macro duckdb__json_text(record, field) -%}
    json_extract_string({{ record }}, '$.{{ field }}')
{%- endmacro %}

{% macro snowflake__json_text(record, field) -%}
    cast({{ record }}:{{ field }} as varchar)
{%- endmacro %}

{% macro json_number(record, field) -%}
    try_cast({{ json_text(record, field) }} as double)
{%- endmacro %}

{% macro json_integer(record, field) -%}
    try_cast({{ json_text(record, field) }} as bigint)
{%- endmacro %}

{% macro json_day(record, field) -%}
    try_cast(left({{ json_text(record, field) }}, 10) as date)
{%- endmacro %}


{# The group's texts in their order, with one blank between them. #}
{% macro texts_joined(text) -%}
    {{ return(adapter.dispatch('texts_joined')(text)) }}
{%- endmacro %}

{% macro duckdb__texts_joined(text) -%}
    string_agg({{ text }}, ' ' order by {{ text }})
{%- endmacro %}

{% macro snowflake__texts_joined(text) -%}
    listagg({{ text }}, ' ') within group (order by {{ text }})
{%- endmacro %}
