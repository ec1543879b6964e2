"""The closed class of words that periods are made of, as skeletons, in both languages."""

from mercurios.answers.calendar_units import Unit


def _every(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MONTH_NAMES = (
    "januar january jan janner",
    "februar february feb feber",
    "marz march mar mrz",
    "april apr",
    "mai may",
    "juni june jun",
    "juli july jul",
    "august aug",
    "september sep sept",
    "oktober october okt oct",
    "november nov",
    "dezember december dez dec",
)
_NUMBER_WORDS = (
    "ein eins eine einen one",
    "zwei two",
    "drei three",
    "vier four",
    "funf five",
    "sechs six",
    "sieben seven",
    "acht eight",
    "neun nine",
    "zehn ten",
    "elf eleven",
    "zwolf twelve",
)
_ORDINAL_WORDS = (
    "erste ersten erster erstes erstem first",
    "zweite zweiten zweiter zweites zweitem second",
    "dritte dritten dritter drittes drittem third",
    "vierte vierten vierter viertes viertem fourth",
)

MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
NUMBERS = {word: number for number, words in enumerate(_NUMBER_WORDS, start=1) for word in words.split()}
NUMBERS |= {"zwanzig": 20, "twenty": 20, "dreissig": 30, "thirty": 30}
ORDINALS = {word: number for number, words in enumerate(_ORDINAL_WORDS, start=1) for word in words.split()}

UNIT_NOUNS: dict[str, Unit] = {
    **dict.fromkeys(_every("tag tage tagen day days"), "DAY"),
    **dict.fromkeys(_every("woche wochen week weeks kalenderwoche kalenderwochen"), "WEEK"),
    **dict.fromkeys(_every("monat monats monates monate monaten month months"), "MONTH"),
    **dict.fromkeys(_every("quartal quartals quartale quartalen quarter quarters"), "QUARTER"),
    **dict.fromkeys(_every("jahr jahre jahren jahres year years"), "YEAR"),
}
BACK: dict[str, Unit] = {
    **dict.fromkeys(_every("vormonat vormonats vormonate"), "MONTH"),
    **dict.fromkeys(_every("vorwoche"), "WEEK"),
    **dict.fromkeys(_every("vorquartal vorquartals"), "QUARTER"),
    **dict.fromkeys(_every("vorjahr vorjahres vorjahrs"), "YEAR"),
}
_DAY_WORDS = ("heute heutige heutigen today", "gestern gestrigen yesterday", "vorgestern")
DAYS_AGO = {word: days for days, words in enumerate(_DAY_WORDS) for word in words.split()}
LAST = _every(
    "letzte letzten letzter letztes letztem vergangene vergangenen vergangener vergangenes vergangenem vorige vorigen "
    "voriger voriges vorigem vorherige vorherigen last past previous prior preceding"
)
THIS = _every(
    "diese diesen dieser dieses diesem aktuelle aktuellen aktueller aktuelles aktuellem laufende laufenden laufendem "
    "laufendes this current"
)
SINCE = _every("seit since")
TO = _every("bis to until till through thru - – —")
BOTH_ENDS = _every("zwischen between")
CONNECTING = _every("of in im the des dem den der vom von")
YEAR_TO_DATE = (
    ("seit", "jahresbeginn"),
    ("seit", "jahresanfang"),
    ("year", "to", "date"),
    ("ytd",),
    ("this", "year", "so", "far"),
    ("bisher", "in", "diesem", "jahr"),
    ("bisher", "dieses", "jahr"),
    ("dieses", "jahr", "bisher"),
)
WORDS = frozenset().union(
    MONTHS, NUMBERS, ORDINALS, UNIT_NOUNS, BACK, DAYS_AGO, LAST, THIS, SINCE, TO, BOTH_ENDS, *YEAR_TO_DATE
)
