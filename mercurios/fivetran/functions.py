"""A Function connection: the handler that Fivetran calls on AWS Lambda, again and again until nothing is left.

    handler({"agent": "…", "state": {}, "secrets": {"tenant_id": "north", …}, "sync_id": "…"}, context)
    # {"state": …, "insert": …, "delete": …, "schema": …, "hasMore": True, "softDelete": […]}

Only accounts from before 22 July 2025 can create such a connection. An answer stays below a size and ends before the
function's time is up; the state tells the next call where to go on. A table is named in `softDelete` in the answer that
brings the first rows of a complete read, and in no other: whether Fivetran marks what is missing from this answer or
what an earlier sync brought, the rows that exist are alive in the end.

With a bucket and a file in the request (sync method `CLOUD_STORAGE`), inserts and deletes go there.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mercurios.errors import BadRequest, MercuriosError, SourceError
from mercurios.fivetran import tables
from mercurios.fivetran.configuration import parse
from mercurios.fivetran.reading import Reading, Row, Step
from mercurios.fivetran.sdk import local_clock
from mercurios.fivetran.state import Json, State
from mercurios.sources.prohandel import ProHandel
from mercurios.sources.retrying import Patience

RESERVE_SECONDS = 120.0
"""No further page is asked for when less than this is left, or half of a call that is shorter: servers may be slow."""
MOST_EMPTY_ANSWERS = 9
"""Fivetran gives a connection up after more than 10 empty answers in a row that promise more."""
_PATIENCE = Patience(attempts=4, longest_seconds=20.0, timeout_seconds=20.0)
_Rows = dict[str, dict[tuple[Any, ...], Row]]


class Context(Protocol):
    """What is used of the context that AWS Lambda passes."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is cut off."""


@dataclass(frozen=True)
class Request:
    """What Fivetran asks. `bucket` and `file` are set together, or not at all."""

    state: State
    settings: Mapping[str, object] = field(repr=False)
    run: str = ""
    bucket: str = ""
    file: str = ""


@dataclass
class Answer:
    """One answer as it grows. `size`: bytes of its rows as JSON, in the widest form that they may be written."""

    state: State
    keys: Mapping[str, list[str]]
    inserts: _Rows = field(default_factory=dict, repr=False)
    deletes: _Rows = field(default_factory=dict, repr=False)
    marked: list[str] = field(default_factory=list)
    size: int = 0
    has_more: bool = True

    @property
    def rows(self) -> int:
        """Inserts and deletes so far."""
        return sum(map(len, (*self.inserts.values(), *self.deletes.values())))

    def takes(self, step: Step, most: int) -> bool:
        """Take a step in; not when the answer would exceed `most` bytes, or mark rows that it brings itself."""
        size = self.size + _size([step.upserts, step.deletes, step.quarantined])
        around = replace(self, state=step.state, marked=[*self.marked, step.table]).as_json()
        around |= {"insert": dict.fromkeys(self.keys, ()), "delete": dict.fromkeys(self.keys, ())}
        is_late = step.marks_deleted and (step.table in self.inserts or step.table in self.deletes)
        if is_late or size + _size(around) > most:
            return False
        self.size, self.state = size, step.state
        self.marked += [step.table] if step.marks_deleted else []
        self._put(step.table, step.upserts, self.inserts, self.deletes)
        self._put(step.table, step.deletes, self.deletes, self.inserts)
        self._put(tables.QUARANTINE, step.quarantined, self.inserts, self.deletes)
        return True

    def _put(self, table: str, rows: Sequence[Row], into: _Rows, out: _Rows) -> None:
        """The last word on a key counts."""
        for row in rows:
            place = tuple(row[name] for name in self.keys[table])
            into.setdefault(table, {})[place] = row
            out.get(table, {}).pop(place, None)

    def payload(self) -> Json:
        """The rows: part of the answer, or what goes to the bucket."""
        return {"insert": _listed(self.inserts), "delete": _listed(self.deletes)}

    def as_json(self) -> Json:
        """What is always returned."""
        keys = {table: {"primary_key": key} for table, key in self.keys.items()}
        answer = {"state": self.state.as_json(), "schema": keys, "hasMore": self.has_more}
        return answer | ({"softDelete": list(self.marked)} if self.marked else {})


def handler(event: object, context: Context) -> Json:
    """Answer one call; raises BadRequest, ConfigError or SourceError, whose messages Fivetran shows."""
    request = _request(event)
    chosen = parse(request.settings)
    clock = local_clock(chosen.tenant)
    run = request.run or f"{clock():%Y-%m-%dT%H}"
    with ProHandel(chosen.tenant, patience=_PATIENCE) as source:
        reading = Reading(source, chosen.entities, clock, run)
        answer = respond(
            reading, request.state, chosen.response_bytes, lambda: context.get_remaining_time_in_millis() / 1000
        )
    if not request.bucket:
        return answer.as_json() | answer.payload()
    _store(request.bucket, request.file, answer.payload())
    return answer.as_json()


def respond(reading: Reading, state: State, most: int, seconds_left: Callable[[], float]) -> Answer:
    """Read until the answer is full, the time is up or nothing is left."""
    reserve = min(RESERVE_SECONDS, seconds_left() / 2)
    answer = Answer(state, tables.keys(reading.entities))
    while not _filled(answer, reading, most, lambda: seconds_left() > reserve):
        if reading.records == 1:
            raise BadRequest(f"one record is larger than an answer may be ({most:,} bytes); raise response_bytes")
        reading = replace(reading, records=max(1, reading.records // 4))
    empty = 0 if answer.rows else state.empty + 1
    is_over = not answer.state.left and not answer.state.failed  # what has failed is told by the next call
    answer.has_more = answer.has_more and not is_over and empty <= MOST_EMPTY_ANSWERS
    answer.state = replace(answer.state, empty=empty if answer.has_more else 0)
    return answer


def _filled(answer: Answer, reading: Reading, most: int, has_time: Callable[[], bool]) -> bool:
    """Take steps in as long as they fit; False when the first one does not."""
    for step in _steps(answer, reading):
        if not answer.takes(step, most):
            return answer.rows > 0
        if not has_time():
            return True
    return True


def _steps(answer: Answer, reading: Reading) -> Iterator[Step]:
    """The steps after the answer's state. What fails once there are rows is left to the next call, which meets it."""
    try:
        yield from reading.steps(answer.state)
    except MercuriosError:
        if not answer.rows:
            raise
    else:
        answer.has_more = False


def _request(event: object) -> Request:
    if not isinstance(event, Mapping):
        raise BadRequest("expected a request of a Fivetran Function connection: a JSON object with state and secrets")
    parts = [event.get(name) or {} for name in ("customPayload", "secrets")]
    if not all(isinstance(part, Mapping) for part in parts):
        raise BadRequest("expected secrets as a JSON object; set them as key and value in the connection's setup")
    run, bucket, file = (event.get(name) or "" for name in ("sync_id", "bucket", "file"))
    if not all(isinstance(text, str) for text in (run, bucket, file)) or bool(bucket) != bool(file):
        raise BadRequest("expected sync_id, bucket and file as texts, the last two together or not at all")
    return Request(State.parse(event.get("state")), {**parts[0], **parts[1]}, run, bucket, file)


def _store(bucket: str, file: str, payload: Json) -> None:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    try:
        Session().create_client("s3").put_object(Bucket=bucket, Key=file, Body=json.dumps(payload).encode())
    except (BotoCoreError, ClientError) as error:
        raise SourceError(
            f"the bucket did not take the file ({type(error).__name__}); allow the function to write there"
        ) from None


def _listed(rows: _Rows) -> dict[str, list[Row]]:
    return {table: list(found.values()) for table, found in rows.items() if found}


def _size(value: object) -> int:
    return len(json.dumps(value))
