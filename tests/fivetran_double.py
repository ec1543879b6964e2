"""Doubles for Fivetran: a merchant in memory, a destination that merges as Fivetran does, the REST API on loopback."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from mercurios.fivetran import tables
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, Contract, Kind
from tests.ports import serving

DAY = date(2025, 11, 3)
_VALUES: Mapping[Kind, Callable[[int], object]] = {
    Kind.TEXT: lambda n: f"Größe {n}",
    Kind.CODE: lambda n: f"{n:04}",
    Kind.INTEGER: float,
    Kind.NUMBER: lambda n: n + 0.25,
    Kind.BOOLEAN: lambda n: False,
    Kind.TIMESTAMP: lambda n: f"{DAY - timedelta(days=n % 9)}T00:00:00",
    Kind.RECORDS: lambda n: [],
}


def made(entity: str, number: int, *, changed: str = "2025-11-03T09:30:00.12345", **more: object) -> dict[str, object]:
    """A sound record of any entity: what its contract requires, and `more`."""
    contract = CONTRACTS[entity]
    record = {
        one.name: _VALUES[one.kind](number)
        for one in contract.kept
        if not one.is_nullable or one.name in {"lastChange", "isDeleted"}
    }
    record |= {"id": f"{entity}-{number:05}"} | ({"lastChange": changed} if "lastChange" in record else {})
    return record | more


@dataclass
class Listing:
    """A merchant in memory: a source that lists what `records` holds now, and selects only if it `can_select`."""

    records: dict[str, list[object]]
    page_size: int = 7
    can_select: bool = False
    failures: dict[str, Exception] = field(default_factory=dict)
    tenant_id: str = "north"
    is_listing: bool = True
    asked: list[tuple[str, Window, int]] = field(default_factory=list)
    contracts: Mapping[str, Contract] = field(default_factory=lambda: CONTRACTS)

    def can_read(self, entity: str, window: Window) -> bool:
        return window.is_everything or self.can_select

    def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
        self.asked.append((entity, window, start))
        if entity in self.failures:
            raise self.failures[entity]
        rows = [one for one in self.records.get(entity, []) if _is_in(one, window, CONTRACTS[entity])]
        while True:
            last = min(start + self.page_size, len(rows))
            yield Page(entity, start, last if last < len(rows) else None, rows[start:last])
            if last >= len(rows):
                return
            start = last


def _is_in(record: object, window: Window, contract: Contract) -> bool:
    if window.is_everything or not isinstance(record, dict):
        return True
    if window.changed_from and datetime.fromisoformat(record["lastChange"][:26]) < window.changed_from:
        return False
    day = datetime.fromisoformat(record[contract.day]).date() if contract.day else DAY
    return (window.day_from or day) <= day and (window.day_until is None or day < window.day_until)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Destination:
    """What Fivetran would hold: rows by table and key, each with whether it is marked as deleted.

    It takes the operations of a connector and the answers of a function; what was written before a kill stays.
    kill_after: operations until the end.
    """

    rows: dict[str, dict[tuple[object, ...], tuple[dict[str, Any], bool]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    kill_after: int | None = None
    states: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    operations: int = 0

    def _count(self) -> None:
        if self.kill_after is not None and self.operations >= self.kill_after:
            raise Killed
        self.operations += 1

    def upsert(self, table: str, data: dict[str, Any]) -> None:
        self._count()
        self._table(table)[_key(table, data)] = (data, False)

    def update(self, table: str, modified: dict[str, Any]) -> None:
        self._count()
        if held := self._table(table).get(_key(table, modified)):
            self._table(table)[_key(table, modified)] = ({**held[0], **modified}, False)

    def delete(self, table: str, keys: dict[str, Any]) -> None:
        self._count()
        held = self._table(table)
        if _key(table, keys) in held:
            held[_key(table, keys)] = (held[_key(table, keys)][0], True)

    def truncate(self, table: str) -> None:
        self._count()
        held = self._table(table)
        held.update({key: (row, True) for key, (row, _) in held.items()})

    def checkpoint(self, state: dict[str, Any]) -> None:
        self._count()
        self.state = json.loads(json.dumps(state))
        self.states.append(self.state)

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def take(self, answer: Mapping[str, Any]) -> None:
        """Merge a function's answer: what softDelete names first, then inserts and deletes."""
        for table in answer.get("softDelete", ()):
            self.truncate(table)
        for table, rows in answer["insert"].items():
            for row in rows:
                self.upsert(table, row)
        for table, rows in answer["delete"].items():
            for row in rows:
                self.delete(table, row)
        self.checkpoint(answer["state"])

    def _table(self, table: str) -> dict[tuple[object, ...], tuple[dict[str, Any], bool]]:
        return self.rows.setdefault(table, {})

    def alive(self, table: str) -> dict[object, dict[str, Any]]:
        """Rows that are not marked as deleted, by id."""
        return {key[0]: row for key, (row, is_deleted) in self.rows.get(table, {}).items() if not is_deleted}

    def dead(self, table: str) -> set[object]:
        """Ids of rows that are marked as deleted."""
        return {key[0] for key, (_, is_deleted) in self.rows.get(table, {}).items() if is_deleted}


def _key(table: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    names = tables.QUARANTINE_KEY if table == tables.QUARANTINE else CONTRACTS[table].key
    return tuple(row[name] for name in names)


def oracle(entity: str, records: Sequence[Mapping[str, Any]]) -> dict[object, dict[str, object]]:
    """What a destination must hold of sound records, by id: columns read without any of the code under test."""
    rows = {}
    for record in records:
        if record.get("isDeleted"):
            continue
        row = {one.column: _expected(one.kind, record.get(one.name)) for one in CONTRACTS[entity].kept}
        rows[record["id"]] = row
    return rows


def _expected(kind: Kind, value: Any) -> object:
    if value is None or kind in {Kind.TEXT, Kind.CODE, Kind.BOOLEAN, Kind.RECORDS}:
        return value
    if kind is Kind.TIMESTAMP:
        return datetime.fromisoformat(value[:26]).isoformat(timespec="microseconds")
    return int(value) if kind is Kind.INTEGER else float(value)


@dataclass
class Account:
    """What the REST API double answers: statuses of a connection one after the other, the last one again and again.

    answers: of other kinds (status, headers, body), given first. synced: connections asked to sync, with the body.
    """

    key: str
    secret: str
    connections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    synced: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    requests: int = 0


def status(
    connection_id: str = "warm_sun",
    *,
    succeeded_at: str | None = "2026-01-05T03:00:00.000000Z",
    failed_at: str | None = None,
    paused: bool = False,
    **states: object,
) -> dict[str, Any]:
    """The `data` of a connection, with what the API sends beside what is used."""
    told = {"setup_state": "connected", "sync_state": "scheduled", "update_state": "on_schedule", "tasks": []}
    return {
        "id": connection_id,
        "group_id": "projected_sickle",
        "service": "connector_sdk",
        "schema": f"prohandel_{connection_id}",
        "paused": paused,
        "sync_frequency": 360,
        "schedule_type": "auto",
        "succeeded_at": succeeded_at,
        "failed_at": failed_at,
        "config": {"api_key": "******"},
        "status": {**told, "is_historical_sync": False, "warnings": [], **states},
    }


class _Handler(BaseHTTPRequestHandler):
    account: Account
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"))

    def _serve(self, body: dict[str, Any] | None) -> None:
        account = self.account
        account.requests += 1
        if account.answers:
            return self._send(*account.answers.pop(0))
        expected = base64.b64encode(f"{account.key}:{account.secret}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            return self._json(401, {"code": "AuthFailed", "message": "Wrong API key or secret"})
        parts = self.path.strip("/").split("/")
        if parts[:2] != ["v1", "connections"] or parts[2] not in account.connections:
            return self._json(404, {"code": "NotFound_Connection", "message": f"no connection '{parts[-1]}'"})
        if body is not None:
            account.synced.append((parts[2], body))
            return self._json(200, {"code": "Success", "message": "Sync has been successfully triggered"})
        told = account.connections[parts[2]]
        return self._json(200, {"code": "Success", "data": told.pop(0) if len(told) > 1 else told[0]})

    def _json(self, code: int, body: dict[str, Any]) -> None:
        self._send(code, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fivetran(account: Account) -> Iterator[str]:
    """Serve the REST API of one account on loopback; gives its URL."""
    handler = type("Handler", (_Handler,), {"account": account})
    with serving(handler) as url:
        yield url
