"""A Connector SDK connection: `schema` and `update` over the operations of Fivetran's package.

    from fivetran_connector_sdk import Connector, Operations

    def update(configuration: dict, state: dict) -> None:
        sdk.update(configuration, state, Operations)

The package itself is needed in the connection's folder only. Each page is checkpointed, so a sync that is cut short
goes on from there. A complete read first marks the table's rows as deleted; those that still exist come again, and an
`update` of nothing but the key takes the mark from one whose record is broken now. Where the package can defer the
marking to the end of a sync that succeeds, it is deferred.
"""

import inspect
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson

from mercurios.fivetran import tables
from mercurios.fivetran.configuration import parse
from mercurios.fivetran.reading import Reading, Row, Step
from mercurios.fivetran.state import State
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Tenant

WHOLE_PAGES = sys.maxsize
"""Records a step: all of a page."""


class Operations(Protocol):
    """What is used of `fivetran_connector_sdk.Operations`."""

    def upsert(self, table: str, data: dict[str, Any]) -> None:
        """Insert or replace a row."""

    def update(self, table: str, modified: dict[str, Any]) -> None:
        """Change columns of a row and take its mark away; nothing where there is no such row."""

    def delete(self, table: str, keys: dict[str, Any]) -> None:
        """Mark a row as deleted."""

    def truncate(self, table: str) -> None:
        """Mark all rows of a table as deleted."""

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Keep the state; what was sent before is safe then."""

    def warning(self, message: str) -> None:
        """Show a message in the dashboard."""


def schema(configuration: Mapping[str, object]) -> list[dict[str, object]]:
    """Tables, keys and types; raises ConfigError."""
    return tables.schema(parse(configuration).entities)


def update(configuration: Mapping[str, object], state: Mapping[str, object], operations: Operations) -> None:
    """Run one sync; raises ConfigError or SourceError."""
    chosen = parse(configuration)
    with ProHandel(chosen.tenant) as source:
        clock = local_clock(chosen.tenant)
        reading = Reading(source, chosen.entities, clock, uuid.uuid4().hex, WHOLE_PAGES, can_keep=True)
        deliver(reading.steps(State.parse(state)), operations)


def check(configuration: Mapping[str, object]) -> None:
    """Log in and read the first page of the first entity; raises ConfigError or SourceError."""
    chosen = parse(configuration)
    with ProHandel(chosen.tenant) as source:
        next(source.read(chosen.entities[0]), None)


def deliver(steps: Iterable[Step], operations: Operations) -> None:
    """Hand steps over, each followed by its state."""
    for step in steps:
        _hand_over(step, operations)
        operations.checkpoint(step.state.as_json())


def _hand_over(step: Step, operations: Operations) -> None:
    if step.note:
        operations.warning(step.note)
    if step.marks_deleted:
        _mark_deleted(step.table, operations)
    for keys in step.kept:
        operations.update(step.table, keys)
    for row in _with_json(step.table, step.upserts):
        operations.upsert(step.table, row)
    for keys in step.deletes:
        operations.delete(step.table, keys)
    for row in _with_json(tables.QUARANTINE, step.quarantined):
        operations.upsert(tables.QUARANTINE, row)


def _mark_deleted(table: str, operations: Operations) -> None:
    can_defer = "deferred" in inspect.signature(operations.truncate).parameters
    operations.truncate(table, **({"deferred": True} if can_defer else {}))


def _with_json(table: str, rows: Sequence[Row]) -> Iterator[Row]:
    """Rows whose JSON columns hold what the text says: the package writes the text itself."""
    names = tables.json_columns(table)
    for row in rows:
        yield {**row, **{name: orjson.loads(row[name]) for name in names if row.get(name) is not None}}


def local_clock(tenant: Tenant) -> Callable[[], datetime]:
    """A clock that tells the merchant's local time, without a zone."""
    zone = ZoneInfo(tenant.time_zone)
    return lambda: datetime.now(zone).replace(tzinfo=None)
