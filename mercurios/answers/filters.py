"""What a question is limited to: categories, departments, product types and branches by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mercurios.answers.outcome import Context, Refusal
from mercurios.answers.sentence import Halt, Sentence
from mercurios.metrics import Filter, FilterOp


@dataclass(frozen=True)
class _Limit:
    at: int
    dimension: str
    value: str | int
    is_excluded: bool


def filters_of(sentence: Sentence, context: Context) -> tuple[tuple[Filter, ...], tuple[str, ...]]:
    """Filters, and the dimensions of which several values are named side by side (they are shown apart).

    Raises Halt for an unknown branch, and for values that are neither one list nor of different kinds.
    """
    limits = list(_limits(sentence, context))
    _check_lists(sentence, limits)
    filters: list[Filter] = []
    side_by_side: list[str] = []
    for dimension in dict.fromkeys(limit.dimension for limit in limits):
        of_it = [limit for limit in limits if limit.dimension == dimension]
        if len({limit.is_excluded for limit in of_it}) > 1:
            raise Halt(Refusal("contradiction", {"dimension": dimension}))
        values = tuple(dict.fromkeys(limit.value for limit in of_it))
        filters.append(Filter(dimension, _operator(len(values), of_it[0].is_excluded), values))
        if len(values) > 1 and not of_it[0].is_excluded:
            side_by_side.append(dimension)
    return tuple(filters), tuple(side_by_side)


def _limits(sentence: Sentence, context: Context) -> Iterator[_Limit]:
    branches = {entry.key for entry in context.index.of_kind("branch")}
    list_goes_on_at = None
    for at, tag in sentence.having("value", "branch_number"):
        kind = "branch" if tag.role == "branch_number" else tag.entry.kind if tag.entry else ""
        key = str(tag.number) if tag.role == "branch_number" else tag.entry.key if tag.entry else ""
        if kind == "branch" and key not in branches:
            raise Halt(Refusal("unknown_branch", {"branch": key}))
        before = _beginning(sentence, at, kind)
        is_excluded = sentence.role(before - 1) == "without" or before - 1 == list_goes_on_at
        if sentence.role(before - 1) == "without":
            sentence.use(before - 1)
        list_goes_on_at = at + 1 if is_excluded and sentence.role(at + 1) == "and" else None
        sentence.use(at, *range(before, at))
        if _is_dimension(sentence, at + 1, kind) and before == at:
            sentence.use(at + 1)
        yield _Limit(at, kind, int(key) if kind == "branch" else key, is_excluded)


def _beginning(sentence: Sentence, at: int, kind: str) -> int:
    """Where the value's phrase begins: at the word for its dimension, if that stands before it and asks nothing."""
    if not _is_dimension(sentence, at - 1, kind) or sentence.is_used(at - 1):
        return at
    return at if sentence.role(at - 2) in ("by", "which") else at - 1


def _is_dimension(sentence: Sentence, at: int, kind: str) -> bool:
    return sentence.role(at) == "dimension" and sentence.tags[at].value == kind


def _check_lists(sentence: Sentence, limits: list[_Limit]) -> None:
    """Two values of one dimension must stand in one list, or the second would be a condition nobody named.

    A list of values of different dimensions ("bananas and bacon") is none: both at once would be next to nothing.
    """
    for left, right in pairwise(limits):
        if left.dimension != right.dimension:
            if "branch" not in (left.dimension, right.dimension) and sentence.is_list(left.at, right.at):
                raise Halt(Refusal("contradiction", {"dimension": right.dimension}))
            continue
        first = right.at
        while sentence.role(first - 1) == "dimension" and sentence.is_used(first - 1):
            first -= 1
        is_one_list = sentence.is_list(left.at, first) or (right.at == left.at + 1 and left.dimension == "branch")
        if not is_one_list:
            raise Halt(Refusal("contradiction", {"dimension": left.dimension}))


def _operator(values: int, is_excluded: bool) -> FilterOp:
    if values == 1:
        return "NE" if is_excluded else "EQ"
    return "NOT_IN" if is_excluded else "IN"
