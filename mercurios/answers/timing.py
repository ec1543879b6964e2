"""Which days a question is about."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from mercurios.answers.calendar_units import Period
from mercurios.answers.outcome import Context, Refusal
from mercurios.answers.periods import Span
from mercurios.answers.sentence import Halt, Sentence
from mercurios.metrics import Grain

STOCK = frozenset({"stock_value"})
"""Metrics of a moment: their figure is that of the last snapshot of the period."""

CLOSED = timedelta(days=7)
"""How much later than a period the data may begin: shops are closed at New Year, and 2017 is still all of 2017."""


@dataclass(frozen=True)
class Timing:
    """The days, and the grain to show them in when several months were named side by side."""

    period: Period
    grain: Grain | None = None


def timing_of(sentence: Sentence, metrics: tuple[str, ...], context: Context, *, over_time: bool) -> Timing:
    """Read the period; all days with data when none is named. Raises Halt outside of the data.

    over_time: the question asks for steps of time, so that stock is wanted for every snapshot and not for the last.
    """
    spans = [(at, tag.span) for at, tag in sentence.having("period") if tag.span and tag.span.period]
    sentence.use(*(at for at, _ in spans))
    is_stock = bool(STOCK & set(metrics))
    if is_stock and not set(metrics) <= STOCK:
        raise Halt(Refusal("two_metrics"))
    if is_stock:
        return Timing(_of_stock(sentence, [span for _, span in spans], context, over_time=over_time))
    if not spans:
        return Timing(Period(context.coverage.start, context.coverage.end))
    period, grain = _joined(sentence, spans)
    return Timing(within(period, context), grain)


def within(period: Period, context: Context) -> Period:
    """The part of the period that has data; raises Halt when it begins well before the data or after it."""
    coverage = context.coverage
    if period.start < coverage.start - CLOSED or period.end < coverage.start or period.start > coverage.end:
        raise Halt(outside(context))
    return Period(max(period.start, coverage.start), min(period.end, coverage.end))


def outside(context: Context) -> Refusal:
    """The refusal that says which days there are."""
    return Refusal("outside", {"start": context.coverage.start.isoformat(), "end": context.coverage.end.isoformat()})


def grain_for(period: Period) -> Grain:
    """Steps in which a development can be read: days up to a month, weeks up to a quarter, then months."""
    if period.days <= 31:
        return "DAY"
    return "WEEK" if period.days <= 92 else "MONTH"


def _joined(sentence: Sentence, spans: list[tuple[int, Span]]) -> tuple[Period, Grain | None]:
    """One period, or months that follow each other, joined by `and`: those are shown apart."""
    first = spans[0][1].period
    assert first is not None
    if len(spans) == 1:
        return first, None
    end = first.end
    for (left, before), (right, span) in pairwise(spans):
        months = before.unit == span.unit == "MONTH"
        if not months or not sentence.is_list(left, right) or span.period is None:
            raise Halt(Refusal("two_periods"))
        if span.period.start != end + timedelta(days=1):
            raise Halt(Refusal("two_periods"))
        end = span.period.end
    return Period(first.start, end), "MONTH"


def _of_stock(sentence: Sentence, spans: list[Span], context: Context, *, over_time: bool) -> Period:
    """The day of the last snapshot within the period named; `now` and `today` mean the last one there is."""
    first, last = context.coverage.stock_start, context.coverage.stock_end
    if first is None or last is None:
        raise Halt(Refusal("no_stock"))
    sentence.use(*(at for at, _ in sentence.having("now")))
    named = [span.period for span in spans if not span.is_today and span.period]
    if not named:
        return Period(first if over_time else last, last)
    if len(named) > 1:
        raise Halt(Refusal("two_periods"))
    if named[0].end < first or named[0].start > last:
        raise Halt(Refusal("stock_outside", {"start": first.isoformat(), "end": last.isoformat()}))
    return named[0]
