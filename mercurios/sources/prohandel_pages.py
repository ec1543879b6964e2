"""Pages of the ProHandel API: what is asked for, and what the answer's headers and body say.

ask = Ask("sale", {"from": "2025-03-01"}, number=3, size=1000)
sheet = read_sheet(answer, ask)
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from mercurios.errors import MalformedPage, NotOffered, SourceError
from mercurios.sources.connection import Answer
from mercurios.sources.paging import Sheet
from mercurios.sources.retrying import FEW_TRIES, Again

_TOLD_BYTES = 60
_SIZE = re.compile(r"0*([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Ask:
    """One page of an entity: page `number` (from 1) at `size` records, of the records that `selected` names."""

    entity: str
    selected: Mapping[str, str]
    number: int
    size: int

    def __str__(self) -> str:
        return f"{self.entity} page {self.number} (of {self.size} records)"

    @property
    def parameters(self) -> dict[str, str | int]:
        """Query parameters."""
        return {**self.selected, "page": self.number, "pagesize": self.size}


def read_sheet(answer: Answer, ask: Ask) -> Sheet:
    """Read an answer as the page that was asked for.

    Raises NotOffered, SourceError for another status, MalformedPage, and Again for a body that is no JSON.
    """
    _check_status(answer, ask)
    answered = str(answer.headers.get("X-Page", ask.number))
    if answered != str(ask.number):
        raise MalformedPage(f"{ask.entity}: expected page {ask.number}, got page {answered[:10]!r}")
    records = _records(answer, ask)
    size = _SIZE.fullmatch(str(answer.headers.get("X-Pagesize", "")))
    said = int(size[1]) if size else None
    is_more = _is_more(answer.headers, ask, said, len(records))
    return Sheet(ask.number, ask.size, said, is_more, answer.seconds, zlib.crc32(answer.body), records)


def _check_status(answer: Answer, ask: Ask) -> None:
    status, hint = answer.status, ""
    if status in {400, 403, 404} and ask.number == 1 and not ask.selected:  # a version or a key that lacks an entity
        raise NotOffered(
            f"{ask} answered {status}: {answer.place} is not offered, or not to this API key; ask ProHandel for the "
            f"permission to read {ask.entity}"
        )
    if ask.selected:
        hint = f", and whether it knows {', '.join(ask.selected)} (filters in the tenant file)"
    if status != httpx.codes.OK:
        raise SourceError(
            f"{ask}: expected 200, got {status} from {answer.place}; check that this merchant's API offers "
            f"{ask.entity}{hint}"
        )


def _records(answer: Answer, ask: Ask) -> list[object]:
    try:
        records: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        place = error.pos
    else:
        if isinstance(records, list):
            return records
        raise MalformedPage(f"{ask}: expected a JSON array, got {type(records).__name__}")
    raise _no_json(answer, ask, place)  # outside: the error holds the body


def _no_json(answer: Answer, ask: Ask, place: int) -> Again:
    kind = str(answer.headers.get("Content-Type", "nothing"))[:40]
    damaged = MalformedPage(
        f"{ask}: expected a JSON array, got {len(answer.body)} bytes ({kind}), no JSON at {place}, beginning "
        f"{_told(answer.body)!r}; run again, then ask ProHandel"
    )
    return Again(damaged, is_heavy=_is_cut(answer.body), tries=FEW_TRIES)


def _is_cut(body: bytearray) -> bool:
    """Whether an array begins and does not end; anything else is not a matter of the page's size."""
    return body.lstrip()[:1] == b"[" and body.rstrip()[-1:] != b"]"


def _is_more(headers: httpx.Headers, ask: Ask, said: int | None, received: int) -> bool:
    """What the header says; without it a page that is not full is the last, and without a size only an empty one."""
    text = str(headers.get("X-More-Pages-Available", "")).lower()
    if not text:
        return received >= (said or 1)
    if text not in {"true", "false"}:
        raise MalformedPage(f"{ask}: X-More-Pages-Available is neither True nor False: {text[:20]!r}")
    return text == "true"


def _told(body: bytearray) -> str:
    """The first bytes with every quoted text, number and address blanked, as they may be somebody's."""
    start = body[: _TOLD_BYTES * 4].decode("utf-8", "replace")
    blanked = re.sub(r'"[^"]*("|$)', '"…"', start)
    return re.sub(r"[0-9]+|\S+@\S+", "#", blanked)[:_TOLD_BYTES]
