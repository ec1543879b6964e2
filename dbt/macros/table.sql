{#
    A table of DuckDB, replaced in one transaction: who reads meanwhile sees the old rows, and so does everybody after a
    failure. dbt-duckdb's own way (made under another name, both renamed, the old one dropped) comes to the same, and
    costs a nightly build of fifty tables a second of ten. For models without hooks, grants and indexes.
#}
{% materialization table, adapter='duckdb' %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type='table') %}
    {% call statement('main') %}
        {% if existing and existing.is_view %}drop view {{ existing }};{% endif %}
        {% if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(compiled_code) }}
        create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
        insert into {{ target }} {{ get_column_names() }} ({{ get_select_subquery(compiled_code) }});
        {% else %}
        create or replace table {{ target }} as ({{ compiled_code }});
        {% endif %}
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
