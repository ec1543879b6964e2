"""Words made comparable: case, umlauts, accents and plural endings do not matter.

    skeleton("Umsätze") == skeleton("UMSAETZE") == "umsatze"
    name_words("DRY BN/VEG") == ("dry", "bn", "veg")

Both sides of a comparison go through the same function, so it matters only that it is the same for both.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def skeleton(text: str) -> str:
    """Lower case without marks; `ä`, `ae` and `a` become one, as do the other umlauts."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("ø", "o")
    return plain.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def skeletons(name: str) -> tuple[str, ...]:
    """The words of a name as skeletons; punctuation parts words and is dropped."""
    return tuple(skeleton(word) for word in _WORD.findall(name))


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name as skeletons without plural endings: what a name is found by."""
    return tuple(singular(word) for word in skeletons(name))


def singular(word: str) -> str:
    """A stem that German and English singular and plural of most nouns share; `word` is a skeleton."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("ie") and len(word) > 4:
        return word[:-2] + "y"
    for ending in ("es", "en", "e", "s", "n"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def readable(name: str) -> str:
    """A master-data name as a person would write it, for embedding: `FLORAL-FRESH CUT` becomes `floral fresh cut`."""
    return " ".join(_WORD.findall(name.lower()))


def edit_distance(left: str, right: str, limit: int) -> int:
    """Edits from one word to the other, two swapped letters counting as one; `limit + 1` when there are more.

    Optimal string alignment (Damerau 1964, without repeated edits of one substring).
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, start=1):
        before, above, row = row, before, [i]
        for j, other in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)
