"""Faults to order: what a real server does on a bad day, the same on every run.

Faults(not_json_pages={("sale", 3)}, status_pages={("sale", 2): 503}, wrong_types={"sale": 2})
"""

import json
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mercurios.sandbox.shapes import SHAPES

NO_JSON = b"<html><body><h1>Server Error in '/' Application.</h1></body></html>"


@dataclass(frozen=True)
class Faults:
    """Faults of one merchant's server. Pages are (entity, page number), pages and requests count from 1.

    not_json_pages: answered 200 with HTML, every time.
    status_pages, status_requests: answered with this status and Retry-After; a page `times` times, a request once.
    wrong_types: entity to number of records (drawn by `seed`) whose first decimal field holds a text.
    """

    not_json_pages: Collection[tuple[str, int]] = frozenset()
    status_pages: Mapping[tuple[str, int], int] = field(default_factory=dict)
    status_requests: Mapping[int, int] = field(default_factory=dict)
    wrong_types: Mapping[str, int] = field(default_factory=dict)
    times: int = 1
    retry_after_seconds: int = 0
    seed: int = 0


class FaultDesk:
    """Hands out the ordered faults of one server; remembers what it has handed out."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._requests = 0
        self._answered: Counter[tuple[str, int]] = Counter()

    def status(self, entity: str, page: int) -> int | None:
        """The status ordered for this request, None when it is to be answered as usual. Counts the request."""
        self._requests += 1
        ordered = self.faults.status_requests.get(self._requests)
        if ordered is None and self._answered[entity, page] < self.faults.times:
            ordered = self.faults.status_pages.get((entity, page))
            self._answered[entity, page] += 1
        return ordered

    def damaged(self, entity: str, page: int, body: bytes, first_row: int, rows: int) -> bytes:
        """The page's body with the ordered damage done; `rows` is the entity's total, `first_row` the page's offset."""
        if (entity, page) in self.faults.not_json_pages:
            return NO_JSON
        wanted = min(self.faults.wrong_types.get(entity, 0), rows)
        drawn = random.Random(f"{self.faults.seed}/{entity}").sample(range(rows), wanted) if wanted else []
        return _with_texts(entity, body, [row - first_row for row in drawn])


def _with_texts(entity: str, body: bytes, positions: list[int]) -> bytes:
    records = None
    for position in positions:
        records = json.loads(body) if records is None else records
        if 0 <= position < len(records):
            records[position][_first_decimal(entity)] = "not a number"
    return body if records is None else json.dumps(records).encode()


def _first_decimal(entity: str) -> str:
    return next((field.name for field in SHAPES[entity].fields.values() if field.kind == "float"), "number")
