"""By what a question wants its figures broken down, and what it wants first."""

from dataclasses import dataclass
from typing import cast

from mercurios.answers.outcome import Ambiguity, Candidate, Refusal
from mercurios.answers.reading import Tag
from mercurios.answers.sentence import Halt, Sentence
from mercurios.metrics import Grain

SHOWN = 5
"""Rows of a ranking that names no number."""
MOST_SHOWN = 100


@dataclass(frozen=True)
class Ranking:
    """What comes first: the highest, or the lowest values of `metric` (the first one asked for when empty)."""

    descending: bool
    limit: int
    metric: str = ""


@dataclass(frozen=True)
class Breakdown:
    """Dimensions and calendar grain to group by. is_series: over time, grain left to the length of the period."""

    dimensions: tuple[str, ...] = ()
    grain: Grain | None = None
    is_series: bool = False
    ranking: Ranking | None = None


def breakdown_of(sentence: Sentence, metrics: tuple[str, ...]) -> Breakdown:
    """Read groups, grain and ranking; raises Halt when they are unclear or cannot be had together."""
    rank_metric = _rank_metric(sentence)
    dimensions = _dimensions(sentence)
    grain = _grain(sentence, dimensions)
    ranking = _ranking(sentence, dimensions, grain, rank_metric)
    series = list(sentence.having("series"))
    if series and not ranking:
        sentence.use(*(at for at, _ in series))
    if ranking and not ranking.metric and len(metrics) > 1:
        raise Halt(Ambiguity(_rank_words(sentence), tuple(Candidate("metric", name) for name in metrics)))
    _use_what_points_at_a_metric(sentence)
    return Breakdown(dimensions, grain, bool(series) and not ranking, ranking)


def _rank_metric(sentence: Sentence) -> str:
    """The metric of "top five stores by revenue"."""
    for at, tag in sentence.having("metric"):
        if sentence.role(at - 1) == "by":
            sentence.use(at - 1)
            return tag.value
    return ""


def _use_what_points_at_a_metric(sentence: Sentence) -> None:
    """`all` changes nothing, and neither does `which` or `how much` before a metric."""
    for at, _ in sentence.having("all"):
        sentence.use(at)
    for at, _ in sentence.having("which"):
        if sentence.role(at + 1) == "metric":
            sentence.use(at)
    for at, _ in sentence.having("how_many", "how_much"):
        names_one = sentence.role(at + 2) in ("value", "branch_number")
        if sentence.role(at + 1) != "dimension" or names_one:  # "how many stores" is a count that no metric gives
            sentence.use(at)


# dimensions


def _dimensions(sentence: Sentence) -> tuple[str, ...]:
    is_ranked = sentence.has("most", "least", "bestseller")
    found: list[str] = []
    for at, tag in sentence.having("dimension"):
        if sentence.is_used(at):
            continue
        if _is_asked_for(sentence, at) or is_ranked or _continues(sentence, at):
            found.append(tag.value)
        elif not (tag.many and sentence.role(at - 1) == "all"):
            raise Halt(Ambiguity(tag.text, (Candidate("breakdown", tag.value), Candidate("breakdown", "total"))))
        sentence.use(at)
    return tuple(dict.fromkeys(found))


def _is_asked_for(sentence: Sentence, at: int) -> bool:
    """`per branch`, `which five categories`, `Filialen nach Umsatz`."""
    before = at - 1
    while sentence.role(before) in ("number", "most", "least", "all", "metric"):
        before -= 1
    if sentence.role(before) in ("by", "which"):
        sentence.use(before)
        return True
    return sentence.role(at + 1) == "by" and sentence.role(at + 2) == "metric"


def _continues(sentence: Sentence, at: int) -> bool:
    """The second of `by branch and category`."""
    if sentence.role(at - 1) == "and" and sentence.role(at - 2) in ("dimension", "grain", "each"):
        sentence.use(at - 1)
        return True
    return False


# grain


def _grain(sentence: Sentence, dimensions: tuple[str, ...]) -> Grain | None:
    found: list[str] = []
    for at, tag in sentence.having("each"):
        sentence.use(at)
        found.append(tag.value)
    is_ranked = sentence.has("most", "least", "bestseller")
    for at, tag in sentence.having("grain"):
        if _is_grain_asked_for(sentence, at) or (is_ranked and not dimensions):
            sentence.use(at)
            found.append(tag.value)
    if len(set(found)) > 1:
        raise Halt(Refusal("two_grains"))
    return cast(Grain, found[0]) if found else None


def _is_grain_asked_for(sentence: Sentence, at: int) -> bool:
    if sentence.is_one_word(at, at + 1) and sentence.role(at + 1) in ("metric", "series"):
        return True
    if _continues(sentence, at):
        return True
    before = at - 1
    while sentence.role(before) in ("number", "most", "least"):
        before -= 1
    if sentence.role(before) in ("by", "which"):
        sentence.use(before)
        return True
    return False


# ranking


def _ranking(sentence: Sentence, dimensions: tuple[str, ...], grain: Grain | None, metric: str) -> Ranking | None:
    words = list(sentence.having("most", "least", "bestseller"))
    if not words:
        return None
    if len({tag.role == "least" for _, tag in words}) > 1:
        raise Halt(Refusal("two_rankings"))
    if len(dimensions) + (grain is not None) > 1:
        raise Halt(Refusal("ranking_in_groups"))
    if not dimensions and not grain:
        raise Halt(_rank_of_what(sentence))
    sentence.use(*(at for at, _ in words))
    return Ranking(words[0][1].role != "least", _limit(sentence, dimensions, grain), metric)


def _rank_of_what(sentence: Sentence) -> Ambiguity:
    kinds = ("DAY", "WEEK", "MONTH") if sentence.has("when") else ("branch", "category", "department", "product_type")
    return Ambiguity(_rank_words(sentence), tuple(Candidate("breakdown", kind) for kind in kinds))


def _limit(sentence: Sentence, dimensions: tuple[str, ...], grain: Grain | None) -> int:
    """The number beside what is ranked; one for a singular, a handful for a plural."""
    for at, tag in sentence.having("number"):
        is_compound = sentence.is_one_word(at + 1, at + 2) and sentence.role(at + 1) == "metric"  # drei umsatzstärkste
        after = sentence.role(at + 2 if is_compound else at + 1)
        is_beside = {sentence.role(at - 1), after} & {"most", "least", "dimension", "grain", "bestseller"}
        if is_beside and tag.number is not None and 1 <= tag.number <= MOST_SHOWN:
            sentence.use(at)
            return tag.number
    return SHOWN if any(tag.many for tag in _ranked(sentence, (*dimensions, grain or ""))) else 1


def _ranked(sentence: Sentence, names: tuple[str, ...]) -> list[Tag]:
    return [tag for _, tag in sentence.having("dimension", "grain") if tag.value in names]


def _rank_words(sentence: Sentence) -> str:
    return " ".join(tag.text for _, tag in sentence.having("most", "least", "bestseller"))
