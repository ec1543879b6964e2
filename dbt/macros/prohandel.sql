{# ProHandel's way of writing things, in one place. #}

{# Masters carry a business number that may be given again after a deletion: one row a tenant and number, the living and newest. #}
{% macro current_masters(table) -%}
    (
        select *
        from {{ source('prohandel', table) }}
        qualify row_number() over (
            partition by tenant_id, number
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

{# A number that no till means, one that a sum cannot take, counts as 0; `amounts_are_countable` tells of them. #}
{% macro countable(number, most) -%}
    case when abs({{ number }}) < {{ most }} then {{ number }} when {{ number }} is not null then 0 end
{%- endmacro %}

{# Pieces: doubles of up to here still add up to the gram. #}
{% macro pieces(number) -%}
    {{ countable(number, '1e9') }}
{%- endmacro %}

{# Money: what fits its decimals, some thousand times over. #}
{% macro money(amount, scale) -%}
    cast({{ countable(amount, '1e11') }} as decimal(18, {{ scale }}))
{%- endmacro %}
