"""Ingest: every record is loaded or quarantined, a second run changes nothing, a broken one leaves no trace."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from mercurios import progress
from mercurios.errors import (
    AuthenticationFailed,
    BadRequest,
    BatchMismatch,
    BudgetSpent,
    ConfigError,
    IngestIncomplete,
    MalformedPage,
    NotOffered,
    SourceError,
    SourceUnavailable,
    WarehouseError,
)
from mercurios.jobs.ingest import (
    DUE,
    ENTITIES,
    RAW_TABLES,
    Extent,
    IngestReport,
    Run,
    batches,
    ingest,
    parse_days,
)
from mercurios.sandbox import Fault, Faults, Merchant, NotJson, Profile, Rules, RunningSandbox, running
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, Contract, OnDrift
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Filters, ProHandelSource, Tenant
from mercurios.warehouse import rows as stamping
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.listed import ListSource, label
from tests.prohandel_double import KEY, SECRET, Double, tenant
from tests.tiny import tiny_merchant

AT = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)  # 3 January in Berlin
Frames = Mapping[str, pl.DataFrame]
NO_JSON = Faults(orders=[Fault(NotJson(), "sale", page=3, times=None)])

OFFERED = [entity for entity in ENTITIES if entity != "factor"]
"""What the API has; external factors come in files alone."""


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
        return ingest(source, given, warehouse, Run(at, folder / "spool"))


def staffed(
    folder: Path, warehouse: DuckDBWarehouse, source: ListSource, at: datetime = AT, extent: Extent = DUE
) -> IngestReport:
    """Read a source's staff only."""
    given = tenant(folder, source.tenant_id)
    return ingest(source, given, warehouse, Run(at, folder / "spool", replace(extent, entities=("staff",))))


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
        assert [batch.entity for batch in report.batches] == OFFERED
        for batch in report.batches:
            height = frames[batch.entity].height if batch.entity in frames else 0
            assert (batch.extracted, batch.loaded, batch.quarantined, batch.inserted) == (height, height, 0, height)
    for name, frames in merchants.items():
        for entity in OFFERED:
            expected = frames[entity].height if entity in frames else 0
            assert warehouse.count(f"raw.prohandel_{entity}", name) == expected, entity
        sales = pl.DataFrame(warehouse.table("raw.prohandel_sale")).filter(tenant_id=name)
        assert cents(sales["sale_price"]) == cents(frames["sale"]["salePrice"])
        assert cents(sales["purchase_price"]) == cents(frames["sale"]["purchasePrice"])
        assert set(sales["article_number"]) == set(frames["sale"]["articleNumber"].cast(pl.Int64))


def test_what_models_must_know_of_a_tenant_is_stored(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    for name in ("north", "south"):
        given = tenant(tmp_path, name)
        run = Run(AT, tmp_path / "spool")
        ingest(ListSource({}, name), given, warehouse, run)
        ingest(ListSource({}, name), replace(given, vat_rates={1: 0.2}), warehouse, run)
    facts = {"currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de", "calendar": None}
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
    assert [batch.entity for batch in stored] == [*OFFERED, *OFFERED]
    assert len({batch.batch_id for batch in stored}) == 2 * len(OFFERED)


def test_only_what_changed_is_written(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), staff("c")]})
    staffed(tmp_path, warehouse, source)
    source.records = {"staff": [staff("a"), staff("b", isDeleted=True), staff("d")]}
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(days=1)).batches
    assert (batch.inserted, batch.updated, batch.unchanged) == (1, 1, 1)
    rows = {row["id"]: row for row in warehouse.table("raw.prohandel_staff").to_pylist()}
    assert batch.deleted == 1
    assert {key: row["_deleted_at"] is None for key, row in rows.items()} == {
        "a": True,
        "b": False,
        "c": False,
        "d": True,
    }
    assert (
        rows["a"]["_extracted_at"]
        < rows["b"]["_extracted_at"]
        == rows["c"]["_extracted_at"]
        == rows["d"]["_extracted_at"]
    )


def test_stock_is_kept_by_local_day_without_what_is_deleted(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    def size(size_id: str, branch: int, quantity: float, **more: object) -> dict[str, object]:
        numbers = {"number": 4005808123456.0, "articleNumber": 7.0, "branchNumber": branch, "stockQuantity": quantity}
        return {**staff(size_id), **numbers, "purchasePrice": 1.25, "salePrice": None, **more}

    for hours, quantity in ((0, 5.0), (1, 4.0), (24, 3.0)):
        records = [size("a", 1, quantity), size("b", 2, 1.0), size("c", 3, 9.0, isDeleted=True)]
        run = Run(AT + timedelta(hours=hours), tmp_path / "spool", Extent(("articlesize",)))
        ingest(ListSource({"articlesize": records}), tenant(tmp_path), warehouse, run)
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
        report = ingest(source, tenant(tmp_path), warehouse, Run(AT, tmp_path / "spool", Extent(("customer",))))
    assert (report.rows, report.quarantined) == (1, 3)
    for table in ("raw.prohandel_customer", "ops.quarantine", "ops.batches"):
        assert "PRIVATE" not in str(warehouse.table(table).to_pylist())
    assert "PRIVATE" not in str(logs) + str(report)
    assert logs[0]["drift"] == ["customer.neverHeardOf new"]


def test_a_key_that_comes_again_is_counted_and_the_last_one_kept(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a", 1), staff("b", 1), staff("a", 2)]})
    (batch,) = staffed(tmp_path, warehouse, source).batches
    assert (batch.extracted, batch.loaded, batch.inserted, batch.duplicates) == (3, 3, 2, 1)
    assert {row["id"]: row["number"] for row in everything(warehouse)["raw.prohandel_staff"]} == {"a": 2, "b": 1}


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 100])
def test_chunks_change_nothing(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(stamping, "CHUNK_ROWS", chunk_rows)
    records = [staff(str(n), n) for n in range(7)] + [staff("x", "no number")]
    report = staffed(tmp_path, warehouse, ListSource({"staff": records}))
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
    with pytest.raises(IngestIncomplete, match="sale: sale page 3"):
        run(tmp_path, warehouse, "north", frames, AT + timedelta(hours=1), faults=NO_JSON)
    after = everything(warehouse)
    assert after["raw.prohandel_sale"] == before["raw.prohandel_sale"]
    for entity in ("article", "articlesize"):  # whether it comes before sales or after them
        assert warehouse.count(f"raw.prohandel_{entity}") == frames[entity].height
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
    statements = 0
    for doomed in range(100):
        with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
            folder = tmp_path / str(doomed)
            folder.mkdir()
            staffed(folder, warehouse, ListSource({"staff": [staff("a")]}))
            before = everything(warehouse)
            original = type(warehouse).run
            left = doomed

            def failing(self: Any, statement: str, parameters: Any = (), original: Any = original) -> Any:
                nonlocal left
                spared = ("create ", "drop table", "raw.tenant", "set memory_limit")
                if any(words in statement for words in spared):
                    return original(self, statement, parameters)
                left -= 1
                if left < 0:
                    raise WarehouseError("the disk is full")
                return original(self, statement, parameters)

            monkeypatch.setattr(type(warehouse), "run", failing)
            try:
                staffed(folder, warehouse, source)
                break
            except WarehouseError:
                statements += 1
                assert left == -1
            finally:
                monkeypatch.undo()
            assert everything(warehouse) == before
            assert warehouse.count("ops.quarantine") == 0
            assert len(warehouse.batches()) == 1
            assert warehouse.run("select table_name from duckdb_tables() where temporary") == []
    assert statements >= 8


def test_a_batch_that_lost_a_record_is_refused(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(contract: Contract, records: Sequence[object]) -> Any:
        converted = convert(contract, records)
        return replace(converted, quarantined=())

    convert = batches.convert
    monkeypatch.setattr(batches, "convert", forgetful)
    source = ListSource({"staff": [staff("a"), staff("b", "x")]})
    with pytest.raises(BatchMismatch, match="2 records extracted, but 1 loaded and 0 quarantined"):
        staffed(tmp_path, warehouse, source)
    assert warehouse.count("raw.prohandel_staff") == 0
    assert warehouse.batches() == ()


def test_a_wrong_secret_writes_nothing(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    with served(tmp_path, "north", tiny_merchant(1)) as (source, given):
        (tmp_path / "north.secret").write_text("wrong")
        with pytest.raises(AuthenticationFailed):
            ingest(source, given, warehouse, Run(AT, tmp_path / "spool"))
    assert warehouse.batches() == ()
    assert all(warehouse.count(f"raw.prohandel_{entity}") == 0 for entity in ENTITIES)


def test_what_cannot_be_meant_is_refused_before_anything_is_written(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source, given = ListSource({}), tenant(tmp_path)
    with pytest.raises(BadRequest, match="time zone"):
        ingest(source, given, warehouse, Run(AT.replace(tzinfo=None), tmp_path))
    with pytest.raises(ConfigError, match="belongs to tenant north, not south"):
        ingest(source, tenant(tmp_path, "south"), warehouse, Run(AT, tmp_path))
    with pytest.raises(BadRequest, match="unknown entities orders; expected some of country"):
        ingest(source, given, warehouse, Run(AT, tmp_path, Extent(("sale", "orders"))))
    assert warehouse.tables("raw") == ()


def test_the_next_page_is_fetched_while_one_is_worked_on_and_no_further(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    pages = iter([Page("staff", number, number + 1, [staff(str(number))]) for number in range(1, 5)])
    ahead = batches._ahead(pages)
    assert next(ahead).start == 1
    ahead.close()
    assert next(pages).start == 3
    assert [thread for thread in threading.enumerate() if "ingest" in thread.name] == []


def test_a_source_error_comes_through_as_it_is(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), SourceUnavailable("down"), staff("c")]})
    with pytest.raises(SourceUnavailable, match="down"):
        staffed(tmp_path, warehouse, source)
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
            raise AssertionError("what came of it is told instead")

        def drop(self, handle: int) -> None:
            shown.append("done")

        def tell(self, line: str) -> None:
            shown.append(" ".join(line.split())[:-6])

    progress.show_with(Display())
    try:
        with capture_logs() as logs:
            staffed(tmp_path, warehouse, ListSource({"staff": [staff("a"), staff("b"), staff("c")]}))
    finally:
        progress.show_with(None)
    told = "ingest north staff 3 loaded (0 unchanged) 0 quarantined"
    assert shown == [("ingest north staff", "rows"), 2, 1, "done", told]
    (line,) = logs
    assert (line["event"], line["tenant"], line["extracted"], line["inserted"]) == ("ingest", "north", 3, 3)


def told_by(read: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run tells, without times and blanks."""
    lines: list[str] = []
    monkeypatch.setattr(progress._display, "tell", lines.append)
    read()
    return [re.sub(r" \d+\.\d s", "", " ".join(line.split())) for line in lines]


def test_what_came_of_each_entity_is_told_and_what_to_look_at_last(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListSource(
        {
            "staff": [staff("a"), staff("b", None), {**staff("c"), "novelty": 1}],
            "label": [NotOffered("none")],
            "season": [SourceError("season: no page")],
        }
    )
    extent = Extent(("staff", "label", "season"))

    def read() -> None:
        with pytest.raises(IngestIncomplete):
            ingest(source, tenant(tmp_path), warehouse, Run(AT, tmp_path / "spool", extent))

    assert told_by(read, monkeypatch) == [
        "ingest north staff 2 loaded (0 unchanged) 1 quarantined",
        "ingest north season FAILED: season: no page",
        "ingest north: not offered: label",
        "ingest north: warning: staff.novelty: novelty (number) is no field of the staff contract; it may be personal, "
        "so values are withheld",
        "1 quarantined: see `mercurios quarantine list --tenant north`",
    ]


def test_the_report_is_what_is_stored(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    report = staffed(tmp_path, warehouse, ListSource({"staff": [staff("a"), staff("b", None)]}))
    (batch,), (stored,) = report.batches, warehouse.batches()
    told = asdict(batch)
    assert told.pop("seconds") >= 0
    read = {"window": "everything", "pages": 1, "is_resumed": False}
    assert told == {"entity": stored.entity, **read, **asdict(stored.counts)}
    assert AT <= stored.started_at <= stored.finished_at <= AT + timedelta(minutes=5)


def test_raw_tables_have_the_columns_the_models_rely_on() -> None:
    tables = {table.name: table.columns for table in RAW_TABLES}
    sale = tables["raw.prohandel_sale"]
    assert sale.names[:2] == ["tenant_id", "id"]
    assert sale.names[-6:] == ["_variant", "_batch_id", "_extracted_at", "_row_hash", "_key_xxh3", "_deleted_at"]
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


def windows_read(source: ListSource) -> list[str]:
    return [str(window) for _, window, _ in source.reads]


def test_a_listing_that_lacks_records_is_read_twice_before_they_count_as_deleted(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    """A page shifts when a record before it goes: what was behind the edge is missed, and is there on a second look."""

    class Shifting(ListSource):
        def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
            for page in super().read(entity, window, start):
                is_first_look = len(self.reads) == 2 and page.start == 2
                yield replace(page, records=page.records[1:]) if is_first_look else page

    source = Shifting({"staff": [staff(key) for key in "abcdef"]})
    staffed(tmp_path, warehouse, source)
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=1)).batches
    assert len(source.reads) == 3
    assert (batch.extracted, batch.unchanged, batch.duplicates, batch.deleted) == (11, 6, 5, 0)
    source.records = {"staff": [staff(key) for key in "abdef"]}
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=2)).batches
    assert (batch.deleted, len(source.reads)) == (1, 5)
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=3)).batches
    assert (batch.deleted, len(source.reads)) == (0, 6)


def test_a_second_look_counts_and_quarantines_a_broken_record_once(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    records: list[object] = [staff("a"), staff("b"), staff("bad", "x"), staff("bad too", "y")]
    staffed(tmp_path, warehouse, ListSource({"staff": [*records, staff("gone")]}))
    source = ListSource({"staff": records})
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=1)).batches
    assert len(source.reads) == 2
    assert (batch.deleted, batch.extracted, batch.loaded, batch.quarantined) == (1, 6, 4, 2)
    assert warehouse.count("ops.quarantine") == 2


def test_a_backfill_is_read_although_other_days_were_left_in_the_spool(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    class Days(ListSource):
        def can_read(self, entity: str, window: Window) -> bool:
            return True

    source = Days({"inventory": [SourceUnavailable("down")]})
    given, run = tenant(tmp_path), Run(AT, tmp_path / "spool", Extent(("inventory",), first=date(2025, 12, 19)))
    with pytest.raises(SourceUnavailable):
        ingest(source, given, warehouse, run)
    source.records = {}
    ingest(source, given, warehouse, replace(run, extent=replace(run.extent, first=date(2025, 1, 1))))
    assert windows_read(source)[1:] == ["days 2025-12-18/..", "days 2024-12-31/.."]
    ingest(source, given, warehouse, replace(run, extent=replace(run.extent, first=date(2025, 12, 24))))
    assert windows_read(source)[3:] == ["days 2025-12-23/.."]


def test_a_spent_budget_ends_the_run_and_the_next_one_goes_on(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), BudgetSpent("40 calls are spent")]})
    report = staffed(tmp_path, warehouse, source)
    assert (report.stopped, report.batches) == ("40 calls are spent", ())
    source.records = {"staff": [staff("a"), staff("b"), staff("c")]}
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=1)).batches
    assert (batch.is_resumed, batch.inserted) == (True, 3)


def test_a_listing_that_lacks_more_than_it_has_deletes_nothing_unless_told_to(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    def living() -> int:
        return sum(row["_deleted_at"] is None for row in warehouse.table("raw.prohandel_staff").to_pylist())

    staffed(tmp_path, warehouse, ListSource({"staff": [staff(key) for key in "abcdef"]}))
    for hours, left in ((1, []), (2, [staff("a"), staff("b")])):
        report = staffed(tmp_path, warehouse, ListSource({"staff": left}), AT + timedelta(hours=hours))
        (drift,) = report.drifts
        assert (drift.change, drift.severity) == ("deletions_withheld", "error")
        assert "--accept-deletions" in drift.detail
        assert living() == 6
    extent = Extent(accepts_deletions=True)
    report = staffed(tmp_path, warehouse, ListSource({"staff": [staff("a")]}), AT + timedelta(hours=3), extent)
    assert (report.batches[0].deleted, report.drifts, living()) == (5, (), 1)


def test_the_same_page_again_and_again_is_no_evidence(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    class Stuck(ListSource):
        def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
            for page in super().read(entity, window, start):
                yield replace(page, records=self.records[entity][:2])

    records = {"staff": [staff(str(n)) for n in range(20)]}
    staffed(tmp_path, warehouse, ListSource(records))
    report = staffed(tmp_path, warehouse, Stuck(records), AT + timedelta(hours=1))
    assert (report.batches[0].deleted, report.drifts[0].change) == (0, "deletions_withheld")


def test_a_deleted_record_that_comes_again_lives_again(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    for hours, keys in ((0, "abc"), (1, "ab"), (2, "abc")):
        staffed(tmp_path, warehouse, ListSource({"staff": [staff(key) for key in keys]}), AT + timedelta(hours=hours))
    rows = warehouse.table("raw.prohandel_staff").to_pylist()
    assert sorted((row["id"], row["_deleted_at"]) for row in rows) == [("a", None), ("b", None), ("c", None)]


def test_a_broken_record_is_not_a_vanished_one(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    staffed(tmp_path, warehouse, ListSource({"staff": [staff("a"), staff("b")]}))
    source = ListSource({"staff": [staff("a"), staff("b", "x")]})
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(hours=1)).batches
    assert (batch.quarantined, batch.deleted, len(source.reads)) == (1, 0, 1)


def test_reading_goes_on_where_it_was_cut_short(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    records: list[object] = [staff(str(n), n) for n in range(10)]
    source = ListSource({"staff": [*records[:6], SourceUnavailable("down"), *records[7:]]})
    with pytest.raises(SourceUnavailable):
        staffed(tmp_path, warehouse, source)
    assert warehouse.count("raw.prohandel_staff") == 0
    source.records = {"staff": records}
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(minutes=5)).batches
    assert source.reads[-1] == ("staff", EVERYTHING, 6)
    assert (batch.is_resumed, batch.extracted, batch.inserted, batch.pages) == (True, 10, 10, 5)
    (stored,) = warehouse.batches()
    assert stored.started_at < AT + timedelta(minutes=5) <= stored.finished_at


def test_pages_of_last_week_are_read_again(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"staff": [staff("a"), staff("b"), SourceUnavailable("down")]})
    with pytest.raises(SourceUnavailable):
        staffed(tmp_path, warehouse, source)
    source.records = {"staff": [staff("b"), staff("c")]}
    (batch,) = staffed(tmp_path, warehouse, source, AT + timedelta(days=7)).batches
    assert (batch.is_resumed, batch.extracted) == (False, 2)
    assert {row["id"] for row in everything(warehouse)["raw.prohandel_staff"]} == {"b", "c"}


def test_an_entity_that_fails_keeps_no_other_from_being_read(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"branch": [MalformedPage("broken")], "staff": [staff("a")], "label": [NotOffered("404")]})
    run = Run(AT, tmp_path / "spool", Extent(("branch", "label", "staff")))
    with pytest.raises(IngestIncomplete, match="branch: broken") as raised:
        ingest(source, tenant(tmp_path), warehouse, run)
    assert isinstance(raised.value.report, IngestReport)
    assert ([batch.entity for batch in raised.value.report.batches], raised.value.report.rows) == (["staff"], 1)
    assert warehouse.count("raw.prohandel_staff") == 1
    report = ingest(source, tenant(tmp_path), warehouse, replace(run, extent=Extent(("label", "staff"))))
    assert report.not_offered == {"label": "404"}
    with pytest.raises(NotOffered, match="nothing it was asked for"):  # a wrong server rather than a small merchant
        ingest(source, tenant(tmp_path), warehouse, replace(run, extent=Extent(("label",))))


def test_a_source_without_promotions_is_no_failure_and_not_told(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Double({}, first=[lambda request: httpx.Response(404)])
    run = Run(AT, tmp_path / "spool", Extent(("promotion",)))
    with ProHandel(one := tenant(tmp_path), transport=alone.transport) as source:
        report = ingest(source, one, warehouse, run)
    assert list(report.not_offered) == ["promotion"]
    assert warehouse.count("raw.prohandel_promotion") == 0

    source = ListSource({"promotion": [NotOffered("404")], "label": [NotOffered("404")], "staff": [staff("a")]})

    def read() -> None:
        ingest(source, tenant(tmp_path), warehouse, replace(run, extent=Extent(("promotion", "staff", "label"))))

    assert told_by(read, monkeypatch)[-1] == "ingest north: not offered: label"
    with pytest.raises(NotOffered, match="nothing it was asked for"):
        ingest(source, tenant(tmp_path), warehouse, replace(run, extent=Extent(("promotion", "label"))))


def test_a_new_field_is_kept_and_told_once_it_is_there(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    source = ListSource({"label": [label("a", ecoLabel="FSC"), label("b")]})
    report = ingest(source, tenant(tmp_path), warehouse, Run(AT, tmp_path / "spool", Extent(("label",))))
    assert [(drift.field, drift.change, drift.severity) for drift in report.drifts] == [("ecoLabel", "new", "info")]
    rows = {row["id"]: row["_variant"] for row in warehouse.table("raw.prohandel_label").to_pylist()}
    assert rows == {"a": '{"ecoLabel":"FSC"}', "b": None}
    (noted,) = warehouse.table("ops.drift").to_pylist()
    assert (noted["tenant_id"], noted["entity"], noted["field"]) == ("north", "label", "ecoLabel")


def test_a_field_that_vanishes_is_told_with_the_batch_before_in_mind(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    bare = {name: value for name, value in label("a").items() if name != "name"}
    drifts = []
    for hours, record in enumerate((label("a"), bare, bare)):
        run = Run(AT + timedelta(hours=hours), tmp_path / "spool", Extent(("label",)))
        drifts.append(ingest(ListSource({"label": [record]}), tenant(tmp_path), warehouse, run).drifts)
    assert [[(drift.field, drift.change) for drift in found] for found in drifts] == [[], [("name", "vanished")], []]


def test_a_contract_that_wants_no_drift_stops_and_loads_nothing(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    strict = replace(CONTRACTS["label"], on_drift=OnDrift.STOP)
    source = ListSource({"label": [label("a", ecoLabel="FSC")]}, contracts={**CONTRACTS, "label": strict})
    run = Run(AT, tmp_path / "spool", Extent(("label",)))
    with pytest.raises(IngestIncomplete, match="label changed its shape: ecoLabel") as raised:
        ingest(source, tenant(tmp_path), warehouse, run)
    assert isinstance(raised.value.report, IngestReport)
    assert [drift.field for drift in raised.value.report.drifts] == ["ecoLabel"]
    assert warehouse.count("raw.prohandel_label") == 0
    assert warehouse.count("ops.drift", "north") == 1
    source.records = {"label": [label("a")]}
    assert ingest(source, tenant(tmp_path), warehouse, run).rows == 1


FILTERS = Filters("modifiedSince", "fromDate", "toDate")


@contextmanager
def selecting(
    folder: Path, filters: Filters = FILTERS, rules: Rules | None = None
) -> Iterator[tuple[RunningSandbox, Tenant]]:
    """A merchant whose API selects, or not, by what its tenant file says."""
    merchant = Merchant("north", KEY, SECRET, tiny_merchant(1, lines_a_day=4))
    with running([merchant], rules=rules or Rules(filters=FILTERS)) as sandbox:
        given = tenant(folder, "north", auth_url=sandbox.auth_url, page_size=700)
        assert isinstance(given.source, ProHandelSource)
        yield sandbox, replace(given, source=replace(given.source, filters=filters))


def read(folder: Path, warehouse: DuckDBWarehouse, given: Tenant, at: datetime, extent: Extent = DUE) -> IngestReport:
    with ProHandel(given) as source:
        return ingest(source, given, warehouse, Run(at, folder / "spool", extent))


SALE_AND_ARTICLE = Extent(("article", "sale"))


def test_a_source_that_selects_is_asked_for_open_days_and_changes_only(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    with selecting(tmp_path) as (sandbox, given):
        read(tmp_path, warehouse, given, AT - timedelta(hours=1), SALE_AND_ARTICLE)
        first = read(tmp_path, warehouse, given, AT, replace(SALE_AND_ARTICLE, is_full=True))
        lines = sandbox.current("north", "sale")
        late = lines.filter(pl.col("date") >= "2025-12-22T00:00:00").head(1).drop("id", "lastChange")
        (late_id,) = sandbox.insert("north", "sale", late)
        gone = lines.filter(pl.col("date") >= "2025-12-24T00:00:00")["id"][0]
        sandbox.delete("north", "sale", [gone])
        corrected = lines.filter(pl.col("date") < "2025-06-03T00:00:00")["id"][0]
        sandbox.update("north", "sale", [corrected], {"quantity": 7.0})
        second = read(tmp_path, warehouse, given, AT + timedelta(days=1), SALE_AND_ARTICLE)
    assert [batch.window for batch in first.batches] == ["everything", "everything"]
    assert [(batch.entity, batch.window) for batch in second.batches] == [
        ("article", "changes since 2025-12-29T05:06:07"),
        ("sale", "days 2025-12-19/.."),
        ("sale", "changes since 2025-12-29T05:06:07"),
    ]
    rows = {row["id"]: row for row in warehouse.table("raw.prohandel_sale").to_pylist()}
    assert rows[late_id]["_deleted_at"] is None
    assert rows[gone]["_deleted_at"] is not None
    assert rows[corrected]["quantity"] == 7.0
    assert second.batches[1].extracted < first.batches[1].extracted / 10
    assert second.drifts == ()


def test_a_filter_that_the_source_ignores_is_noticed_and_everything_read(
    tmp_path: Path, warehouse: DuckDBWarehouse
) -> None:
    with selecting(tmp_path, rules=Rules()) as (_, given):
        for hours in (0, 1):
            read(tmp_path, warehouse, given, AT + timedelta(hours=hours), SALE_AND_ARTICLE)
        report = read(tmp_path, warehouse, given, AT + timedelta(days=1), SALE_AND_ARTICLE)
    assert [(batch.entity, batch.window, batch.inserted, batch.deleted) for batch in report.batches][-1] == (
        *("sale", "everything"),
        *(0, 0),
    )
    assert [(drift.entity, drift.change) for drift in report.drifts] == [("sale", "filter_ignored")]


def test_any_days_can_be_read_again(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    with selecting(tmp_path) as (sandbox, given):
        read(tmp_path, warehouse, given, AT, SALE_AND_ARTICLE)
        cursors = warehouse.table("ops.cursors").to_pylist()
        lines = sandbox.current("north", "sale")
        day = lines.filter(pl.col("date").is_between(pl.lit("2025-03-03"), pl.lit("2025-03-28")))["id"].to_list()
        sandbox.delete("north", "sale", day[:1])
        extent = replace(SALE_AND_ARTICLE, entities=("sale",), first=date(2025, 3, 1), until=date(2025, 4, 1))
        (batch,) = read(tmp_path, warehouse, given, AT + timedelta(days=1), extent).batches
        (again,) = read(tmp_path, warehouse, given, AT + timedelta(days=1), extent).batches
    assert (batch.window, batch.deleted, batch.inserted, batch.updated) == ("days 2025-02-28/2025-04-02", 1, 0, 0)
    assert (again.deleted, again.unchanged) == (0, batch.unchanged)
    moved = [{**row, "batch_id": None} for row in warehouse.table("ops.cursors").to_pylist()]
    assert moved == [{**row, "batch_id": None} for row in cursors]


def test_days_are_read_from_their_words() -> None:
    assert parse_days("2026-01-01/2026-02-01") == (date(2026, 1, 1), date(2026, 2, 1))
    assert parse_days("../2026-02-01") == (None, date(2026, 2, 1))
    for wrong in ("", "2026-01-01", "../..", "2026-02-01/2026-01-01", "1.2.2026/..", "2026-01-01/2026-01-01"):
        with pytest.raises(BadRequest, match="days"):
            parse_days(wrong)
