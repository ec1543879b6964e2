{#
    How big tables follow what ingest brings. `int_batches` tells at the beginning of a run which batches are new,
    `int_changed_*` what they change, and `int_batches_built` marks at the end that all of it was taken in: a run that
    broke off is made up for by the next. The strategy `replace` deletes what changed and inserts what the model selects.
#}

{# The table of a model as earlier runs left it; none where there is none, or where everything is built anew. #}
{% macro as_built(name) -%}
    {% if not execute or flags.FULL_REFRESH %}
        {{ return(none) }}
    {% endif %}
    {% set node = graph.nodes['model.' ~ project_name ~ '.' ~ name] %}
    {{ return(adapter.get_relation(database=node.database, schema=node.schema, identifier=node.alias)) }}
{%- endmacro %}


{# What the project is, as mercurios/transformation.py tells; empty where dbt was called by hand. #}
{% macro project_digest() -%}
    {{ return(env_var('TRANSFORM_PROJECT', '')) }}
{%- endmacro %}


{#
    Rows of earlier runs were made by the SQL of then. Before a run: what another project built, and what was never
    finished, is dropped and built from scratch.
#}
{% macro start_anew_when_the_project_changed() -%}
    {% if execute and flags.WHICH in ['build', 'run'] and not flags.FULL_REFRESH and not is_of_this_project() %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.unique_id in selected_resources %}
            {% if node.config.materialized == 'incremental' or node.name == 'int_batches_built' %}
                {% do drop_relation_if_exists(as_built(node.name)) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{%- endmacro %}

{% macro is_of_this_project() -%}
    {% set built = as_built('int_batches_built') %}
    {% if built is none %}
        {{ return(false) }}
    {% endif %}
    {% set projects = run_query('select max(project) from ' ~ built).columns[0].values() %}
    {{ return(project_digest() in ['', projects[0]]) }}
{%- endmacro %}


{#
    Of a table that a model of the strategy `replace` reads, only what its increment inserts: the rows whose tenant and
    `column` (of several: their names, with commas), which may be reckoned, are in a model of changes. Everything where the
    model is built from scratch.
#}
{% macro where_changed(changes, column, reckoned=none, of=none) -%}
    {% set prefix = of ~ '.' if of else '' %}
    {% if is_incremental() or not execute -%}  {# dbt learns by parsing what depends on what #}
    where ({{ prefix }}tenant_id, {{ prefix }}{{ reckoned or column }}) in (select tenant_id, {{ column }} from {{ ref(changes) }})
    {%- endif %}
{%- endmacro %}


{# Days that a model of changes found, with those that it had found for a run that then broke off. #}
{% macro days_of_run(model, found) -%}
    {% set before = as_built(model) %}
    {% set built = as_built('int_batches_built') %}
    select
        tenant_id,
        sold_on,
        {{ month_start('sold_on') }} as month_start,
        '{{ invocation_id }}' as run
    from (
        select
            tenant_id,
            sold_on
        from {{ found }}
        {% if before and built %}
        union
        select
            tenant_id,
            sold_on
        from {{ before }}
        where run <> (select coalesce(max(run), '') from {{ built }})
        {% endif %}
    ) as days
{%- endmacro %}


{#
    meta.replaced of the model: by name of an intermediate table the columns that both have; the model's rows that agree
    with a row there are deleted, then what the model selects is inserted, in one transaction.
#}
{% macro get_incremental_replace_sql(arguments) -%}
    {% set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) %}
    {% set statements -%}
        {% for name, keys in config.get('meta')['replaced'].items() %}
        delete from {{ arguments['target_relation'] }} as kept
        using {{ as_built(name) }} as changed
        where {% for key in keys %}kept.{{ key }} = changed.{{ key }}{{ ' and ' if not loop.last }}{% endfor %};
        {% endfor %}
        insert into {{ arguments['target_relation'] }} ({{ columns }})
        select {{ columns }} from {{ arguments['temp_relation'] }}
    {%- endset %}
    {{ return(in_one_transaction(statements)) }}
{%- endmacro %}
