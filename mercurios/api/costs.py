"""What a request costs, told by `@cost` in the schema before any resolver runs.

    cost = cost_of(schema, prepared.document, "Shop", {"first": 50})        # 51
    charge_at_most(cost, 5_000)                                             # raises TooCostly

A field costs its weight, times what the argument named by `times` says: the value that is sent, else the default.
Fragments are written out where they are used, of several operations only the one that is run counts, and `@skip` makes
nothing cheaper. Fields without `@cost` read nothing of their own and are free.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    get_operation_ast,
    get_variable_values,
)

from mercurios.errors import TooCostly


def cost_of(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any]
) -> int:
    """Points of a valid document with these variables; 0 for what execution refuses before it calls a resolver."""
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        return 0
    values = get_variable_values(schema, operation.variable_definitions or (), dict(variables), max_errors=10)
    root = schema.get_root_type(operation.operation)
    if root is None or isinstance(values, list):
        return 0
    return _Till(document, values).add(schema, root, operation.selection_set)


def charge_at_most(cost: int, limit: int) -> None:
    """Raise TooCostly above the limit."""
    if cost > limit:
        raise TooCostly(f"the request costs {cost:,} points, at most {limit:,} are spent on one; ask for fewer rows")


class _Till:
    """Adds up selections; a fragment that is used again on the same type is not walked again."""

    def __init__(self, document: DocumentNode, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        nodes = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self._fragments = {node.name.value: node for node in nodes}
        self._added: dict[str, int] = {}

    def add(self, schema: GraphQLSchema, parent: Any, selections: SelectionSetNode) -> int:
        return sum(self._one(schema, parent, node) for node in selections.selections)

    def _one(self, schema: GraphQLSchema, parent: Any, node: object) -> int:
        if isinstance(node, FieldNode):
            return self._field(schema, parent, node)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(schema, self._fragments[node.name.value])
        if isinstance(node, InlineFragmentNode):
            named = node.type_condition
            return self.add(schema, schema.get_type(named.name.value) if named else parent, node.selection_set)
        return 0

    def _fragment(self, schema: GraphQLSchema, fragment: FragmentDefinitionNode) -> int:
        name = fragment.name.value
        if name not in self._added:
            kind = schema.get_type(fragment.type_condition.name.value)
            self._added[name] = self.add(schema, kind, fragment.selection_set)
        return self._added[name]

    def _field(self, schema: GraphQLSchema, parent: Any, node: FieldNode) -> int:
        kinds = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        field = parent.fields.get(node.name.value) if kinds else None
        if field is None:  # `__typename` and introspection, which read no data
            return 0
        below = self.add(schema, get_named_type(field.type), node.selection_set) if node.selection_set else 0
        return below + self._own(schema, field, node)

    def _own(self, schema: GraphQLSchema, field: GraphQLField, node: FieldNode) -> int:
        told = declared_cost(schema, field)
        if told is None:
            return 0
        weight, times = told
        if times is None:
            return weight
        try:
            items = get_argument_values(field, node, self._values).get(times)
        except GraphQLError:  # the field fails with it
            items = None
        if items is None:
            items = field.args[times].default_value
        return weight * max(1, int(items))


def declared_cost(schema: GraphQLSchema, field: GraphQLField) -> tuple[int, str | None] | None:
    """Weight and counting argument of a field; None where it is free."""
    directive = schema.get_directive("cost")
    values = get_directive_values(directive, field.ast_node) if directive and field.ast_node else None
    return (values["weight"], values.get("times")) if values else None
