"""What a role may read: `@needs` in the schema, told before any resolver runs.

    needs = needs_of(schema, document)          # (Need('Query.supplierDelay', 'buyer'),)
    permit(identity, needs)                     # raises Forbidden, naming the fields

A document needs what any of its fields needs, whether a directive or another operation would leave them out or not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_directive_values,
    visit,
)

from mercurios.api.access.identity import ROLES, Identity
from mercurios.errors import Forbidden


@dataclass(frozen=True)
class Need:
    """A field as `Type.field`, and the role it needs at least."""

    field: str
    role: str


def needs_of(schema: GraphQLSchema, document: DocumentNode) -> tuple[Need, ...]:
    """What the fields of a valid document need, each once, above `viewer`."""
    types = TypeInfo(schema)
    found: dict[Need, None] = {}

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            for kind in _kinds(schema, types.get_parent_type()):
                field = kind.fields.get(node.name.value)
                if field and (role := _declared(schema, field)) != ROLES[0]:
                    found[Need(f"{kind.name}.{node.name.value}", role)] = None

    visit(document, TypeInfoVisitor(types, Fields()))
    return tuple(found)


def permit(identity: Identity, needs: Iterable[Need]) -> None:
    """Raise Forbidden when the role is below what is needed."""
    lacking = [need for need in needs if not identity.may(need.role)]
    if lacking:
        told = ", ".join(f"{need.field} needs the role {need.role}" for need in lacking[:5])
        raise Forbidden(f"{told} or above, yours is {identity.role}; leave it out, or ask for the role", reason="role")


def declared(schema: GraphQLSchema) -> Iterator[Need]:
    """Every field of the schema that needs more than `viewer`."""
    for name, kind in schema.type_map.items():
        for field_name, field in getattr(kind, "fields", {}).items():
            if isinstance(field, GraphQLField) and (role := _declared(schema, field)) != ROLES[0]:
                yield Need(f"{name}.{field_name}", role)


def _kinds(
    schema: GraphQLSchema, parent: GraphQLCompositeType | None
) -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    """The types whose field may be meant: of an interface also those behind it."""
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        yield parent
    if isinstance(parent, GraphQLInterfaceType):
        yield from schema.get_possible_types(parent)


def _declared(schema: GraphQLSchema, field: GraphQLField) -> str:
    directive = schema.get_directive("needs")
    values = get_directive_values(directive, field.ast_node) if directive and field.ast_node else None
    return str(values["role"]).lower() if values else ROLES[0]
