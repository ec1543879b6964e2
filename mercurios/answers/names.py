"""Which of the merchant's values a phrase names: by its exact name, or by meaning when that is beyond doubt.

The two limits were set on the calibration half of `benchmarks/retrieval_labelled.yaml` and are checked on the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mercurios.retrieval import Entry, TenantIndex
from mercurios.retrieval.index import Hit, Kind
from mercurios.retrieval.wording import name_words, singular, skeletons

FILTERS: tuple[Kind, ...] = ("category", "department", "product_type")
ACCEPTED_AT = 0.86
"""Cosine from which a value is taken for what a phrase means."""
AHEAD_BY = 0.10
"""How far every other value must be behind it, unless it lies within it or around it."""
SUGGESTED_AT = 0.65
"""Cosine from which values are offered as what may have been meant."""


@dataclass(frozen=True)
class Named:
    """What a phrase names: one `entry`, or `candidates` when it is not sure, or neither."""

    entry: Entry | None = None
    candidates: tuple[Entry, ...] = ()


def entries_named(index: TenantIndex, words: Iterable[str]) -> tuple[Entry, ...]:
    """Entries with exactly this name, singular and plural being one; words are skeletons."""
    asked = tuple(words)
    found = index.named(tuple(singular(word) for word in asked))
    return tuple(entry for entry in found if _same(asked, entry.text))


def by_name(index: TenantIndex, entries: tuple[Entry, ...], words: tuple[str, ...]) -> Named:
    """Decide between entries of one name: the one that holds all others, else none of them."""
    branches = tuple(entry for entry in entries if entry.kind == "branch")
    entries = branches or entries
    widest = [entry for entry in entries if all(_holds(entry, other) for other in entries)]
    if not widest:
        return Named(candidates=entries)
    if widest[0].kind == "product_type":
        broader = _broader_with(index, words)
        return Named(candidates=(*broader, widest[0])) if broader else Named(widest[0])
    return Named(widest[0])


def exactly(entries: tuple[Entry, ...], words: tuple[str, ...]) -> Named:
    """Decide between entries of one kind: the one written just so, else the only one."""
    literal = tuple(entry for entry in entries if skeletons(entry.text) == words)
    chosen = literal or entries
    return Named(chosen[0]) if len(chosen) == 1 else Named(candidates=chosen)


def by_meaning(index: TenantIndex, phrase: str, kinds: tuple[Kind, ...] = FILTERS) -> Named:
    """The value nearest to the phrase in meaning, when it is near and all others are well behind."""
    hits = index.search(phrase, kinds, limit=12)
    if not hits or hits[0].score < SUGGESTED_AT:
        return Named()
    best = _widest(hits)
    rivals = [hit for hit in hits if not _related(hit.entry, best.entry)]
    is_ahead = all(hit.score <= hits[0].score - AHEAD_BY for hit in rivals)
    if hits[0].score >= ACCEPTED_AT and is_ahead:
        return Named(best.entry)
    return Named(candidates=tuple(hit.entry for hit in hits if hit.score >= SUGGESTED_AT)[:4])


def _widest(hits: tuple[Hit, ...]) -> Hit:
    """The best hit, or a value of the same name that holds it."""
    same = [hit for hit in hits if name_words(hit.entry.text) == name_words(hits[0].entry.text)]
    return next((hit for hit in same if all(_holds(hit.entry, other.entry) for other in same)), hits[0])


def _holds(broad: Entry, narrow: Entry) -> bool:
    return broad == narrow or broad.id in narrow.within


def _related(left: Entry, right: Entry) -> bool:
    return _holds(left, right) or _holds(right, left)


def _broader_with(index: TenantIndex, words: tuple[str, ...]) -> tuple[Entry, ...]:
    """Categories and departments whose names have these words too: who says vegetables may mean them all."""
    asked = {singular(word) for word in words}
    broader = (*index.of_kind("department"), *index.of_kind("category"))
    return tuple(other for other in broader if asked <= set(name_words(other.text)))[:4]


def _same(words: tuple[str, ...], name: str) -> bool:
    """Equal but for a plural ending: `rosen` is not `roses`, nor `hosen` `hoses`."""
    names = skeletons(name)
    return len(words) == len(names) and all(_same_word(left, right) for left, right in zip(words, names, strict=True))


def _same_word(left: str, right: str) -> bool:
    short, long = sorted((left, right), key=len)
    return long.startswith(short) or (long.endswith("ies") and short.endswith(("y", "ie")))
