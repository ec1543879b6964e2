"""What stands behind each field of the schema: every module of a domain brings its own fields.

    schema = load_schema()
    execute_sync(schema, document, context_value=Asker(identity, backend))

A field that no module names is read from what its parent's resolver gave, by its name.
"""

from importlib.resources import files

from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from mercurios.api import (
    comparisons,
    customers,
    decisions,
    figures,
    masters,
    merchant,
    orders,
    pictures,
    predictions,
    questions,
    sales,
    scenarios,
    state,
    stock,
)
from mercurios.api.asker import Asker
from mercurios.api.scalars import bind_scalars

__all__ = ["Asker", "load_schema"]

_MODULES = (
    *(merchant, state, sales, masters, customers, stock),
    *(figures, comparisons, predictions, orders, decisions, scenarios, questions, pictures),
)


def load_schema() -> GraphQLSchema:
    """Read `schema.graphql` and bind scalars and resolvers to it."""
    schema = build_schema(files("mercurios.api").joinpath("schema.graphql").read_text("utf-8"))
    bind_scalars(schema)
    for module in _MODULES:
        for place, resolver in module.RESOLVERS.items():
            type_name, field_name = place.split(".")
            kind = schema.type_map[type_name]
            assert isinstance(kind, GraphQLObjectType)
            kind.fields[field_name].resolve = resolver
    return schema
