"""What is not answered whatever else the question says: persons, other merchants, causes, orders, and words unknown."""

import re

from mercurios.answers.outcome import Ambiguity, Candidate, Context, Refusal
from mercurios.answers.reading import Reading, Tag
from mercurios.retrieval import load_glossary

LONGEST_ECHO = 40
"""Characters of the question that a refusal may repeat."""

_INJECTION = re.compile(
    r"\b(?:drop|truncate|alter)\s+(?:table|schema|database)\b|\bunion\s+(?:all\s+)?select\b|\bselect\b.{0,200}\bfrom\b"
    r"|\binsert\s+into\b|\bdelete\s+from\b|\bupdate\b.{0,80}\bset\b|;\s*--|'\s*(?:or|and)\s+'?\d|/\*|<\s*script|\{\{|\$\{"
    r"|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instruction|rule|prompt|above|previous)"
    r"|\b(?:ignorier|vergiss)\w*\b.{0,40}\b(?:anweisung|regel|vorherig|bisherig)|\bsystem\s*prompt\b|\bjailbreak\b"
    r"|\byou are now\b|\bdu bist (?:jetzt|nun|ab sofort)\b|\bact as\b",
    re.IGNORECASE | re.DOTALL,
)


def objection(question: str, reading: Reading, context: Context) -> Refusal | Ambiguity | None:
    """Why the question is not answered, or None when nothing speaks against it."""
    if _INJECTION.search(question):
        return Refusal("injection")
    return (
        _listed(reading)
        or _several_questions(reading)
        or _kpi(reading)
        or _currency(reading, context)
        or _unsupported(reading)
        or _unknown(reading)
        or _doubt(reading)
    )


def quoted(tags: list[Tag]) -> str:
    """The words of these tags as they may be repeated: letters, digits and spaces, shortened."""
    words = ", ".join(dict.fromkeys(tag.text for tag in tags))
    plain = re.sub(r"[^\w\s,.&'-]", "", words)
    return plain if len(plain) <= LONGEST_ECHO else plain[: LONGEST_ECHO - 1].rstrip() + "…"


def _having(reading: Reading, role: str) -> list[Tag]:
    return [tag for tag in reading.tags if tag.role == role]


def _listed(reading: Reading) -> Refusal | None:
    found = sorted(_having(reading, "refusal"), key=lambda tag: tag.rank)
    return Refusal(found[0].value, {"words": quoted(found[:1])}) if found else None


def _several_questions(reading: Reading) -> Refusal | None:
    mark = reading.question.find("?")
    starts = [reading.tokens[tag.first].start for tag in reading.tags]
    if mark >= 0 and any(start < mark for start in starts) and any(start > mark for start in starts):
        return Refusal("several_questions")
    return None


def _kpi(reading: Reading) -> Refusal | None:
    found = _having(reading, "kpi")
    return Refusal("kpi", {"term": found[0].value}) if found else None


def _currency(reading: Reading, context: Context) -> Refusal | None:
    asked = next((tag.value for tag in _having(reading, "currency") if tag.value != context.currency), None)
    return Refusal("currency", {"asked": asked, "own": context.currency}) if asked else None


def _unsupported(reading: Reading) -> Refusal | None:
    found = _having(reading, "unsupported")
    return Refusal("dimension", {"dimension": found[0].value}) if found else None


def _unknown(reading: Reading) -> Refusal | None:
    if found := _having(reading, "unknown"):
        return Refusal("not_understood", {"words": quoted(found)})
    spans = [tag for tag in _having(reading, "period") if tag.span and not tag.span.period]
    return Refusal("no_such_day", {"words": quoted(spans)}) if spans else None


def _doubt(reading: Reading) -> Ambiguity | None:
    found = _having(reading, "doubt")
    if not found:
        return None
    return Ambiguity(quoted(found[:1]), tuple(Candidate(entry.kind, entry.key) for entry in found[0].candidates))


def definition(term: str, language: str) -> tuple[str, str]:
    """Name and definition of a glossary term."""
    found = load_glossary()[term]
    return found.names[language][0], found.definition[language]
