"""A question as tokens: words, numbers and dates, with compounds taken apart.

    [token.word for token in tokenize("Novemberumsatz der Filiale 406?", lexicon)]
    # ['november', 'umsatz', 'der', 'filiale', '406']

Nothing is dropped but punctuation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mercurios.answers.lexicon import Lexicon
from mercurios.retrieval.wording import edit_distance, skeleton

_TOKEN = re.compile(
    r"""\d{4}-\d{2}-\d{2}                           # 2017-11-24
      | \d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2}\b)?        # 24.11.2017, 24.11.
      | \d{1,2}/\d{1,2}/\d{4}                       # 11/24/2017
      | \d{1,2}[./]\d{4}\b | \d{4}-\d{2}\b          # 11/2017, 2017-11
      | ['’]\d{2}\b                                 # '17
      | \d{1,2}\.(?=\s+[^\W\d_])                    # 24. November
      | \d{1,2}(?:st|nd|rd|th)\b                    # 24th
      | \d+(?:[.,]\d+)+                             # 1.000,50
      | \d+(?![^\W_])                               # 406
      | [^\W_]+(?:['’]s\b)?                         # words, Q4, 7up
      | (?<=[\s\d])[-–—](?=[\s\d])                  # from - to
      | &
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Token:
    """A piece of the question. word: its skeleton. number: its value when it is a whole number or an ordinal."""

    text: str
    word: str
    start: int
    number: int | None = None
    is_ordinal: bool = False

    @property
    def end(self) -> int:
        """Where it ends in the question."""
        return self.start + len(self.text)


def tokenize(question: str, lexicon: Lexicon) -> tuple[Token, ...]:
    """Tokens in order; hyphens are closed up and compounds split where that gives words of the lexicon."""
    tokens = [_token(found[0], found.start()) for found in _TOKEN.finditer(question)]
    closed = list(_closed(tokens, question, lexicon))
    return tuple(part for token in closed for part in _split(token, lexicon))


def correct(token: Token, known: frozenset[str], correctable: frozenset[str]) -> Token:
    """The token with a typing error undone, when one word of `correctable` is nearest to it; else as it is.

    One edit up to nine letters, two beyond; a replaced letter only in words of eight and more, since in short words it
    makes other words (marlin, margin).
    """
    if token.number is not None or len(token.word) < 5 or token.word in known:
        return token
    near = sorted((slip, word) for word in correctable if (slip := _slips(token.word, word)))
    best = [word for slip, word in near if slip == near[0][0]]
    is_one_word = bool(best) and all(word.startswith(best[0]) for word in best)
    return replace(token, word=best[0]) if is_one_word else token


def _slips(typed: str, meant: str) -> int:
    """Edits from the word typed to the one meant, 0 when it is no slip of that word."""
    if len(meant) < 6 or typed[0] != meant[0]:
        return 0
    limit = 1 if len(meant) < 10 else 2
    edits = edit_distance(typed, meant, limit)
    is_replaced = len(typed) == len(meant) and sorted(typed) != sorted(meant)
    return 0 if edits > limit or (is_replaced and len(meant) < 8) else edits


def _token(text: str, start: int) -> Token:
    plain = re.sub(r"['’]s$", "", text)
    if re.fullmatch(r"['’]\d{2}", text):
        return Token(text, text[1:], start, 2000 + int(text[1:]))
    ordinal = re.fullmatch(r"(\d{1,2})(?:\.|st|nd|rd|th)", plain, re.IGNORECASE)
    if ordinal:
        return Token(text, plain, start, int(ordinal[1]), is_ordinal=True)
    if plain.isdecimal() and len(plain) <= 9:
        return Token(text, plain, start, int(plain))
    return Token(text, skeleton(plain), start)


def _closed(tokens: list[Token], question: str, lexicon: Lexicon) -> Iterator[Token]:
    """`Lager-Wert` becomes one word when the lexicon knows it as one."""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if at + 1 < len(tokens):
            after = tokens[at + 1]
            joined = token.word + after.word
            if question[token.end : after.start] == "-" and joined in lexicon.words:
                yield Token(question[token.start : after.end], joined, token.start)
                at += 2
                continue
        yield token
        at += 1


def _split(token: Token, lexicon: Lexicon) -> Iterator[Token]:
    """`Kaffeeumsatz` becomes Kaffee and Umsatz, `umsatzstärkste` Umsatz and stärkste."""
    if token.number is None and len(token.word) > 7 and token.word not in lexicon.words:
        for size in range(4, len(token.word) - 2):
            head, tail = token.word[:-size], token.word[-size:]
            if tail in lexicon.compound_tails or (head in lexicon.compound_heads and tail in lexicon.words):
                cut = max(1, len(token.text) - size)
                yield Token(token.text[:cut].rstrip("-"), head, token.start)
                yield Token(token.text[cut:], tail, token.start + cut)
                return
    yield token
