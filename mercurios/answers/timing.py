"""Which days a question is about."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from mercurios.answers.calendar_units import Period, beginning, shift
from mercurios.answers.outcome import Context, Refusal
from mercurios.answers.periods import Span
from mercurios.answers.sentence import Halt, Sentence
from mercurios.metrics import Grain

PLANNED_MONTHS = 6
"""Months of the buying plan, that of the newest day included."""

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
    times = context.times(metrics)
    if len(times) > 1:
        raise Halt(Refusal("two_metrics"))
    if "comparison" in times:
        raise Halt(Refusal("comparison", {"words": ", ".join(tag.text for _, tag in sentence.having("metric"))}))
    if "level" in times:
        return Timing(_of_stock(sentence, [span for _, span in spans], context, over_time=over_time))
    if times & {"as_of", "plan"}:
        return Timing(_of_window(sentence, spans, ahead_or_now(context, is_plan="plan" in times), over_time=over_time))
    if "balance" in times:
        return Timing(_of_balance(sentence, spans, context))
    if not spans:
        return Timing(Period(context.coverage.start, context.coverage.end))
    period, grain = _joined(sentence, spans)
    return Timing(within(period, context), grain)


def ahead_or_now(context: Context, *, is_plan: bool) -> Period:
    """The months of the buying plan, or the one day of the newest state."""
    day = context.coverage.newest
    first = beginning(day, "MONTH")
    return Period(first, shift(first, "MONTH", PLANNED_MONTHS) - timedelta(days=1)) if is_plan else Period(day, day)


def balanced(context: Context) -> Period:
    """The days a balance may be asked for: those with sales, and on to the last stock snapshot; raises Halt."""
    coverage = context.coverage
    if coverage.stock_end is None:
        raise Halt(Refusal("no_stock"))
    return Period(coverage.start, max(coverage.end, coverage.stock_end))


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


def _of_window(sentence: Sentence, spans: list[tuple[int, Span]], window: Period, *, over_time: bool) -> Period:
    """What of the window is named, all of it without a name; the newest state is not known step by step."""
    sentence.use(*(at for at, _ in sentence.having("now")))
    named = [span.period for _, span in spans if not span.is_today and span.period]
    if not named and not (over_time and window.days == 1):
        return window
    if len(named) != 1 or named[0].end < window.start or named[0].start > window.end or window.days == 1:
        raise Halt(Refusal("newest_only", {"start": window.start.isoformat(), "end": window.end.isoformat()}))
    return Period(max(named[0].start, window.start), min(named[0].end, window.end))


def _of_balance(sentence: Sentence, spans: list[tuple[int, Span]], context: Context) -> Period:
    days, coverage = balanced(context), context.coverage
    if not spans:
        return days
    period, _ = _joined(sentence, spans)
    first, last = coverage.stock_start or days.end, days.end
    end = last if period.end >= coverage.end else period.end  # the morning after the last day shows what it closed with
    if end < first or period.start > last:
        raise Halt(Refusal("stock_outside", {"start": first.isoformat(), "end": last.isoformat()}))
    if period.start < coverage.start - CLOSED:
        raise Halt(outside(context))
    return Period(max(period.start, coverage.start), min(end, last))
