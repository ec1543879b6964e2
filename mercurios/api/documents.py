"""GraphQL documents: read, checked and kept, so that a question asked twice is parsed once.

    documents = Documents(schema)
    prepared = documents.prepare("{ tenant { name } }")
    prepared.operation                                  # 'tenant'

Parsing and validating take several times as long as executing. What is too large, too deep or too wide is turned away
before a resolver runs.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    parse,
    validate,
    visit,
)

from mercurios.api.access import ROLES
from mercurios.api.access.roles import Need, needs_of
from mercurios.errors import BadRequest

_DIGITS = 100


@dataclass(frozen=True)
class DocumentLimits:
    """What a document may be; `fields` are counted with fragments written out, the rest as it is written."""

    bytes: int = 100_000
    tokens: int = 1_000  # to parse more takes longer than to answer
    depth: int = 16  # the usual introspection query has 13
    definitions: int = 60
    aliases: int = 60
    directives: int = 60
    root_fields: int = 50
    fields: int = 500


@dataclass(frozen=True)
class Prepared:
    """A document that passed every check; `operation` is its one root field, `several` or `introspection`.

    needs: the roles its fields ask for; kept with the document, judged for each asker.
    """

    document: DocumentNode
    operation: str
    needs: tuple[Need, ...]


class InvalidDocument(BadRequest):
    """The document is no GraphQL, or does not fit the schema."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Documents:
    """The most recently used documents, bounded by the characters of their sources; `on_look` hears `hit` or `miss`."""

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: DocumentLimits = DocumentLimits(),
        *,
        introspection: str = "viewer",
        capacity_characters: int = 500_000,
        on_look: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._introspection = introspection
        self._capacity_characters = capacity_characters
        self._on_look = on_look
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self.characters = 0

    def prepare(self, source: str) -> Prepared:
        """Return the checked document; raises BadRequest when it exceeds a limit, InvalidDocument when it is wrong."""
        with self._lock:
            prepared = self._kept.get(source)
            if prepared is not None:
                self._kept.move_to_end(source)
        self._on_look("miss" if prepared is None else "hit")
        if prepared is not None:
            return prepared
        prepared = self._check(source)
        self._keep(source, prepared)
        return prepared

    def _check(self, source: str) -> Prepared:
        size = len(source.encode("utf-8", "replace"))
        if size > self._limits.bytes:
            raise BadRequest(
                f"the document has {size:,} bytes, at most {self._limits.bytes:,} are read; send values as variables"
            )
        try:
            document = parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLError as error:
            raise InvalidDocument([error]) from error
        _Scales(document, self._limits).check()
        visit(document, look := _Look())
        errors = validate(self._schema, document, max_errors=10)
        if errors:
            raise InvalidDocument(errors)
        needs = (*needs_of(self._schema, document), *_introspection_needs(look.names, self._introspection))
        return Prepared(document, _operation(document), needs)

    def _keep(self, source: str, prepared: Prepared) -> None:
        if len(source) > self._capacity_characters // 10:
            return
        with self._lock:
            if source not in self._kept:
                self._kept[source] = prepared
                self.characters += len(source)
            while self.characters > self._capacity_characters:
                dropped, _ = self._kept.popitem(last=False)
                self.characters -= len(dropped)


@dataclass(frozen=True)
class _Weight:
    """Of a selection set, fragments written out: its depth, its own fields, and all fields below as well."""

    depth: int = 0
    width: int = 0
    fields: int = 0


class _Scales:
    """Weighs a document before it is validated, because validation itself is quadratic in places."""

    def __init__(self, document: DocumentNode, limits: DocumentLimits) -> None:
        self._limits = limits
        self._operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self._definitions = document.definitions
        self._aliases = 0
        self._directives = sum(map(_directives, document.definitions))
        fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self._fragments = {node.name.value: node.selection_set for node in fragments}
        self._weights: dict[str, _Weight] = {}

    def check(self) -> None:
        limits = self._limits
        _at_most("definitions long", len(self._definitions), limits.definitions)
        weights = [self._weigh(operation.selection_set, 0) for operation in self._operations]
        unused = [self._fragment(name, 0) for name in self._fragments if name not in self._weights]
        _at_most("levels deep", max((weight.depth for weight in weights), default=0), limits.depth)
        _at_most("root fields wide", max((weight.width for weight in weights), default=0), limits.root_fields)
        _at_most("fields large", sum(weight.fields for weight in (*weights, *unused)), limits.fields)
        _at_most("aliases rich", self._aliases, limits.aliases)
        _at_most("directives rich", self._directives, limits.directives)

    def _weigh(self, selections: SelectionSetNode | None, nesting: int) -> _Weight:
        # Fragments may nest without adding a level of fields, so the nesting itself is bounded as well.
        _at_most("selections nested", nesting, 3 * self._limits.depth)
        depth = width = fields = 0
        for node in selections.selections if selections else ():
            self._directives += len(node.directives)
            if isinstance(node, FieldNode):
                self._aliases += node.alias is not None
                below = self._weigh(node.selection_set, nesting + 1)
                weight = _Weight(below.depth + 1, 1, below.fields + 1)
            elif isinstance(node, FragmentSpreadNode):
                weight = self._fragment(node.name.value, nesting + 1)
            else:
                weight = self._weigh(getattr(node, "selection_set", None), nesting + 1)
            depth, width, fields = max(depth, weight.depth), width + weight.width, fields + weight.fields
        return _Weight(depth, width, fields)

    def _fragment(self, name: str, nesting: int) -> _Weight:
        if name not in self._weights:
            self._weights[name] = _Weight()  # met again while being weighed: a cycle, which validation reports
            self._weights[name] = self._weigh(self._fragments.get(name), nesting)
        return self._weights[name]


def _directives(node: DefinitionNode) -> int:
    """Those of a definition itself and of its variables."""
    variables = getattr(node, "variable_definitions", None) or ()
    return sum(len(one.directives or ()) for one in (node, *variables) if hasattr(one, "directives"))


class _Look(Visitor):
    """Looks at every field's name and every number; raises BadRequest for numbers that no field can take."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.names.add(node.name.value)

    def enter_int_value(self, node: IntValueNode, *_: Any) -> None:
        _at_most("digits in one number", len(node.value), _DIGITS)

    def enter_float_value(self, node: FloatValueNode, *_: Any) -> None:
        _at_most("digits in one number", len(node.value), _DIGITS)
        if not math.isfinite(float(node.value)):
            raise BadRequest("a number of the document is too large; expected less than 1e308")


def _introspection_needs(names: set[str], role: str) -> tuple[Need, ...]:
    """A need for each field that tells the schema, wherever in the document it is."""
    told = () if role == ROLES[0] else ("__schema", "__type")
    return tuple(Need(f"Query.{name}", role) for name in told if name in names)


def _at_most(what: str, got: int, limit: int) -> None:
    if got > limit:
        raise BadRequest(f"the document is more than {limit} {what}; ask for less, or in several requests")


def _operation(document: DocumentNode) -> str:
    names = {
        selection.name.value if isinstance(selection, FieldNode) else "several"
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
        for selection in node.selection_set.selections
    }
    if all(name.startswith("__") for name in names):
        return "introspection"
    return names.pop() if len(names) == 1 else "several"
