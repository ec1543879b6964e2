{#
    The only file that knows one SQL dialect from another. A macro takes SQL expressions and returns one;
    `default__` is what DuckDB and Snowflake share.
#}

{# Moment `seconds` after midnight of `day`, both local and without a zone. #}
{% macro local_moment(day, seconds) -%}
    {{ return(adapter.dispatch('local_moment')(day, seconds)) }}
{%- endmacro %}

{% macro duckdb__local_moment(day, seconds) -%}
    cast({{ day }} as timestamp) + to_seconds({{ seconds }})
{%- endmacro %}

{% macro snowflake__local_moment(day, seconds) -%}
    dateadd(second, {{ seconds }}, cast({{ day }} as timestamp_ntz))
{%- endmacro %}


{#
    The local moment as UTC. Of an hour that the clocks show twice a till does not say which pass it means; DuckDB reads
    the second.
#}
{% macro to_utc(moment, time_zone) -%}
    {{ return(adapter.dispatch('to_utc')(moment, time_zone)) }}
{%- endmacro %}

{% macro duckdb__to_utc(moment, time_zone) -%}
    timezone({{ time_zone }}, {{ moment }})
{%- endmacro %}

{% macro snowflake__to_utc(moment, time_zone) -%}
    convert_timezone({{ time_zone }}, 'UTC', {{ moment }})
{%- endmacro %}


{# Every day from `first` up to and including `last`, as a query with one column `date_day`. #}
{% macro days(first, last) -%}
    {{ return(adapter.dispatch('days')(first, last)) }}
{%- endmacro %}

{% macro duckdb__days(first, last) -%}
    select cast(unnest(generate_series(date '{{ first }}', date '{{ last }}', interval 1 day)) as date) as date_day
{%- endmacro %}

{% macro snowflake__days(first, last) -%}
    select dateadd(day, row_number() over (order by null) - 1, cast('{{ first }}' as date)) as date_day
    from table(generator(rowcount => {{ (modules.datetime.date.fromisoformat(last) - modules.datetime.date.fromisoformat(first)).days + 1 }}))
{%- endmacro %}


{# A moment in UTC as the local one, without a zone. #}
{% macro to_local(moment, time_zone) -%}
    {{ return(adapter.dispatch('to_local')(moment, time_zone)) }}
{%- endmacro %}

{% macro duckdb__to_local(moment, time_zone) -%}
    timezone({{ time_zone }}, timezone('UTC', {{ moment }}))
{%- endmacro %}

{% macro snowflake__to_local(moment, time_zone) -%}
    convert_timezone('UTC', {{ time_zone }}, {{ moment }})
{%- endmacro %}


{# Statements that all count or none; dbt-duckdb has begun a transaction already. #}
{% macro in_one_transaction(statements) -%}
    {{ return(adapter.dispatch('in_one_transaction')(statements)) }}
{%- endmacro %}

{% macro duckdb__in_one_transaction(statements) -%}
    {{ return(statements) }}
{%- endmacro %}

{% macro snowflake__in_one_transaction(statements) -%}
    {{ return(snowflake_dml_explicit_transaction(statements)) }}
{%- endmacro %}


{# The sum of quantities, the same in whatever order they are added. #}
{% macro sum_pieces(quantity) -%}
    cast(sum(cast({{ quantity }} as decimal(38, 6))) as double)
{%- endmacro %}

{# The same where each quantity is of one line and so fits half the digits. #}
{% macro sum_pieces_of_lines(quantity) -%}
    cast(sum(cast({{ quantity }} as decimal(18, 6))) as double)
{%- endmacro %}
