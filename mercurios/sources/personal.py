"""Personal: what of fields that no contract names may be kept, judged by their names and texts.

    scrubbed({"score": 7, "contact": {"email": "m@example.org"}})     # {'score': 7, 'contact': {}}

Nobody has said what such fields hold, so the rules would rather withhold too much: names of people, ways to reach
them, what opens their accounts. Numbers of customers and staff are kept, as they are everywhere.
"""

import re
from functools import lru_cache

WITHHELD = "(withheld)"
"""Stands where a value was taken out and a place has to be kept."""
DEEPEST = 64
"""Levels of nesting that are looked into; what is further down is withheld."""
_LONGEST_NAME = 80
_LARGEST_BITS = 10_000

_STEM = re.compile(
    "mail|phone|telefon|mobil|handy|street|strasse|straße|address|adress|anschrift|postfach|pobox|iban|bank|konto|"
    "account|creditcard|kreditkarte|vatnumber|vatid|ustid|steuernummer|steuerid|birth|geburt|passw|kennwort|secret|"
    "token|credential|apikey|signature|unterschrift|salutation|anrede|marital|gender|geschlecht|religion|passport|"
    "ausweis|socialsecurity|surname|vorname|nachname"
)
_ALONE = re.compile("bic|swift|fax|tel|fon|dob|pin|pwd|ssn|ip|login")
_PERSON = re.compile(
    "customer|kunde|staff|employee|mitarbeiter|personal|person|cashier|kassierer|seller|user|owner|inhaber|holder|"
    "contact|kontakt|ansprechpartner|recipient|guest|member|buyer"
)
_THING = re.compile(  # what may have a name that is nobody's
    "article|artikel|product|produkt|brand|marken?|model|color|colour|farb|size|groessen|größen|category|group|gruppen|"
    "department|season|saison|label|pattern|material|shape|collection|kollektion|branch|store|shop|country|currency|"
    "unit|type|file|image|field|tax"
)
_WORD = re.compile(r"[A-ZÄÖÜ]+(?![a-zäöüß])|[A-ZÄÖÜ]?[a-zäöüß]+")
_NO_LETTER = re.compile(r"[\W\d_]+")
_MAIL = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30})(?![A-Za-z0-9]))")
_SHORTEST_IBAN, _FEWEST_DIGITS = 15, 10
_NAMES_AT_HAND = 4096


def scrubbed(value: object, level: int = 0) -> object:
    """A JSON value without what looks personal in it, of the same kind. Fields are left out, other places WITHHELD."""
    if type(value) is dict:
        return {} if level >= DEEPEST else _scrubbed_fields(value, level)
    if type(value) is list:
        return [] if level >= DEEPEST else [scrubbed(inner, level + 1) for inner in value]
    return value if _is_plain(value) else WITHHELD


def _scrubbed_fields(fields: dict[object, object], level: int) -> dict[str, object]:
    named = ((name if type(name) is str else str(name), value) for name, value in fields.items())
    return {name: scrubbed(value, level + 1) for name, value in named if may_keep(name, value)}


def emptied(value: object) -> object:
    """A value of which nothing nested is left, as nobody knows what that may be of a person."""
    if type(value) in {dict, list}:
        return type(value)()
    return scrubbed(value)


def may_keep(name: str, value: object) -> bool:
    """Whether something of a field that no contract names may be kept."""
    if is_personal_name(name):
        return False
    if type(value) in {dict, list}:
        return not _is_of_people(name)
    return _is_plain(value) and not (type(value) is str and _is_of_people(name))


def _is_plain(value: object) -> bool:
    """Whether a value that is not nested is JSON, of a bearable size, and nothing personal."""
    if type(value) is str:
        return not is_personal_text(value)
    if type(value) is int:
        return value.bit_length() <= _LARGEST_BITS
    return value is None or type(value) in {bool, float}


@lru_cache(_NAMES_AT_HAND)
def is_personal_name(name: str) -> bool:
    """Whether a field of that name may hold a person's data, whatever its value."""
    words = _words(name)
    if _STEM.search(_NO_LETTER.sub("", name).lower()) or any(map(_ALONE.fullmatch, words)):
        return True
    is_name = any(word.endswith(("name", "names")) for word in words)
    is_nobodys = any(_THING.fullmatch(word.removesuffix("name")) for word in words)
    return is_personal_text(name) or (is_name and not is_nobodys)


@lru_cache(_NAMES_AT_HAND)
def _is_of_people(name: str) -> bool:
    return any(map(_PERSON.match, _words(name)))


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name)}


def is_personal_text(text: str) -> bool:
    """Whether a text holds what looks like an e-mail address or an IBAN."""
    if "@" in text and _MAIL.search(text):
        return True
    if len(text) < _SHORTEST_IBAN:
        return False
    return any(sum(map(str.isdigit, found[1])) >= _FEWEST_DIGITS for found in _IBAN.finditer(text))


@lru_cache(_NAMES_AT_HAND)
def told_name(name: str) -> str:
    """A field's name for reasons and reports: one printable line, WITHHELD when it is itself somebody's address."""
    if is_personal_text(name):
        return WITHHELD
    printable = "".join(letter if letter.isprintable() else _escaped(letter) for letter in name[:_LONGEST_NAME])
    return printable if len(name) <= _LONGEST_NAME else f"{printable}…"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
