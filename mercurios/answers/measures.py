"""Which metrics a question asks for."""

from itertools import pairwise

from mercurios.answers.outcome import Ambiguity, Candidate, Context, Refusal
from mercurios.answers.policy import quoted
from mercurios.answers.sentence import Halt, Sentence

SUGGESTED_AT = 0.60
"""Cosine from which a metric is offered. None is ever taken by meaning alone: `income` is as near to revenue (.89) and
`profit` to gross profit (.90) as any synonym, so no limit parts right from wrong."""


def metrics_of(sentence: Sentence, context: Context) -> tuple[str, ...]:
    """Names of the metrics in the order they are named; raises Halt when it is not sure which are meant."""
    _ask_back_unclear(sentence)
    names = _named(sentence) or _implied(sentence)
    if not names:
        raise Halt(_nearest(sentence, context))
    names = _net_or_gross(sentence, names)
    for name in names:
        if context.metric(name) is None:
            raise Halt(Refusal("metric_unavailable", {"metric": name}))
    return names


def _ask_back_unclear(sentence: Sentence) -> None:
    for _, tag in sentence.having("unclear"):
        raise Halt(_which(tag.text, *tag.value.split(", ")))


def _named(sentence: Sentence) -> tuple[str, ...]:
    """Every metric that is named; two must be joined by `and`, so that none is a condition on the other."""
    found = list(sentence.having("metric"))
    for (left, _), (right, tag) in pairwise(found):
        is_repeated = tag.value == sentence.tags[left].value
        if not (is_repeated or sentence.is_list(left, right)):
            raise Halt(Refusal("two_metrics"))
    sentence.use(*(at for at, _ in found))
    for at, _ in sentence.having("sold"):
        if found:
            sentence.use(at)
    return tuple(dict.fromkeys(tag.value for _, tag in found))


def _implied(sentence: Sentence) -> tuple[str, ...]:
    """`How many bananas did we sell` asks for units; `what sold best` could be money or pieces."""
    for _, tag in sentence.having("bestseller"):
        raise Halt(_which(tag.text, "units", "revenue"))
    sold = [at for at, _ in sentence.having("sold")]
    counted = [at for at, _ in sentence.having("how_many")]
    if sold and counted:
        is_pieces = sentence.role(counted[0] + 1) in ("value", "sold", "period")
        if not is_pieces:
            return ()
        sentence.use(*sold, *counted)
        return ("units",)
    for _, tag in sentence.having("sold", "most", "least"):
        raise Halt(_which(tag.text, "revenue", "units"))
    return ()


def _net_or_gross(sentence: Sentence, names: tuple[str, ...]) -> tuple[str, ...]:
    """`net` and `gross` said apart from the metric; they fit revenue only."""
    net = [at for at, _ in sentence.having("net")]
    gross = [at for at, _ in sentence.having("gross")]
    if (net or gross) and not (set(names) <= {"revenue", "net_revenue"} and not (net and gross)):
        return names
    sentence.use(*net, *gross)
    if net:
        return tuple(dict.fromkeys("net_revenue" for _ in names))
    if gross and "net_revenue" in names:
        raise Halt(_which(sentence.tags[gross[0]].text, "revenue", "net_revenue"))
    return names


def _which(words: str, *names: str) -> Ambiguity:
    return Ambiguity(words, tuple(Candidate("metric", name) for name in names))


def _nearest(sentence: Sentence, context: Context) -> Refusal | Ambiguity:
    """Metrics whose names are near to what the question says, to ask back with."""
    hits = context.index.search(sentence.reading.question, ("metric",), limit=6)
    near = dict.fromkeys(hit.entry.key for hit in hits if hit.score >= SUGGESTED_AT)
    known = [name for name in near if context.metric(name)]
    words = quoted(list(sentence.unused()))
    return _which(words, *known[:3]) if known else Refusal("no_metric", {"words": words})
