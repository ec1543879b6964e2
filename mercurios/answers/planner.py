"""A question becomes a metric query, or a refusal with its reason, or a question back.

    plan("Welche fünf Warengruppen hatten den meisten Umsatz?", context)
    # MetricQuery(names=("revenue",), group_by=("category",), order_by=(Order("revenue", descending=True),), limit=5, …)

Deterministic: no model writes anything. Each rule uses up the tags it understands; a query comes out only when every
word of the question has been used.
"""

from mercurios.answers.breakdown import Breakdown, breakdown_of
from mercurios.answers.calendar_units import Period, containing
from mercurios.answers.filters import filters_of
from mercurios.answers.measures import metrics_of
from mercurios.answers.outcome import Context, Plan, Refusal
from mercurios.answers.policy import objection, quoted
from mercurios.answers.reading import Reading, read
from mercurios.answers.sentence import Halt, Sentence
from mercurios.answers.timing import Timing, grain_for, timing_of
from mercurios.answers.validation import MOST_ROWS, fault
from mercurios.errors import BadRequest
from mercurios.metrics import Filter, Grain, MetricQuery, Order

LONGEST_QUESTION = 1000


def plan(question: str, context: Context) -> Plan:
    """Decide what to do with a question of one tenant.

    Raises BadRequest for an empty question and for one of more than 1,000 characters.
    """
    return plan_reading(read(checked(question), context), context)


def plan_reading(reading: Reading, context: Context) -> Plan:
    """Like `plan`, of a question that has been read."""
    found = objection(reading.question, reading, context)
    if found:
        return found
    try:
        query = _query(Sentence(reading), context)
    except Halt as halt:
        return halt.outcome
    return fault(query, context) or query


def checked(question: str) -> str:
    """The question without blanks around it; raises BadRequest when it is empty or too long."""
    stripped = question.strip()
    if not any(letter.isalnum() for letter in stripped):
        raise BadRequest("the question is empty; ask for a metric, for example: What was our revenue in November?")
    if len(question) > LONGEST_QUESTION:
        raise BadRequest(
            f"the question has {len(question):,} characters, at most {LONGEST_QUESTION:,} are read; shorten it"
        )
    return stripped


def _query(sentence: Sentence, context: Context) -> MetricQuery:
    metrics = metrics_of(sentence, context)
    where, side_by_side = filters_of(sentence, context)
    breakdown = breakdown_of(sentence, metrics)
    over_time = breakdown.grain is not None or breakdown.is_series
    timing = timing_of(sentence, metrics, context, over_time=over_time)
    sentence.use(*(at for at, _ in sentence.having("currency")))  # another one than the merchant's was refused before
    _refuse_what_is_left(sentence)
    if breakdown.ranking:
        return _ranked(metrics, where, breakdown, timing)
    return _listed(metrics, where, side_by_side, breakdown, timing)


def _refuse_what_is_left(sentence: Sentence) -> None:
    left = list(sentence.unused())
    if any(tag.role == "average" for tag in left):
        raise Halt(Refusal("average"))
    if left:
        raise Halt(Refusal("not_understood", {"words": quoted(left)}))


def _ranked(metrics: tuple[str, ...], where: tuple[Filter, ...], breakdown: Breakdown, timing: Timing) -> MetricQuery:
    assert breakdown.ranking is not None
    by = breakdown.ranking.metric or metrics[0]
    return MetricQuery(
        names=metrics,
        group_by=breakdown.dimensions,
        grain=breakdown.grain,
        start=timing.period.start,
        end=timing.period.end,
        where=where,
        order_by=(Order(by, descending=breakdown.ranking.descending),),
        limit=breakdown.ranking.limit,
    )


def _listed(
    metrics: tuple[str, ...],
    where: tuple[Filter, ...],
    side_by_side: tuple[str, ...],
    breakdown: Breakdown,
    timing: Timing,
) -> MetricQuery:
    groups = tuple(dict.fromkeys((*breakdown.dimensions, *side_by_side)))
    grain = _grain(breakdown, timing)
    order = Order("metric_time") if grain else Order(metrics[0], descending=True)
    return MetricQuery(
        names=metrics,
        group_by=groups,
        grain=grain,
        start=timing.period.start,
        end=timing.period.end,
        where=where,
        order_by=(order,) if grain or groups else (),
        limit=MOST_ROWS if grain else 100,
    )


def _grain(breakdown: Breakdown, timing: Timing) -> Grain | None:
    """The grain asked for, unless the period is one piece of it: the Monatsumsatz of November is one figure."""
    grain = breakdown.grain or timing.grain or (grain_for(timing.period) if breakdown.is_series else None)
    return None if grain and _is_one(timing.period, grain) else grain


def _is_one(period: Period, grain: Grain) -> bool:
    return containing(period.start, grain) == containing(period.end, grain)
