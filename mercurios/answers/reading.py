"""A question read: every word of it as a tag with a role, or as one that is not understood.

    reading = read("Welche fünf Warengruppen hatten den meisten Umsatz?", context)
    [tag.role for tag in reading.tags]        # ['which', 'number', 'dimension', 'most', 'metric']

Words that change nothing are gone. The planner has to use every tag that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from mercurios.answers import names, periods
from mercurios.answers.language import detect_language
from mercurios.answers.lexicon import Lexicon, Meaning, load_lexicon
from mercurios.answers.outcome import Context
from mercurios.answers.period_words import MONTHS, NUMBERS
from mercurios.answers.period_words import WORDS as PERIOD_WORDS
from mercurios.answers.periods import Span
from mercurios.answers.tokens import Token, correct, tokenize
from mercurios.retrieval import Entry
from mercurios.retrieval.wording import singular, skeleton, skeletons

_SIGNS = ("&", "-", "–", "—")
_LONGEST_MEANING = 5
_QUANTITIES = ("meist", "most", "wenigst", "fewest", "least")
_ARTICLES = ("ein", "eins", "eine", "einen", "one")


@dataclass(frozen=True)
class Tag:
    """Tokens `first` up to but without `after` and their role in the sentence.

    Roles are those of the lexicon, and: value (a filter, with `entry`), doubt (with `candidates`), unknown, number,
    branch_number, period (with `span`).
    """

    role: str
    value: str
    first: int
    after: int
    text: str
    many: bool = False
    rank: int = 0
    number: int | None = None
    entry: Entry | None = None
    candidates: tuple[Entry, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class Reading:
    """A question as tags in order, and the language it is in."""

    question: str
    tokens: tuple[Token, ...]
    tags: tuple[Tag, ...]
    language: str


def read(question: str, context: Context) -> Reading:
    """Read a question of one tenant; nothing is decided yet, and no word is lost but those that change nothing."""
    lexicon = _lexicon(context)
    tokens = _corrected(tokenize(question, lexicon), context, lexicon)
    language = detect_language(tokens, lexicon) or context.language
    tags = _Reader(question, tokens, language, context, lexicon).tags()
    return Reading(question, tokens, tuple(_counted([tag for tag in tags if tag.role != "stop"])), language)


def language_of(question: str, context: Context) -> str:
    """The language a question is in, or the merchant's when the words do not tell."""
    lexicon = _lexicon(context)
    return detect_language(tokenize(question, lexicon), lexicon) or context.language


def _counted(tags: list[Tag]) -> Iterator[Tag]:
    """`The store with the most customers` counts customers, while `the best customers` are persons."""
    is_of_groups = any(tag.role in ("dimension", "grain") for tag in tags)
    is_measured = any(tag.role in ("metric", "unclear") for tag in tags)
    for at, tag in enumerate(tags):
        is_customer = (tag.role, tag.value) == ("unsupported", "customer")
        is_many = at > 0 and skeleton(tags[at - 1].text).startswith(_QUANTITIES)
        if is_customer and is_many and is_of_groups and not is_measured:
            yield replace(tag, role="metric", value="active_customers")
        else:
            yield tag


def _lexicon(context: Context) -> Lexicon:
    synonyms = [
        (metric.name, name)
        for metric in context.catalog
        for name in chain(metric.label.values(), *metric.synonyms.values())
    ]
    return load_lexicon(tuple(synonyms))


def _corrected(tokens: tuple[Token, ...], context: Context, lexicon: Lexicon) -> tuple[Token, ...]:
    known = lexicon.words | PERIOD_WORDS
    targets = lexicon.correctable | frozenset(MONTHS)
    return tuple(
        token if singular(token.word) in context.index.words else correct(token, known, targets) for token in tokens
    )


@dataclass(frozen=True)
class _Reader:
    question: str
    tokens: tuple[Token, ...]
    language: str
    context: Context
    lexicon: Lexicon

    def tags(self) -> list[Tag]:
        """Claims from the surest to the least sure; who comes later gets what is left."""
        tags = list(self._branch_numbers())
        tags += self._periods(_taken(tags))
        tags += self._phrases(_taken(tags))
        return list(self._left_over(sorted(tags, key=lambda tag: tag.first)))

    def _tag(self, role: str, first: int, after: int, **more: object) -> Tag:
        text = self.question[self.tokens[first].start : self.tokens[after - 1].end]
        return replace(Tag(role, "", first, after, text), **more)  # type: ignore[arg-type]  # fields by name

    # branch numbers: the 406 of "Filiale 406", "stores no. 406, 412 and 414"

    def _branch_numbers(self) -> Iterator[Tag]:
        numbers = {int(entry.key) for entry in self.context.index.of_kind("branch")}
        at = 0
        while at < len(self.tokens):
            meaning = self.lexicon.phrase((self.tokens[at].word,), self.language)
            at += 1
            if not meaning or (meaning.role, meaning.value) != ("dimension", "branch"):
                continue
            is_by = at >= 2 and self._role(at - 2) in ("by", "which")
            while (found := self._next_number(at)) is not None:
                number = self.tokens[found].number
                is_year = number in periods.YEARS and (is_by or number not in numbers)
                is_listed = found > at  # the first number after the word is the branch's, a later one may count
                if is_year or (is_listed and self._is_count_of_another(found)):
                    break
                yield self._tag("branch_number", found, found + 1, number=number)
                at = found + 1

    def _next_number(self, at: int) -> int | None:
        while at < len(self.tokens) and (self._role(at) in ("numbering", "and")):
            at += 1
        is_number = at < len(self.tokens) and self.tokens[at].number is not None and not self.tokens[at].is_ordinal
        return at if is_number else None

    def _is_count_of_another(self, at: int) -> bool:
        """The 5 of "stores and 5 categories"."""
        return at + 1 < len(self.tokens) and self._role(at + 1) in ("dimension", "grain", "most", "least")

    def _role(self, at: int) -> str:
        meaning = self.lexicon.phrase((self.tokens[at].word,), self.language)
        return meaning.role if meaning else ""

    # periods

    def _periods(self, taken: frozenset[int]) -> Iterator[Tag]:
        anchor = self.context.coverage.end
        for span in periods.find_periods(self.tokens, anchor=anchor, language=self.language, taken=taken):
            yield self._tag("period", span.first, span.after, span=span)

    # phrases of the lexicon and names of the merchant, the longest first

    def _phrases(self, taken: frozenset[int]) -> Iterator[Tag]:
        at, before = 0, ""
        while at < len(self.tokens):
            tag = None if at in taken else self._own_name(at) or self._phrase_or_name(at, taken, before)
            if tag:
                yield tag
                before = tag.value if tag.role == "dimension" else before if tag.role == "stop" else ""
            else:
                before = ""
            at = tag.after if tag else at + 1

    def _phrase_or_name(self, at: int, taken: frozenset[int], before: str) -> Tag | None:
        phrase, phrase_after = self._longest_phrase(at, taken)
        entries, name_after = self._longest_name(at, taken)
        beside = before or self._dimension_at(name_after)
        explicit = tuple(entry for entry in entries if entry.kind == beside)
        if explicit and name_after >= phrase_after:
            return self._value(at, name_after, names.exactly(explicit, self._words(at, name_after)))
        is_everyday = name_after == at + 1 and self.tokens[at].word in self.lexicon.everyday_names
        if entries and name_after > phrase_after and not is_everyday:
            words = self._words(at, name_after)
            return self._value(at, name_after, names.by_name(self.context.index, entries, words))
        if phrase is None:
            return None
        return self._tag(phrase.role, at, phrase_after, value=phrase.value, many=phrase.many, rank=phrase.rank)

    def _own_name(self, at: int) -> Tag | None:
        """How the merchant calls itself changes nothing, unless a value is called so too."""
        for name in sorted((skeletons(name) for name in self.context.names), key=len, reverse=True):
            is_here = name and tuple(token.word for token in self.tokens[at : at + len(name)]) == name
            if is_here and not names.entries_named(self.context.index, name):
                return self._tag("stop", at, at + len(name))
        return None

    def _longest_phrase(self, at: int, taken: frozenset[int]) -> tuple[Meaning | None, int]:
        for after in self._ends(at, self.lexicon.longest, taken):
            found = self.lexicon.phrase(tuple(token.word for token in self.tokens[at:after]), self.language)
            if found:
                return found, after
        return None, at

    def _longest_name(self, at: int, taken: frozenset[int]) -> tuple[tuple[Entry, ...], int]:
        if self.tokens[at].word in _SIGNS:
            return (), at
        for after in self._ends(at, self.context.index.longest_name + 2, taken):
            found = names.entries_named(self.context.index, self._words(at, after))
            if found and self.tokens[after - 1].word not in _SIGNS:
                return found, after
        return (), at

    def _ends(self, at: int, longest: int, taken: frozenset[int]) -> Iterator[int]:
        free = at
        while free < min(len(self.tokens), at + longest) and free not in taken:
            free += 1
        return iter(range(free, at, -1))

    def _words(self, first: int, after: int) -> tuple[str, ...]:
        return tuple(token.word for token in self.tokens[first:after] if token.word not in _SIGNS)

    def _dimension_at(self, at: int) -> str:
        if at >= len(self.tokens):
            return ""
        phrase, _ = self._longest_phrase(at, frozenset())
        return phrase.value if phrase and phrase.role == "dimension" else ""

    def _value(self, first: int, after: int, named: names.Named) -> Tag:
        if named.entry:
            return self._tag("value", first, after, entry=named.entry)
        return self._tag("doubt", first, after, candidates=named.candidates)

    # what nothing has claimed

    def _left_over(self, tags: list[Tag]) -> Iterator[Tag]:
        """All tags in order; runs of unclaimed words, with bare names that touch them, are looked up by meaning."""
        at = 0
        by_first = {tag.first: tag for tag in tags}
        while at < len(self.tokens):
            after = at
            while after < len(self.tokens) and self._is_loose(after, by_first) and not self._is_parted(at, after):
                after = by_first[after].after if after in by_first else after + 1
            if after == at:
                yield by_first[at]
                at = by_first[at].after
            else:
                yield from self._loose(at, after, by_first)
                at = after

    def _is_loose(self, at: int, by_first: dict[int, Tag]) -> bool:
        tag = by_first.get(at)
        if tag is None:
            return True
        is_explicit = (tag.first > 0 and self._dimension_at(tag.first - 1)) or self._dimension_at(tag.after)
        return tag.role in ("value", "doubt") and not is_explicit

    def _is_parted(self, first: int, at: int) -> bool:
        """Whether a comma, or a number that stands alone, parts token `at` from the run that began at `first`."""
        if at == first:
            return False
        between = self.question[self.tokens[at - 1].end : self.tokens[at].start]
        is_number = self.tokens[at].number is not None or self.tokens[at - 1].number is not None
        return is_number or any(mark in between for mark in ",;:.!?")

    def _loose(self, first: int, after: int, by_first: dict[int, Tag]) -> Iterator[Tag]:
        alone = by_first.get(first)
        if alone and alone.after == after:
            yield alone
        elif after == first + 1:
            yield self._lone(first)
        else:
            has_names = any(at in by_first for at in range(first, after))
            yield self._by_meaning(first, after, is_sure=not has_names)

    def _lone(self, at: int) -> Tag:
        """One unclaimed token: a number, a sign, or a word to look up."""
        token = self.tokens[at]
        number = NUMBERS.get(token.word) if token.word not in _ARTICLES else None
        if token.number is not None or number is not None:
            return self._tag("number", at, at + 1, number=token.number if number is None else number)
        if token.word in _SIGNS:
            return self._tag("and" if token.word == "&" else "stop", at, at + 1)
        if token.word in self.lexicon.words | PERIOD_WORDS:  # known, but not in this place
            return self._tag("unknown", at, at + 1)
        return self._by_meaning(at, at + 1, is_sure=True)

    def _by_meaning(self, first: int, after: int, *, is_sure: bool) -> Tag:
        """A value the words mean; one that is only near, or that two names side by side resemble, is asked back."""
        words = [token.word for token in self.tokens[first:after]]
        if len(words) > _LONGEST_MEANING or all(word in self.lexicon.everyday_names for word in words):
            return self._tag("unknown", first, after)
        named = names.by_meaning(self.context.index, " ".join(token.text for token in self.tokens[first:after]))
        if named.entry and not is_sure:
            named = names.Named(candidates=(named.entry,))
        is_found = named.entry or named.candidates
        return self._value(first, after, named) if is_found else self._tag("unknown", first, after)


def _taken(tags: list[Tag]) -> frozenset[int]:
    return frozenset(at for tag in tags for at in range(tag.first, tag.after))
