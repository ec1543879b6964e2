"""Three small marts to export: articles, moves by day, and a fact without a day; two tenants, on every adapter.

def test_it(shop: Shop) -> None:
    shop.insert("fct_moves", move("north", 1, "2026-01-31"))
    shop.export()
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from mercurios.jobs import export as export_job
from mercurios.jobs.builds import recorded
from mercurios.jobs.export import ExportReport
from mercurios.lake import Lake, Release, TableReport
from mercurios.tables import MONEY, TABLES, Table
from mercurios.tables import UTC as UTC_TIMESTAMP
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.warehouse.sql import SqlWarehouse

AS_OF = datetime(2026, 2, 2, 3, 4, tzinfo=UTC)
KINDS = {
    pa.string(): "varchar",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    UTC_TIMESTAMP: "timestamp",
    MONEY: "decimal(18, 2)",
}


def table(name: str, key: str, **columns: pa.DataType) -> Table:
    keys = ("tenant_id", *key.split())
    fields = [pa.field(n, kind, nullable=n not in keys) for n, kind in {"tenant_id": pa.string(), **columns}.items()]
    return Table(name, "made up", "transform", keys, pa.schema(fields))


SMALL = {
    each.name: each
    for each in (
        table("dim_goods", "number", number=pa.int64(), label=pa.string()),
        table(
            "fct_moves",
            "move_id",
            move_id=pa.int64(),
            moved_on=pa.date32(),
            moved_at=UTC_TIMESTAMP,
            amount=MONEY,
            quantity=pa.float64(),
            is_return=pa.bool_(),
        ),
        table("fct_promises", "promise_id", promise_id=pa.int64(), made_on=pa.date32(), kept_on=pa.date32()),
    )
}


def good(tenant_id: str, number: int, label: str | None = "Schal") -> dict[str, object]:
    return {"tenant_id": tenant_id, "number": number, "label": label}


def move(tenant_id: str, move_id: int, day: str | None, amount: str = "9.90") -> dict[str, object]:
    on = date.fromisoformat(day) if day else None
    at = datetime(on.year, on.month, on.day, 22, 30, tzinfo=UTC) if on else None
    return {
        "tenant_id": tenant_id,
        "move_id": move_id,
        "moved_on": on,
        "moved_at": at,
        "amount": Decimal(amount),
        "quantity": 0.5,
        "is_return": move_id % 2 == 0,
    }


@dataclass
class Shop:
    """A warehouse with these marts and a lake."""

    warehouse: SqlWarehouse
    lake: Lake
    folder: Path

    def create(self) -> None:
        self.warehouse.run("create schema if not exists marts")
        for name, each in SMALL.items():
            columns = ", ".join(f"{field.name} {KINDS[field.type]}" for field in each.schema)
            self.warehouse.run(f"create table marts.{name} ({columns})")

    def insert(self, name: str, *rows: dict[str, object]) -> None:
        for row in rows:
            marks = ", ".join("?" for _ in row)
            values = [v.replace(tzinfo=None).isoformat(" ") if isinstance(v, datetime) else v for v in row.values()]
            plain = [str(v) if isinstance(v, (date, Decimal)) else v for v in values]
            self.warehouse.run(f"insert into marts.{name} ({', '.join(row)}) values ({marks})", plain)

    def export(self, *, is_built: bool = True) -> ExportReport:
        if is_built:
            self.built()
        return export_job.export(self.warehouse, self.lake, as_of=AS_OF, files={})

    def built(self) -> None:
        with recorded(lambda: _Lent(self.warehouse)):  # type: ignore[arg-type, return-value]
            pass

    def rows(self, name: str, tenant_id: str = "north", release: Release | None = None) -> list[dict[str, object]]:
        reader = self.lake.reader(tenant_id, release or self.lake.require_current())
        return sorted(reader.table(name).to_pylist(), key=str)

    def in_warehouse(self, name: str, tenant_id: str = "north") -> list[dict[str, object]]:
        rows = self.warehouse.table(f"marts.{name}").cast(SMALL[name].schema).to_pylist()
        return sorted((row for row in rows if row["tenant_id"] == tenant_id), key=str)


class _Lent:
    """A warehouse that stays open when it is left."""

    def __init__(self, warehouse: SqlWarehouse) -> None:
        self._warehouse = warehouse

    def __enter__(self) -> SqlWarehouse:
        return self._warehouse

    def __exit__(self, *_: object) -> None:
        return None


def told(report: ExportReport, name: str) -> tuple[int, int, int]:
    """Partitions of a table that were written, kept and dropped."""
    [found] = [each for each in report.tables if each.name == name]
    assert isinstance(found, TableReport)
    return found.written, found.kept, found.dropped


_numbers = itertools.count()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three marts are all that is published."""
    for name in set(TABLES) - set(SMALL):
        monkeypatch.delitem(TABLES, name)
    for name, each in SMALL.items():
        monkeypatch.setitem(TABLES, name, each)
    monkeypatch.setattr(export_job, "MARTS", tuple(SMALL))


@pytest.fixture(params=["duckdb", "snowflake"])
def any_shop(request: pytest.FixtureRequest, tmp_path: Path, small: None) -> Iterator[Shop]:
    """A shop on each adapter."""
    if request.param == "duckdb":
        warehouse: SqlWarehouse = DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb")
    else:
        warehouse = request.getfixturevalue("emulator").open(f"MOVES_{next(_numbers)}")
    with warehouse:
        yield _opened(warehouse, tmp_path)


@pytest.fixture
def shop(tmp_path: Path, small: None) -> Iterator[Shop]:
    """A shop on DuckDB."""
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb") as warehouse:
        yield _opened(warehouse, tmp_path)


def _opened(warehouse: SqlWarehouse, folder: Path) -> Shop:
    made = Shop(warehouse, Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data"), folder)
    made.create()
    made.insert("dim_goods", good("north", 1), good("south", 7))
    made.insert("fct_moves", move("north", 1, "2025-12-31"), move("north", 2, "2026-01-31", "-0.01"))
    made.insert("fct_moves", move("north", 3, None), move("south", 1, "2026-01-01"))
    return made
