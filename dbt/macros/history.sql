{# An update and an insert, as dbt-duckdb does it, instead of dbt's MERGE: both targets keep history by the same SQL. #}
{% macro snowflake__snapshot_merge_sql(target, source, insert_cols) -%}
    {% set columns = insert_cols | join(', ') %}
    {% set statements -%}
        update {{ target.render() }} as kept
        set dbt_valid_to = found.dbt_valid_to
        from {{ source }} as found
        where found.dbt_scd_id = kept.dbt_scd_id
            and found.dbt_change_type in ('update', 'delete')
            and kept.dbt_valid_to is null;
        insert into {{ target.render() }} ({{ columns }})
        select {{ columns }}
        from {{ source }}
        where dbt_change_type = 'insert'
    {%- endset %}
    {{ return(in_one_transaction(statements)) }}
{%- endmacro %}
