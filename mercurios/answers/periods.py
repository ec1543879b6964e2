"""Periods in words, German and English, as first and last day.

    find_periods(tokenize("Umsatz im November", lexicon), anchor=date(2017, 12, 31), language="de")
    # (Span(first=2, after=3, period=Period(2017-11-01, 2017-11-30)),)

A period without a year is the latest one that has begun by the anchor, the last day with sales. `today` is the anchor,
`last month` the calendar month before the anchor's, `last 30 days` end on the anchor. A span without a period names
something that is no piece of the calendar, such as 31 February.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from mercurios.answers.calendar_units import Moment, Period, Unit, beginning, containing, latest, shift
from mercurios.answers.period_words import (
    BACK,
    BOTH_ENDS,
    CONNECTING,
    DAYS_AGO,
    LAST,
    MONTHS,
    NUMBERS,
    ORDINALS,
    SINCE,
    THIS,
    TO,
    UNIT_NOUNS,
    YEAR_TO_DATE,
)
from mercurios.answers.tokens import Token

YEARS = range(1990, 2101)


@dataclass(frozen=True)
class Span:
    """Tokens `first` up to but without `after` name this period. unit: the calendar unit it is one of, if it is one."""

    first: int
    after: int
    period: Period | None
    unit: Unit | None = None
    is_today: bool = False


@dataclass(frozen=True)
class _Found:
    moment: Moment | None
    after: int
    period: Period | None = None

    def resolve(self, anchor: date) -> Period | None:
        return self.period or (self.moment.resolve(anchor) if self.moment else None)


def find_periods(
    tokens: Sequence[Token], *, anchor: date, language: str, taken: frozenset[int] = frozenset()
) -> tuple[Span, ...]:
    """All periods of a question, left to right; tokens in `taken` belong to something else."""
    reader = _Reader(tokens, anchor, language, taken)
    spans, at = [], 0
    while at < len(tokens):
        span = reader.span(at)
        if span:
            spans.append(span)
        at = span.after if span else at + 1
    return tuple(spans)


@dataclass(frozen=True)
class _Reader:
    """Reads at one token after the other; every method returns None when its words are not there."""

    tokens: Sequence[Token]
    anchor: date
    language: str
    taken: frozenset[int]

    def span(self, at: int) -> Span | None:
        if self.word(at) is None:
            return None
        return self._range(at) or self._since(at) or self._relative(at) or self._single(at)

    def word(self, at: int) -> str | None:
        return self.tokens[at].word if 0 <= at < len(self.tokens) and at not in self.taken else None

    def number(self, at: int) -> int | None:
        return self.tokens[at].number if self.word(at) is not None else None

    def count(self, at: int) -> int | None:
        number = self.number(at)
        return number if number is not None else NUMBERS.get(self.word(at) or "")

    def skip(self, at: int, words: frozenset[str] = CONNECTING) -> int:
        while self.word(at) in words:
            at += 1
        return at

    # ranges

    def _range(self, at: int) -> Span | None:
        opener = self.word(at)
        is_opened = opener in ("von", "vom", "from", *BOTH_ENDS)
        first_at = self.skip(at + 1, frozenset({"dem", "der", "the"})) if is_opened else at
        joins = TO | {"und", "and"} if opener in BOTH_ENDS else TO
        first = self._day_alone(first_at, joins) or self._moment(first_at)
        if not first or self.word(first.after) not in joins:
            return None
        second = self._moment(self.skip(first.after + 1, CONNECTING | TO))
        if not second or not second.moment or not first.moment:
            return None
        return Span(at, second.after, self._from_to(first.moment, second.moment))

    def _from_to(self, first: Moment, last: Moment) -> Period | None:
        end = last.resolve(self.anchor)
        if end is None:
            return None
        if first.number == 0:  # a day alone takes the month of the end
            first = replace(first, number=end.end.month, year=end.end.year)
        start = first.resolve(end.start) if first.year is None else first.resolve(self.anchor)
        if first.year is not None and last.year is None and start is not None:
            end = replace(last, year=first.year).resolve(self.anchor)
            if end is not None and end.end < start.start:
                end = replace(last, year=first.year + 1).resolve(self.anchor)
        if start is None or end is None or start.start > end.end:
            return None
        return Period(start.start, end.end)

    def _day_alone(self, at: int, joins: frozenset[str]) -> _Found | None:
        """The 1 of `1. bis 15. März`."""
        number = self.number(at)
        if number is None or not 1 <= number <= 31 or self.word(at + 1) not in joins:
            return None
        return _Found(Moment("DAY", 0, day=number), at + 1)

    def _since(self, at: int) -> Span | None:
        for words in YEAR_TO_DATE:
            if tuple(self.word(at + step) for step in range(len(words))) == words:
                return Span(at, at + len(words), Period(beginning(self.anchor, "YEAR"), self.anchor))
        if self.word(at) not in SINCE:
            return None
        found = self._moment(self.skip(at + 1))
        period = found.resolve(self.anchor) if found else None
        if not found:
            return None
        is_past = period is not None and period.start <= self.anchor
        return Span(at, found.after, Period(period.start, self.anchor) if period and is_past else period)

    # relative to the anchor

    def _relative(self, at: int) -> Span | None:
        word = self.word(at) or ""
        if word in DAYS_AGO:
            return self._days_ago(at, DAYS_AGO[word])
        if (word, self.word(at + 1), self.word(at + 2)) == ("day", "before", "yesterday"):
            return self._days_ago(at, 2, words=3)
        if word in BACK:
            return self._unit_before(at, at + 1, BACK[word])
        if word in LAST:
            return self._last(at)
        return self._this(at) if word in THIS else None

    def _days_ago(self, at: int, days: int, words: int = 1) -> Span:
        day = self.anchor - timedelta(days=days)
        return Span(at, at + words, Period(day, day), "DAY", is_today=days == 0)

    def _last(self, at: int) -> Span | None:
        count = self.count(at + 1)
        noun = UNIT_NOUNS.get(self.word(at + 1 if count is None else at + 2) or "")
        if count is not None:
            return Span(at, at + 3, latest(self.anchor, noun, count)) if noun and 1 <= count <= 3660 else None
        if noun and noun != "DAY":
            return self._unit_before(at, at + 2, noun)
        month = MONTHS.get(self.word(at + 1) or "")
        if not month or self.number(at + 2) in YEARS:
            return None
        period = Moment("MONTH", month).resolve(self.anchor)
        is_over = period is not None and period.end <= self.anchor and period.start != beginning(self.anchor, "MONTH")
        return Span(at, at + 2, period if is_over else None, "MONTH")

    def _this(self, at: int) -> Span | None:
        noun = UNIT_NOUNS.get(self.word(at + 1) or "")
        if noun:
            period, after = self._of_month(containing(self.anchor, noun), noun, at + 2)
            return Span(at, after, period, noun if after == at + 2 else "MONTH")
        month = MONTHS.get(self.word(at + 1) or "")
        if not month:
            return None
        return Span(at, at + 2, Moment("MONTH", month, self.anchor.year).resolve(self.anchor), "MONTH")

    def _unit_before(self, at: int, after: int, unit: Unit) -> Span:
        period = containing(shift(beginning(self.anchor, unit), unit, -1), unit)
        whole = after
        period, after = self._of_month(period, unit, after)
        return Span(at, after, period, unit if after == whole else "MONTH")

    def _of_month(self, period: Period, unit: Unit, after: int) -> tuple[Period, int]:
        """`last year in November`: the month of the year just read."""
        month_at = self.skip(after, frozenset({"im", "in"}))
        month = MONTHS.get(self.word(month_at) or "")
        if unit != "YEAR" or not month or self.number(month_at + 1) in YEARS:
            return period, after
        return Moment("MONTH", month).in_year(period.start.year), month_at + 1

    # pieces of the calendar

    def _single(self, at: int) -> Span | None:
        found = self._moment(at)
        if not found:
            return None
        return Span(at, found.after, found.resolve(self.anchor), found.moment.unit if found.moment else None)

    def _moment(self, at: int) -> _Found | None:
        readers: tuple[Callable[[int], _Found | None], ...] = (
            self._written_date,
            self._day_of_month,
            self._month,
            self._quarter,
            self._half,
            self._week,
            self._year,
        )
        return next((found for read in readers if (found := read(at))), None)

    def _written_date(self, at: int) -> _Found | None:
        word = self.word(at) or ""
        if found := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", word):
            return _Found(_checked(Moment("DAY", int(found[2]), int(found[1]), int(found[3]))), at + 1)
        if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d\d)?", word):
            year = None if not found[3] else int(found[3]) + (2000 if len(found[3]) == 2 else 0)
            after = at + 1
            if year is None and self.number(after) in YEARS:
                year, after = self.number(after), after + 1
            return _Found(_checked(Moment("DAY", int(found[2]), year, int(found[1]))), after)
        if found := re.fullmatch(r"(\d{1,2})[./](\d{4})", word):
            return _Found(_checked(Moment("MONTH", int(found[1]), int(found[2]))), at + 1)
        if found := re.fullmatch(r"(\d{4})-(\d\d)", word):
            return _Found(_checked(Moment("MONTH", int(found[2]), int(found[1]))), at + 1)
        if found := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", word):
            return _Found(self._slashed(*(int(part) for part in found.groups())), at + 1)
        return None

    def _slashed(self, left: int, right: int, year: int) -> Moment | None:
        """11/24/2017 is clear, 11/12/2017 is a day in November or in December: not guessed."""
        if left == right or right > 12:
            return _checked(Moment("DAY", left, year, right))
        return _checked(Moment("DAY", right, year, left)) if left > 12 else None

    def _day_of_month(self, at: int) -> _Found | None:
        day = self.number(at)
        if day is not None and 1 <= day <= 31 and self.word(at - 1) != "top":
            month_at = self.skip(at + 1, frozenset({"of", "the"}))
            if month := MONTHS.get(self.word(month_at) or ""):
                return self._with_year(Moment("DAY", month, day=day), month_at + 1)
        month = MONTHS.get(self.word(at) or "")
        day_at = self.skip(at + 1, frozenset({"the"}))
        day = self.number(day_at)
        if not month or day is None or not 1 <= day <= 31:
            return None
        if self.language != "en" and not self.tokens[day_at].is_ordinal:
            return None
        return self._with_year(Moment("DAY", month, day=day), day_at + 1)

    def _month(self, at: int) -> _Found | None:
        if UNIT_NOUNS.get(self.word(at) or "") == "MONTH":
            at = self.skip(at + 1, frozenset({"of"}))
        month = MONTHS.get(self.word(at) or "")
        if not month or (self.word(at) == "may" and self.word(at + 1) in ("i", "we", "you")):
            return None
        return self._with_year(Moment("MONTH", month), at + 1)

    def _quarter(self, at: int) -> _Found | None:
        return self._numbered(at, "QUARTER", "q", ("quartal", "quartals", "quarter"), 4)

    def _half(self, at: int) -> _Found | None:
        return self._numbered(at, "HALF", "h", ("halbjahr", "halbjahrs", "halbjahres", "jahreshalfte", "half"), 2)

    def _week(self, at: int) -> _Found | None:
        if self.word(at) == "calendar" and self.word(at + 1) == "week":
            at += 1
        word = self.word(at) or ""
        joined = re.fullmatch(r"kw(\d{1,2})", word)
        number = int(joined[1]) if joined else self.number(at + 1)
        if not joined and (word not in ("kw", "kalenderwoche", "week") or number is None or not 1 <= number <= 53):
            return None
        assert number is not None
        return self._with_year(Moment("WEEK", number), at + (1 if joined else 2))

    def _numbered(self, at: int, unit: Unit, letter: str, nouns: tuple[str, ...], most: int) -> _Found | None:
        word = self.word(at) or ""
        if joined := re.fullmatch(rf"{letter}([1-{most}])", word):
            return self._with_year(Moment(unit, int(joined[1])), at + 1)
        if word in nouns and (number := self.number(at + 1)) is not None and 1 <= number <= most:
            return self._with_year(Moment(unit, number), at + 2)
        number = ORDINALS.get(word) or (self.tokens[at].number if word and self.tokens[at].is_ordinal else None)
        if number is None or not 1 <= number <= most or self.word(at + 1) not in nouns:
            return None
        return self._with_year(Moment(unit, number), at + 2)

    def _year(self, at: int) -> _Found | None:
        if UNIT_NOUNS.get(self.word(at) or "") == "YEAR" or self.word(at) == "kalenderjahr":
            at += 1
        year = self.number(at)
        return _Found(Moment("YEAR", year=year), at + 1) if year in YEARS else None

    def _with_year(self, moment: Moment, after: int) -> _Found:
        """The year that follows, as a number or as `last year`."""
        at = self.skip(after)
        if self.number(at) in YEARS:
            return _Found(replace(moment, year=self.number(at)), at + 1)
        if UNIT_NOUNS.get(self.word(at) or "") == "YEAR" and self.number(at + 1) in YEARS:
            return _Found(replace(moment, year=self.number(at + 1)), at + 2)
        word, noun = self.word(at) or "", UNIT_NOUNS.get(self.word(at + 1) or "")
        if word in BACK and BACK[word] == "YEAR":
            return _Found(replace(moment, year=self.anchor.year - 1), at + 1)
        if noun == "YEAR" and word in LAST | THIS:
            return _Found(replace(moment, year=self.anchor.year - (word in LAST)), at + 2)
        return _Found(moment, after)


def _checked(moment: Moment) -> Moment | None:
    """None for a month or a day that no calendar has."""
    try:
        moment.in_year(moment.year or 2000)
    except ValueError:
        return None
    return moment
