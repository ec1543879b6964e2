"""Two small tables to test the warehouse with, on every adapter.

def test_it(warehouse: Warehouse) -> None:
    load(warehouse, "north", rows(thing("a"), thing("b")))
    assert alive(warehouse) == {"a": 1, "b": 1}
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mercurios.warehouse import QUARANTINE, Batch, Counts, Rejected, Scope, Warehouse, raw_table, table_spec
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.snowflake_emulator import Emulator

AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
OWN = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int64()),
        ("amount", pa.float64()),
        ("is_deleted", pa.bool_()),
        ("date", pa.timestamp("us")),
        ("time", pa.int64()),
        ("type", pa.int64()),
        ("size", pa.string()),
        ("_variant", pa.string()),
    ]
)
THINGS = raw_table("raw.things", "id", {field.name: field.type for field in OWN if field.name != "_variant"})
DAILY = table_spec(
    "raw.things_daily",
    "snapshot_on number",
    {"snapshot_on": pa.date32(), "number": pa.int64(), "amount": pa.float64()},
)
FACTS = table_spec("raw.facts", "", {"name": pa.string(), "rate": pa.float64()})
_databases = itertools.count()


def thing(
    thing_id: str, number: int = 1, amount: float | None = 0.1, *, day: int | None = 1, is_deleted: bool = False
) -> dict[str, object]:
    return {
        "id": thing_id,
        "number": number,
        "amount": amount,
        "is_deleted": is_deleted,
        "date": day and datetime(2025, 12, day, 23, 59, 59, 123456),
        "time": 1,
        "type": None,
        "size": "",
        "_variant": None,
    }


def rows(*things: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(things), schema=OWN)


def rejected(thing_id: str | None, record: str = "{}", *reasons: str, day: int | None = None) -> Rejected:
    return Rejected(record, reasons or ("why",), thing_id, day and date(2025, 12, day))  # type: ignore[arg-type]


def days(first: int | None, until: int | None) -> Scope:
    return Scope("date", *(day and date(2025, 12, day) for day in (first, until)))  # type: ignore[arg-type]


def moment(batch: str) -> datetime:
    """When a batch starts: b1 at AT, each later one an hour after the one before."""
    return AT + timedelta(hours=int(batch[1:]) - 1)


def load(
    warehouse: Warehouse,
    tenant_id: str,
    *chunks: pa.Table,
    batch: str = "b1",
    rejects: Sequence[Rejected] = (),
    deletes: bool = True,
    **more: object,
) -> Counts:
    at = moment(batch)
    with warehouse.load(Batch(tenant_id, batch, "thing", THINGS, at, **more)) as opened:  # type: ignore[arg-type]
        opened.stage(iter(chunks))
        opened.reject(rejects)
        extracted = sum(chunk.num_rows for chunk in chunks) + len(rejects)
        return opened.commit(extracted, at + timedelta(seconds=9), deletes=deletes)


def alive(warehouse: Warehouse, tenant_id: str = "north") -> dict[object, object]:
    """Numbers of a tenant's living things by id."""
    mine = (row for row in content(warehouse) if row["tenant_id"] == tenant_id)
    return {row["id"]: row["number"] for row in mine if row["_deleted_at"] is None}


def still_open(warehouse: Warehouse, tenant_id: str = "north") -> list[tuple[object, ...]]:
    """Record, first and last batch of a tenant's open quarantine rows."""
    mine = (row for row in content(warehouse, QUARANTINE.name) if row["tenant_id"] == tenant_id)
    return [(row["record"], row["batch_id"], row["last_batch_id"]) for row in mine if row["resolved_by"] is None]


def content(warehouse: Warehouse, name: str = THINGS.name) -> list[dict[str, object]]:
    return sorted(warehouse.table(name).to_pylist(), key=str)


@pytest.fixture(name="warehouse", params=["duckdb", "snowflake"])
def warehouse_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse with the tables of these tests."""
    if request.param == "duckdb":
        opened: Warehouse = DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb")
    else:
        emulator: Emulator = request.getfixturevalue("emulator")
        opened = emulator.open(f"PORT_{next(_databases)}")
    with opened:
        opened.ensure(THINGS, DAILY, FACTS)
        yield opened
