"""The words questions are made of: `lexicon.yaml` and the glossary, as phrases with a role.

    lexicon = load_lexicon()
    lexicon.phrase(("umsatz",), "de")        # Meaning(role='metric', value='revenue')

What a word means is data; only the planner knows what to do with a role.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mercurios.retrieval import load_glossary
from mercurios.retrieval.wording import skeleton, skeletons

LANGUAGES = ("de", "en")
Words = tuple[str, ...]
_WORD_LISTS = ("everyday_names", "compound_tails", "compound_heads")
_NAMED = {"metrics": "metric", "unsupported_dimensions": "unsupported", "refusals": "refusal", "currencies": "currency"}
_FORMED = {"dimensions": "dimension", "grains": "grain"}
_ENDINGS = re.compile(r"^([^()]+)\(([^()]*)\)$")


@dataclass(frozen=True)
class Meaning:
    """What a phrase is for. `rank` orders refusals: the lowest is given; `many` marks the plural of a dimension."""

    role: str
    value: str = ""
    rank: int = 0
    many: bool = False


@dataclass(frozen=True)
class Lexicon:
    """Phrases by language; a phrase is a tuple of skeleton words."""

    phrases: Mapping[str, Mapping[Words, Meaning]]
    everyday_names: frozenset[str]
    compound_tails: frozenset[str]
    compound_heads: frozenset[str]

    def phrase(self, words: Words, language: str) -> Meaning | None:
        """What these words mean in a question of that language, None when they are no phrase."""
        return self.phrases[language].get(words)

    @cached_property
    def longest(self) -> int:
        """Words of the longest phrase."""
        return max(len(words) for phrases in self.phrases.values() for words in phrases)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of every phrase, in both languages."""
        return frozenset(word for phrases in self.phrases.values() for words in phrases for word in words)

    @cached_property
    def correctable(self) -> frozenset[str]:
        """Single words that a typing error may be led back to: metrics, dimensions and grains."""
        roles = ("metric", "dimension", "grain", "kpi")
        return frozenset(
            words[0]
            for phrases in self.phrases.values()
            for words, meaning in phrases.items()
            if len(words) == 1 and meaning.role in roles
        )


@lru_cache(maxsize=8)
def load_lexicon(synonyms: tuple[tuple[str, str], ...] = ()) -> Lexicon:
    """The lexicon that comes with Mercurios.

    synonyms: metric and name, as the metrics' definitions give them; what the lexicon says of a phrase comes first, so
    that a name which may mean several things stays one that is asked back.
    """
    raw = yaml.safe_load(Path(__file__).with_name("lexicon.yaml").read_text(encoding="utf-8"))
    phrases: dict[str, dict[Words, Meaning]] = {language: {} for language in LANGUAGES}
    for meaning, languages, words in _entries(raw):
        for language in languages:
            phrases[language].setdefault(words, meaning)
    for metric, name in synonyms:
        for language in LANGUAGES:
            phrases[language].setdefault(skeletons(name), Meaning("metric", metric))
    return Lexicon(phrases, **{name: frozenset(words[0] for words in _phrases(raw[name])) for name in _WORD_LISTS})


def _entries(raw: dict[str, Any]) -> Iterator[tuple[Meaning, tuple[str, ...], Words]]:
    for section, role in _NAMED.items():
        for rank, (name, listed) in enumerate(raw[section].items()):
            yield from _listed(Meaning(role, name, rank=rank), listed)
    for unclear in raw["unclear_metrics"]:
        listed = {key: text for key, text in unclear.items() if key != "metrics"}
        yield from _listed(Meaning("unclear", unclear["metrics"]), listed)
    for section, role in _FORMED.items():
        for name, forms in raw[section].items():
            for form, text in forms.items():
                meaning = Meaning("each" if form == "each" else role, name, many=form == "many")
                yield from _listed(meaning, {"any": text})
    for role in raw:
        if role not in (*_WORD_LISTS, *_NAMED, *_FORMED, "unclear_metrics"):
            yield from _listed(Meaning(role), raw[role])
    yield from _glossary()


def _glossary() -> Iterator[tuple[Meaning, tuple[str, ...], Words]]:
    for key, term in load_glossary().items():
        meaning = Meaning("metric", term.metric) if term.metric else Meaning("kpi", key)
        for names in term.names.values():
            for name in names:
                yield meaning, LANGUAGES, skeletons(name)


def _listed(meaning: Meaning, listed: Mapping[str, str]) -> Iterator[tuple[Meaning, tuple[str, ...], Words]]:
    for language, text in listed.items():
        languages = LANGUAGES if language == "any" else (language,)
        for words in _phrases(text):
            yield meaning, languages, words


def _phrases(text: str) -> Iterator[Words]:
    for phrase in text.split(","):
        forms = [_forms(word) for word in phrase.split()]
        yield from (tuple(words) for words in product(*forms))


def _forms(word: str) -> tuple[str, ...]:
    found = _ENDINGS.match(word)
    if not found:
        return (skeleton(word),)
    return tuple(skeleton(found[1] + ending) for ending in ("", *found[2].split("|")))
