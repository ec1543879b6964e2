"""MetricFlow, held to compiling: the only module that imports it.

MetricFlow wants a client of the warehouse it compiles for. Here it gets a dialect and nothing else: the statement is
run by whoever asked for it.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mercurios.errors import InvalidMetricQuery
from mercurios.serving import SCHEMA

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

_CALENDAR = "dim_dates"


def engine(manifest: Mapping[str, Any]) -> "MetricFlowEngine":
    """Set MetricFlow up on a manifest, with every table in the serving session's schema; some seconds of imports."""
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
    from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

    parsed = parse_manifest_from_dbt_generated_manifest(json.dumps(_relocated(manifest)))
    return MetricFlowEngine(SemanticManifestLookup(parsed), _dialect())


def explain(engine: "MetricFlowEngine", names: Sequence[str], group_by: Sequence[str], where: Sequence[str]) -> str:
    """Compile one query; raises InvalidMetricQuery with MetricFlow's reason."""
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest
    from metricflow_semantics.errors.error_classes import InvalidQueryException

    request = MetricFlowQueryRequest.create(metric_names=names, group_by_names=group_by, where_constraints=where)
    try:
        return str(engine.explain(request).sql_statement.sql)
    except InvalidQueryException as error:
        raise InvalidMetricQuery(f"MetricFlow cannot compute {', '.join(names)} this way: {error}") from error


def _relocated(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest for a session: one schema, and the days of the calendar are those of its only tenant."""
    moved = copy.deepcopy(dict(manifest))
    for model in moved["semantic_models"]:
        _place(model["node_relation"], model["node_relation"]["alias"])
    for spine in moved["project_configuration"]["time_spines"]:
        _place(spine["node_relation"], _CALENDAR)
        spine["primary_column"]["name"] = "day"
    return moved


def _place(relation: dict[str, Any], table: str) -> None:
    relation.update(alias=table, database=None, schema_name=SCHEMA, relation_name=f"{SCHEMA}.{table}")


def _dialect() -> Any:
    """A client of no warehouse: MetricFlow asks it for the dialect only."""
    from metricflow.protocols.sql_client import SqlEngine
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer

    class Dialect:
        sql_engine_type = SqlEngine.DUCKDB
        sql_plan_renderer = DuckDbSqlPlanRenderer()

    return Dialect()
