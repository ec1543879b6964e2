"""German or English: told from the words of the question alone."""

from mercurios.answers.lexicon import LANGUAGES, Lexicon
from mercurios.answers.tokens import Token
from mercurios.retrieval.wording import skeleton


def _words(text: str) -> frozenset[str]:
    return frozenset(skeleton(word) for word in text.split())


_TELLING = {
    "de": _words(
        "umsatz bon bons kunden filiale filialen warengruppe warengruppen abteilung rohertrag spanne marge lagerwert "
        "rabattquote monat monate jahr woche tag nach und ohne welche welcher gestern heute letzten letzter letztes "
        "warum wieso wer wieviel bitte hallo im der die mit pro je"
    ),
    "en": _words(
        "revenue sales turnover receipts receipt customers store stores branch branches category categories department "
        "margin stock value month months year week day by per and without which yesterday today last why who please "
        "hello what how of on for profit rate discount average units active inventory"
    ),
}


def detect_language(tokens: tuple[Token, ...], lexicon: Lexicon) -> str | None:
    """`de` or `en`; None when the words do not tell, for instance in "November 2017"."""
    score = {language: 0 for language in LANGUAGES}
    for token in tokens:
        for language, other in (("de", "en"), ("en", "de")):
            only_here = lexicon.phrase((token.word,), language) and not lexicon.phrase((token.word,), other)
            score[language] += bool(only_here) + 2 * (token.word in _TELLING[language])
        score["de"] += 2 * any(mark in token.text.lower() for mark in "äöüß")
    best, other = sorted(score, key=lambda language: -score[language])
    return best if score[best] > score[other] else None
