"""German and English texts of numbers, moments and yes or no, as they stand in files.

    numbers(pl.Series(["1.234,56", "7"]), separator_of(column))     # [1234.56, 7.0]
    moment("31.12.2025 14:05", ZoneInfo("Europe/Berlin"))            # '2025-12-31T14:05:00'

What a separator means is decided by evidence, never guessed. `12,5`, `0,125`, `1.234,56` and `1.234.567` can only be
German, `12.5` and `1,234.56` only English; `1.234` alone can be either, and is read as the rest of its column is
written, or, when that says nothing, as the rest of its file. Where both ways of writing or neither are found, it stays
the text that it is, and so does everything else that cannot be read: the contract then quarantines the record.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from zoneinfo import ZoneInfo

import polars as pl


class Separator(Enum):
    """What stands before the decimals."""

    COMMA = ","
    POINT = "."

    @property
    def other(self) -> "Separator":
        """The one that then groups thousands."""
        return Separator.POINT if self is Separator.COMMA else Separator.COMMA


def _only(separator: Separator) -> str:
    """Pattern of the numbers that can be written with this separator only."""
    here, there = re.escape(separator.value), re.escape(separator.other.value)
    shapes = (
        rf"[0-9]+{here}(?:[0-9]{{1,2}}|[0-9]{{4,}})",
        rf"(?:0[0-9]*|[0-9]{{4,}}){here}[0-9]{{3}}",
        rf"{here}[0-9]+",
        rf"[0-9]+{here}[0-9]+[eE][+-]?[0-9]+",
        rf"[1-9][0-9]{{0,2}}(?:{there}[0-9]{{3}})+{here}[0-9]+",
        rf"[1-9][0-9]{{0,2}}(?:{there}[0-9]{{3}}){{2,}}",
    )
    return rf"^[+-]?(?:{'|'.join(shapes)})$"


_ONLY = {separator: _only(separator) for separator in Separator}
_EITHER = r"^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"
_PLAIN = r"^[+-]?[0-9]+(?:[eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_DAY = r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})|(?P<iso>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_TIME = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
_MOMENT = re.compile(rf"(?:{_DAY})(?:(?:T|,? +){_TIME}(?P<zone> ?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}}))?)?(?: Uhr)?")
_TRUTHS = {"ja": True, "wahr": True, "true": True, "yes": True, "1": True, "j": True, "y": True} | dict.fromkeys(
    ("nein", "falsch", "false", "no", "0", "n"), False
)


def separator_of(*columns: pl.Series) -> Separator | None:
    """The separator that the texts give evidence of; None when they give none, or of both."""
    return decided(found for column in columns for found in separators_in(column))


def separators_in(column: pl.Series) -> frozenset[Separator]:
    """Separators of which some text of the column gives evidence."""
    text = _signed(column)
    return frozenset(separator for separator, pattern in _ONLY.items() if text.str.contains(pattern).any())


def decided(found: Iterable[Separator]) -> Separator | None:
    """The only one that was found, if there is just one."""
    every = set(found)
    return every.pop() if len(every) == 1 else None


def numbers(column: pl.Series, separator: Separator | None, *, whole: bool = False) -> list[object]:
    """Values of texts: numbers (`whole`: exact integers where no separator stands), or the text as it was.

    separator: how to read a text that can be read both ways; None leaves it.
    """
    text = _signed(column)
    is_plain, is_either = text.str.contains(_PLAIN), text.str.contains(_EITHER)
    read = pl.select(
        pl.coalesce(
            pl.when(is_plain).then(text).cast(pl.Float64, strict=False),
            *(
                pl.when(text.str.contains(pattern) | (is_either & (separator is each)))
                .then(
                    text.str.replace_all(each.other.value, "", literal=True).str.replace(each.value, ".", literal=True)
                )
                .cast(pl.Float64, strict=False)
                for each, pattern in _ONLY.items()
            ),
        )
    ).to_series()
    values: list[object] = read.set(read.is_infinite(), None).to_list()
    if whole:
        exact = text.set(~text.str.contains(_WHOLE), None).cast(pl.Int64, strict=False).to_list()
        values = [value if same is None else same for same, value in zip(exact, values, strict=True)]
    return [was if value is None else value for value, was in zip(values, column.to_list(), strict=True)]


def _signed(column: pl.Series) -> pl.Series:
    """Trimmed, with the sign in front and as ASCII."""
    text = column.str.strip_chars().str.replace("−", "-", literal=True)
    return text.str.replace(r"^([0-9.,]*[0-9])-$", "-$1")


def moments(column: pl.Series, zone: ZoneInfo) -> list[object]:
    """ISO texts of the moments in a column, or the text as it was."""
    read = {text: moment(text, zone) for text in column.unique().to_list() if text is not None}
    return [None if text is None else read[text] for text in column.to_list()]


def moment(text: str, zone: ZoneInfo) -> str:
    """One moment as ISO 8601 in local time; a text that is no moment stays as it is.

    Read are `31.12.2025`, `31.12.2025 14:05[:06[,5]][ Uhr]` and ISO 8601, whose zone, if it has one, is converted.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        return text
    part = match.groupdict()
    day = part["iso"] or f"{part['year']}-{int(part['month']):02}-{int(part['day']):02}"
    time = f"{int(part['hour'] or 0):02}:{part['minute'] or '00'}:{part['second'] or '00'}"
    digits = f".{part['fraction'][:6]:0<6}" if part["fraction"] else ""
    try:
        read = datetime.fromisoformat(f"{day}T{time}{digits}{(part['zone'] or '').strip()}")
        return read.astimezone(zone).replace(tzinfo=None).isoformat() if read.tzinfo else read.isoformat()
    except (ValueError, OverflowError):  # no such day, or one before the calendar
        return text


def truths(column: pl.Series) -> list[object]:
    """True and False for ja, nein, wahr, falsch, true, false, yes, no, j, n, y, 1 and 0, or the text as it was."""
    return [None if text is None else _TRUTHS.get(text.strip().casefold(), text) for text in column.to_list()]
