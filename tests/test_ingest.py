"""Ingest: every record is loaded or quarantined, a second run changes nothing, a broken one leaves no trace."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from mercurios import progress
from mercurios.errors import (
    AuthenticationFailed,
    BadRequest,
    BatchMismatch,
    ConfigError,
    MalformedPage,
    SourceUnavailable,
    WarehouseError,
)
from mercurios.jobs import ingest as ingest_job
from mercurios.jobs.ingest import ENTITIES, RAW_TABLES, IngestReport, ingest
from mercurios.sandbox import Faults, Merchant, Profile, running
from mercurios.sources import Page
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Tenant
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.prohandel_double import KEY, SECRET, tenant
from tests.tiny import tiny_merchant

AT = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)  # 3 January in Berlin
Frames = Mapping[str, pl.DataFrame]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    with DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb") as opened:
        yield opened


@contextmanager
def served(folder: Path, name: str, frames: Frames, faults: Faults | None = None) -> Iterator[tuple[ProHandel, Tenant]]:
    """A merchant's ProHandel, its source and its tenant."""
    merchant = Merchant(name, KEY, SECRET, frames, Profile(), faults or Faults())
    with running([merchant]) as sandbox:
        given = tenant(folder, name, auth_url=sandbox.auth_url, page_size=700)
        with ProHandel(given) as source:
            yield source, given


def run(
    folder: Path, warehouse: DuckDBWarehouse, name: str, frames: Frames, at: datetime = AT, **more: Any
) -> IngestReport:
    with served(folder, name, frames, **more) as (source, given):
        return ingest(source, given, warehouse, at)


class ListSource:
    """A source of records at hand, two a page; an exception among them is raised where it stands."""

    def __init__(self, records: Mapping[str, Sequence[object]], tenant_id: str = "north") -> None:
        self.tenant_id = tenant_id
        self.contracts: Mapping[str, Contract] = CONTRACTS
        self.records = records

    def read(self, entity: str) -> Iterator[Page]:
        records = self.records.get(entity, ())
        for number, first in enumerate(range(0, len(records), 2), start=1):
            page = records[first : first + 2]
            for record in page:
                if isinstance(record, Exception):
                    raise record
            yield Page(entity, number, page)


def staff(staff_id: str, number: object = 1, **more: object) -> dict[str, object]:
    return {"id": staff_id, "number": number, "lastChange": "2025-03-01T10:11:12.12345", "isDeleted": False, **more}


def everything(warehouse: DuckDBWarehouse) -> dict[str, list[dict[str, Any]]]:
    return {table.name: sorted(warehouse.table(table.name).to_pylist(), key=str) for table in RAW_TABLES}


def cents(values: pl.Series) -> int:
    return int((values * 100).round().sum())


def test_two_merchants_come_in_whole_and_apart(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    merchants = {"north": tiny_merchant(1), "south": tiny_merchant(2, lines_a_day=5)}
    for name, frames in merchants.items():
        report = run(tmp_path, warehouse, name, frames)
        assert [batch.entity for batch in report.batches] == list(ENTITIES)
        for batch in report.batches:
            height = frames[batch.entity].height if batch.entity in frames else 0
            assert (batch.extracted, batch.loaded, batch.quarantined, batch.inserted) == (height, height, 0, height)
    for name, frames in merchants.items():
        for entity in ENTITIES:
            expected = frames[entity].height if entity in frames else 0
            assert warehouse.count(f"raw.prohandel_{entity}", name) == expected, entity
        sales = pl.DataFrame(warehouse.table("raw.prohandel_sale")).filter(tenant_id=name)
        assert cents(sales["sale_price"]) == cents(frames["sale"]["salePrice"])
        assert cents(sales["purchase_price"]) == cents(frames["sale"]["purchasePrice"])
        assert set(sales["article_number"]) == set(frames["sale"]["articleNumber"].cast(pl.Int64))


def test_what_models_must_know_of_a_tenant_is_stored(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    for name in ("north", "south"):
        given = tenant(tmp_path, name)
        ingest(ListSource({}, name), given, warehouse, AT)
        ingest(ListSource({}, name), replace(given, vat_rates={1: 0.2}), warehouse, AT)
    facts = {"currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}
    assert everything(warehouse)["raw.tenants"] == [
        {"tenant_id": "north", "name": "North", **facts},
        {"tenant_id": "south", "name": "South", **facts},
    ]
    assert everything(warehouse)["raw.tenant_vat_rates"] == [
        {"tenant_id": "north", "tax_number": 1, "rate": 0.2},
        {"tenant_id": "south", "tax_number": 1, "rate": 0.2},
    ]


def test_a_second_run_changes_nothing(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    frames = tiny_merchant(1)
    run(tmp_path, warehouse, "north", frames)
    before = everything(warehouse)
    again = run(tmp_path, warehouse, "north", frames, AT + timedelta(minutes=20))
    assert everything(warehouse) == before
    assert all(batch.unchanged == batch.extracted for batch in again.batches)
    stored = warehouse.batches()
    assert [batch.entity for batch in stored] == [*ENTITIES, *ENTITIES]
    assert len({batch.batch_id for batch in stored}) == 2 * len(ENTITIES)


def test_only_what_changed_is_written(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), staff("c")]})
    ingest(source, tenant(tmp_path), warehouse, AT, ["staff"])
    source.records = {"staff": [staff("a"), staff("b", isDeleted=True), staff("d")]}
    (batch,) = ingest(source, tenant(tmp_path), warehouse, AT + timedelta(days=1), ["staff"]).batches
    assert (batch.inserted, batch.updated, batch.unchanged) == (1, 1, 1)
    rows = {row["id"]: row for row in warehouse.table("raw.prohandel_staff").to_pylist()}
    assert {key: row["is_deleted"] for key, row in rows.items()} == {"a": False, "b": True, "c": False, "d": False}
    assert (
        rows["a"]["_extracted_at"]
        == rows["c"]["_extracted_at"]
        < rows["b"]["_extracted_at"]
        == rows["d"]["_extracted_at"]
    )


def test_stock_is_kept_by_local_day_without_what_is_deleted(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    def size(size_id: str, branch: int, quantity: float, **more: object) -> dict[str, object]:
        numbers = {"number": 4005808123456.0, "articleNumber": 7.0, "branchNumber": branch, "stockQuantity": quantity}
        return {**staff(size_id), **numbers, "purchasePrice": 1.25, "salePrice": None, **more}

    for hours, quantity in ((0, 5.0), (1, 4.0), (24, 3.0)):
        records = [size("a", 1, quantity), size("b", 2, 1.0), size("c", 3, 9.0, isDeleted=True)]
        ingest(
            ListSource({"articlesize": records}),
            tenant(tmp_path),
            warehouse,
            AT + timedelta(hours=hours),
            ["articlesize"],
        )
    stock = everything(warehouse)["raw.prohandel_stock_daily"]
    assert {(row["snapshot_on"], row["branch_number"], row["stock_quantity"]) for row in stock} == {
        (date(2026, 1, 3), 1, 4.0),
        (date(2026, 1, 3), 2, 1.0),
        (date(2026, 1, 4), 1, 3.0),
        (date(2026, 1, 4), 2, 1.0),
    }
    assert {(row["number"], row["article_number"], row["purchase_price"], row["sale_price"]) for row in stock} == {
        (4005808123456, 7, 1.25, None)
    }
    assert warehouse.count("raw.prohandel_articlesize") == 3


def test_broken_records_are_quarantined_and_the_others_loaded(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    frames = tiny_merchant(1)
    report = run(tmp_path, warehouse, "north", frames, faults=Faults(wrong_types={"sale": 3}))
    (sale,) = [batch for batch in report.batches if batch.entity == "sale"]
    assert (sale.extracted, sale.quarantined, sale.loaded) == (frames["sale"].height, 3, frames["sale"].height - 3)
    assert (report.quarantined, report.rows) == (3, sum(batch.loaded for batch in report.batches))
    rows = warehouse.table("ops.quarantine").to_pylist()
    assert {(row["tenant_id"], row["entity"], row["quarantined_at"] >= AT.replace(tzinfo=None)) for row in rows} == {
        ("north", "sale", True)
    }
    ids = set(warehouse.table("raw.prohandel_sale")["id"].to_pylist())
    for row in rows:
        assert json.loads(row["reasons"]) == ["articleNumber: expected integer, got other text"]
        assert json.loads(row["record"])["articleNumber"] == "not a number"
        assert json.loads(row["record"])["id"] not in ids
    for stored in warehouse.batches():
        assert stored.counts.extracted == stored.counts.loaded + stored.counts.quarantined


def test_personal_data_stays_outside(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    private = dict.fromkeys(CONTRACTS["customer"].personal, "PRIVATE") | {"neverHeardOf": "PRIVATE"}
    source = ListSource(
        {"customer": [staff("a", **private), staff("b", "x", **private), "PRIVATE", {"iban": "PRIVATE"}]}
    )
    with capture_logs() as logs:
        report = ingest(source, tenant(tmp_path), warehouse, AT, ["customer"])
    assert (report.rows, report.quarantined) == (1, 3)
    for table in ("raw.prohandel_customer", "ops.quarantine", "ops.batches"):
        assert "PRIVATE" not in str(warehouse.table(table).to_pylist())
    assert "PRIVATE" not in str(logs) + str(report)
    assert logs[0]["unknown_fields"] == {"customer": ["neverHeardOf"]}


def test_a_key_that_comes_again_is_counted_and_the_last_one_kept(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a", 1), staff("b", 1), staff("a", 2)]})
    (batch,) = ingest(source, tenant(tmp_path), warehouse, AT, ["staff"]).batches
    assert (batch.extracted, batch.loaded, batch.inserted, batch.duplicates) == (3, 3, 2, 1)
    assert {row["id"]: row["number"] for row in everything(warehouse)["raw.prohandel_staff"]} == {"a": 2, "b": 1}


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 100])
def test_chunks_change_nothing(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(ingest_job, "CHUNK_ROWS", chunk_rows)
    records = [staff(str(n), n) for n in range(7)] + [staff("x", "no number")]
    report = ingest(ListSource({"staff": records}), tenant(tmp_path), warehouse, AT, ["staff"])
    assert (report.rows, report.quarantined) == (7, 1)
    assert sorted(row["number"] for row in everything(warehouse)["raw.prohandel_staff"]) == list(range(7))


@pytest.mark.parametrize("has_rows", [False, True])
def test_a_read_that_dies_leaves_nothing_half_written(
    tmp_path: Path, warehouse: DuckDBWarehouse, has_rows: bool
) -> None:
    frames = tiny_merchant(1)
    if has_rows:
        run(tmp_path, warehouse, "north", frames | {"sale": frames["sale"].with_columns(pl.col("discount") + 1)})
    warehouse.ensure(*RAW_TABLES)
    before = everything(warehouse)
    with pytest.raises(MalformedPage, match="sale page 3"):
        run(tmp_path, warehouse, "north", frames, AT + timedelta(hours=1), faults=Faults(not_json_pages={("sale", 3)}))
    after = everything(warehouse)
    for table in ("raw.prohandel_sale", "raw.prohandel_articlesize", "raw.prohandel_stock_daily"):
        assert after[table] == before[table]
    assert warehouse.count("raw.prohandel_article") == frames["article"].height
    assert [thread.name for thread in threading.enumerate() if "ingest" in thread.name] == []
    healed = {
        batch.entity: batch for batch in run(tmp_path, warehouse, "north", frames, AT + timedelta(hours=2)).batches
    }
    sale, article = healed["sale"], healed["article"]
    assert (sale.updated if has_rows else sale.inserted) == frames["sale"].height
    assert article.unchanged == frames["article"].height


def test_a_write_that_dies_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement of a batch fails once; whatever was written before it is taken back."""
    source = ListSource({"staff": [staff("a", 2), staff("b"), staff("b", 3), staff("c", "x")]})
    given = tenant(tmp_path)
    statements = 0
    for doomed in range(100):
        with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
            ingest(ListSource({"staff": [staff("a")]}), given, warehouse, AT, ["staff"])
            before = everything(warehouse)
            original = type(warehouse)._run
            left = doomed

            def failing(self: Any, statement: str, parameters: Any = (), original: Any = original) -> Any:
                nonlocal left
                if "create " in statement or "drop table" in statement or "raw.tenant" in statement:
                    return original(self, statement, parameters)
                left -= 1
                if left < 0:
                    raise WarehouseError("the disk is full")
                return original(self, statement, parameters)

            monkeypatch.setattr(type(warehouse), "_run", failing)
            try:
                ingest(source, given, warehouse, AT, ["staff"])
                break
            except WarehouseError:
                statements += 1
                assert left == -1
            finally:
                monkeypatch.undo()
            assert everything(warehouse) == before
            assert warehouse.count("ops.quarantine") == 0
            assert len(warehouse.batches()) == 1
            assert warehouse._run("select table_name from duckdb_tables() where temporary") == []
    assert statements >= 8


def test_a_batch_that_lost_a_record_is_refused(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(contract: Contract, records: Sequence[object]) -> Any:
        converted = convert(contract, records)
        return replace(converted, quarantined=())

    convert = ingest_job.convert
    monkeypatch.setattr(ingest_job, "convert", forgetful)
    source = ListSource({"staff": [staff("a"), staff("b", "x")]})
    with pytest.raises(BatchMismatch, match="2 records extracted, but 1 loaded and 0 quarantined"):
        ingest(source, tenant(tmp_path), warehouse, AT, ["staff"])
    assert warehouse.count("raw.prohandel_staff") == 0
    assert warehouse.batches() == ()


def test_a_wrong_secret_writes_nothing(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    with served(tmp_path, "north", tiny_merchant(1)) as (source, given):
        (tmp_path / "north.secret").write_text("wrong")
        with pytest.raises(AuthenticationFailed):
            ingest(source, given, warehouse, AT)
    assert warehouse.batches() == ()
    assert all(warehouse.count(f"raw.prohandel_{entity}") == 0 for entity in ENTITIES)


def test_what_cannot_be_meant_is_refused_before_anything_is_written(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source, given = ListSource({}), tenant(tmp_path)
    with pytest.raises(BadRequest, match="time zone"):
        ingest(source, given, warehouse, AT.replace(tzinfo=None))
    with pytest.raises(ConfigError, match="belongs to tenant north, not south"):
        ingest(source, tenant(tmp_path, "south"), warehouse, AT)
    with pytest.raises(BadRequest, match="unknown entities orders; expected some of branch"):
        ingest(source, given, warehouse, AT, ["sale", "orders"])
    assert warehouse.tables("raw") == ()


def test_the_next_page_is_fetched_while_one_is_worked_on_and_no_further(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    pages = iter([Page("staff", number, [staff(str(number))]) for number in range(1, 5)])
    ahead = ingest_job._ahead(pages)
    assert next(ahead).number == 1
    ahead.close()
    assert next(pages).number == 3
    assert [thread for thread in threading.enumerate() if "ingest" in thread.name] == []


def test_a_source_error_comes_through_as_it_is(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), SourceUnavailable("down"), staff("c")]})
    with pytest.raises(SourceUnavailable, match="down"):
        ingest(source, tenant(tmp_path), warehouse, AT, ["staff"])
    assert warehouse.count("raw.prohandel_staff") == 0


def test_progress_and_one_line_of_log(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    shown: list[object] = []

    class Display:
        def start(self, label: str, unit: str, total: int | None) -> int:
            shown.append((label, unit))
            return 1

        def advance(self, handle: int, amount: int) -> None:
            shown.append(amount)

        def finish(self, handle: int) -> None:
            shown.append("done")

    progress.show_with(Display())
    try:
        with capture_logs() as logs:
            ingest(
                ListSource({"staff": [staff("a"), staff("b"), staff("c")]}), tenant(tmp_path), warehouse, AT, ["staff"]
            )
    finally:
        progress.show_with(None)
    assert shown == [("ingest north staff", "rows"), 2, 1, "done"]
    (line,) = logs
    assert (line["event"], line["tenant"], line["extracted"], line["inserted"]) == ("ingest", "north", 3, 3)


def test_the_report_is_what_is_stored(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    report = ingest(ListSource({"staff": [staff("a"), staff("b", None)]}), tenant(tmp_path), warehouse, AT, ["staff"])
    (batch,), (stored,) = report.batches, warehouse.batches()
    told = asdict(batch)
    assert told.pop("seconds") >= 0
    assert told == {"entity": stored.entity, **asdict(stored.counts)}
    assert AT <= stored.started_at <= stored.finished_at <= AT + timedelta(minutes=5)


def test_raw_tables_have_the_columns_the_models_rely_on() -> None:
    tables = {table.name: table.columns for table in RAW_TABLES}
    sale = tables["raw.prohandel_sale"]
    assert sale.names[:2] == ["tenant_id", "id"]
    assert sale.names[-3:] == ["_batch_id", "_extracted_at", "_row_hash"]
    kinds = {
        "article_number": pa.int64(),
        "sale_price": pa.float64(),
        "date": pa.timestamp("us"),
        "is_deleted": pa.bool_(),
    }
    assert {name: sale.field(name).type for name in kinds} == kinds
    assert tables["raw.prohandel_stock_daily"].names == [
        *("tenant_id", "snapshot_on", "number", "article_number", "branch_number"),
        *("stock_quantity", "purchase_price", "sale_price"),
    ]
