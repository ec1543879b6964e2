"""Export: streams of batches, only what changed, and never the marts of a build that is not whole."""

import json
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from mercurios.config import ROOT
from mercurios.errors import LakeError, TransformFailed, WarehouseError
from mercurios.jobs.builds import recorded, require_build
from mercurios.jobs.transform import transform
from mercurios.lake import day_column
from mercurios.tables import TABLES
from mercurios.transformation import FROM_SCRATCH, DbtResult
from mercurios.warehouse import Extract
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.moves import SMALL, Shop, any_shop, good, move, shop, small, table, told

__all__ = ["any_shop", "shop", "small"]


def test_the_large_facts_are_cut_by_month_and_the_others_by_tenant() -> None:
    assert [day_column(name) for name in ("fct_sale_lines", "fct_receipts")] == ["sold_on", "sold_on"]
    assert day_column("fct_stock_daily") == "snapshot_on"
    assert {day_column(name) for name in TABLES if name.startswith("dim_")} == {None}
    assert day_column("forecasts") is None


def test_every_row_of_every_tenant_arrives_as_it_is(any_shop: Shop) -> None:
    report = any_shop.export()
    assert report.rows == {"dim_goods": 2, "fct_moves": 4, "fct_promises": 0}
    for name in SMALL:
        for tenant in ("north", "south"):
            assert any_shop.rows(name, tenant) == any_shop.in_warehouse(name, tenant)
    assert any_shop.rows("fct_moves")[0]["amount"] is not None
    assert any_shop.lake.reader("east", report.release).table("fct_moves").num_rows == 0


def test_only_partitions_that_changed_are_written(any_shop: Shop) -> None:
    first = any_shop.export()
    assert told(first, "fct_moves") == (4, 0, 0)
    again = any_shop.export()
    assert [told(again, name) for name in SMALL] == [(0, 2, 0), (0, 4, 0), (0, 0, 0)]
    assert again.release.tables == first.release.tables
    assert sum(each.bytes for each in again.tables) == 0

    any_shop.insert("fct_moves", move("south", 2, "2026-01-31"))
    third = any_shop.export()
    assert told(third, "fct_moves") == (1, 3, 0)
    assert third.release.table("dim_goods") == first.release.table("dim_goods")
    any_shop.warehouse.run("delete from marts.fct_moves where move_id in (1, 3) and tenant_id = 'north'")
    any_shop.warehouse.run("update marts.dim_goods set label = null where tenant_id = 'south'")
    fourth = any_shop.export()
    assert [told(fourth, name) for name in SMALL] == [(1, 1, 0), (0, 2, 2), (0, 0, 0)]
    for name in SMALL:
        for tenant in ("north", "south"):
            assert any_shop.rows(name, tenant) == any_shop.in_warehouse(name, tenant)
    assert [row["move_id"] for row in any_shop.rows("fct_moves", release=first.release)] == [1, 2, 3]
    assert [row["move_id"] for row in any_shop.rows("fct_moves", "south", first.release)] == [1]


def test_a_fingerprint_sees_what_a_sum_of_columns_would_not(any_shop: Shop) -> None:
    extract = Extract("marts.dim_goods", SMALL["dim_goods"].schema)
    seen = set()
    for labels in (("a", "b"), ("b", "a"), ("a", "a"), ("b", "b"), ("a", None), (None, "a"), ("", "a")):
        any_shop.warehouse.run("delete from marts.dim_goods")
        any_shop.insert("dim_goods", *(good("north", number, label) for number, label in enumerate(labels)))
        [told_rows] = any_shop.warehouse.fingerprints(extract).to_pylist()
        assert (told_rows["tenant_id"], told_rows["month"], told_rows["rows"]) == ("north", None, 2)
        seen.add(told_rows["fingerprint"])
    assert len(seen) == 7
    any_shop.insert("dim_goods", *(good("north", number, label) for number, label in enumerate(("", "a"))))
    [twice] = any_shop.warehouse.fingerprints(extract).to_pylist()
    assert (twice["rows"], twice["fingerprint"] in seen) == (4, False)


def test_a_fingerprint_does_not_depend_on_the_order_of_rows(shop: Shop) -> None:
    extract = Extract("marts.fct_moves", SMALL["fct_moves"].schema, "moved_on")
    before = sorted(shop.warehouse.fingerprints(extract).to_pylist(), key=str)
    shop.warehouse.run("create or replace table marts.fct_moves as from marts.fct_moves order by move_id desc, amount")
    assert sorted(shop.warehouse.fingerprints(extract).to_pylist(), key=str) == before


def test_december_ends_with_the_year(shop: Shop) -> None:
    shop.warehouse.run("delete from marts.fct_moves")
    days = ("2025-11-30", "2025-12-01", "2025-12-31", "2026-01-01", "1969-12-31", "2400-02-29")
    shop.insert("fct_moves", *(move("north", number, day) for number, day in enumerate(days)))
    assert told(shop.export(), "fct_moves") == (5, 0, 0)
    assert {row["moved_on"] for row in shop.rows("fct_moves")} == {date.fromisoformat(day) for day in days}
    shop.insert("fct_moves", move("north", 99, "1969-12-01"))
    assert told(shop.export(), "fct_moves") == (1, 4, 0)
    assert shop.rows("fct_moves") == shop.in_warehouse("fct_moves")


def test_columns_that_come_go_or_change_their_type(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.export()
    kinds = {
        field.name: field.type for field in SMALL["fct_moves"].schema if field.name not in {"tenant_id", "is_return"}
    }
    changed = table("fct_moves", "move_id", **kinds | {"quantity": pa.string(), "label": pa.string()})
    monkeypatch.setitem(TABLES, "fct_moves", changed)
    shop.warehouse.run("alter table marts.fct_moves alter quantity type varchar using 'q' || quantity")
    shop.warehouse.run("alter table marts.fct_moves add column label varchar default 'neu'")
    second = shop.export()
    assert told(second, "fct_moves") == (4, 0, 0)
    assert second.release.table("dim_goods") == first.release.table("dim_goods")
    assert [(row["quantity"], row["label"]) for row in shop.rows("fct_moves")] == [("q0.5", "neu")] * 3
    old = shop.rows("fct_moves", release=first.release)
    assert [(row["quantity"], row["label"], "is_return" in row) for row in old] == [("0.5", None, False)] * 3
    assert told(shop.export(), "fct_moves") == (0, 4, 0)

    monkeypatch.setitem(TABLES, "fct_moves", SMALL["fct_moves"])
    shop.warehouse.run("update marts.fct_moves set quantity = '2.5'")
    shop.warehouse.run("alter table marts.fct_moves alter quantity type double")
    shop.export()
    assert [row["quantity"] for row in shop.rows("fct_moves")] == [2.5] * 3
    assert [row["quantity"] for row in shop.rows("fct_moves", release=first.release)] == [0.5] * 3


def test_a_mart_that_changes_while_it_is_read_publishes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    good_one = shop.export().release
    fingerprints = shop.warehouse.fingerprints

    def then_something_changes(extract: Extract) -> pa.Table:
        told_rows = fingerprints(extract)
        shop.insert("fct_moves", move("north", 50, "2026-01-02"))
        return told_rows

    shop.insert("fct_moves", move("north", 49, "2026-01-02"))
    with monkeypatch.context() as patch:
        patch.setattr(shop.warehouse, "fingerprints", then_something_changes)
        with pytest.raises(LakeError, match=r"fct_moves.*run the export again"):
            shop.export()
    assert shop.lake.current() == good_one
    shop.export()
    assert shop.rows("fct_moves") == shop.in_warehouse("fct_moves")


def test_a_row_without_its_key_publishes_nothing(shop: Shop) -> None:
    shop.insert("dim_goods", {"tenant_id": "north", "number": None, "label": "x"})
    with pytest.raises(LakeError, match=r"dim_goods\.number is part of the key and holds 1 nulls"):
        shop.export()
    shop.warehouse.run("delete from marts.dim_goods where number is null")
    shop.insert("dim_goods", {"tenant_id": None, "number": 1, "label": "x"})
    with pytest.raises(LakeError, match="no tenant_id"):
        shop.export()
    assert shop.lake.current() is None


def test_what_another_publication_left_behind_never_comes_along(shop: Shop) -> None:
    shop.export()
    shop.insert("fct_moves", move("north", 60, "2026-01-03"))
    shop.warehouse.run("alter table marts.fct_promises rename to gone")
    with pytest.raises(WarehouseError, match="fct_promises"):
        shop.export()
    shop.warehouse.run("alter table marts.gone rename to fct_promises")
    shop.warehouse.run("delete from marts.fct_moves where move_id = 60")
    assert told(shop.export(), "fct_moves") == (0, 4, 0)
    shop.insert("fct_moves", move("south", 61, "2026-01-03"))
    assert told(shop.export(), "fct_moves") == (1, 3, 0)
    assert [row["move_id"] for row in shop.rows("fct_moves")] == [1, 2, 3]


def test_a_tenant_that_is_no_more_is_dropped(shop: Shop) -> None:
    first = shop.export().release
    shop.warehouse.run("delete from marts.fct_moves where tenant_id = 'south'")
    shop.warehouse.run("delete from marts.dim_goods")
    report = shop.export()
    assert [told(report, name) for name in SMALL] == [(0, 0, 2), (0, 3, 1), (0, 0, 0)]
    assert shop.rows("fct_moves", "south") == []
    assert shop.rows("dim_goods") == []
    assert len(shop.rows("dim_goods", release=first)) == 1


# --- only whole builds -----------------------------------------------------------------------------------------------


def test_the_last_month_that_there_is_does_not_stop_an_export(any_shop: Shop) -> None:
    any_shop.insert("fct_moves", move("north", 7, "9999-12-31"), move("north", 8, "0001-01-01"))
    any_shop.export()
    assert any_shop.rows("fct_moves") == any_shop.in_warehouse("fct_moves")


def test_marts_that_nobody_built_are_not_published(any_shop: Shop) -> None:
    with pytest.raises(TransformFailed, match="mercurios transform"):
        any_shop.export(is_built=False)
    any_shop.built()
    any_shop.export(is_built=False)


def test_marts_of_a_build_that_failed_are_not_published(shop: Shop) -> None:
    good_one = shop.export().release
    place = f"duckdb:///{shop.folder}/w.duckdb"

    def build(built_by: str) -> DbtResult:
        with DuckDBWarehouse.open(place) as warehouse:
            warehouse.run("insert into marts.dim_goods values ('north', 2, 'half')")
        raise TransformFailed("a test failed")

    with pytest.raises(TransformFailed, match="a test failed"):
        transform(build, lambda: DuckDBWarehouse.open(place))
    with pytest.raises(TransformFailed, match=r"did not end well.*mercurios transform"):
        shop.export(is_built=False)
    assert shop.lake.current() == good_one
    shop.built()
    assert shop.export(is_built=False).rows["dim_goods"] == 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_builds_at_once_none_is_whole_and_the_next_begins_from_scratch(
    shop: Shop, order: tuple[int, int]
) -> None:
    def opened() -> DuckDBWarehouse:
        return DuckDBWarehouse.open(f"duckdb:///{shop.folder}/w.duckdb")

    builds = [recorded(opened), recorded(opened)]
    for build in builds:
        build.__enter__().project = "one"
    with suppress(TransformFailed):  # of the two the one that began last may end first, and cannot know of the other
        builds[order[0]].__exit__(None, None, None)
    with pytest.raises(TransformFailed, match=r"at the same time.*from scratch"):
        builds[order[1]].__exit__(None, None, None)
    for _ in range(2):  # a build that fails changes nothing of that
        with pytest.raises(TransformFailed, match="did not end well"):
            require_build(shop.warehouse)
        third = recorded(opened)
        assert third.__enter__().built_by == FROM_SCRATCH
        third.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with recorded(opened) as build:
        build.project = "one"
    assert require_build(shop.warehouse) == build.build_id


def test_a_build_knows_the_project_of_the_one_before_it_where_that_is_whole(shop: Shop) -> None:
    def opened() -> DuckDBWarehouse:
        return DuckDBWarehouse.open(f"duckdb:///{shop.folder}/w.duckdb")

    with recorded(opened) as build:
        build.project = "one"
    broken = recorded(opened)
    assert broken.__enter__().built_by == "one"
    broken.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with recorded(opened) as build:
        assert build.built_by == ""


def test_marts_that_are_built_anew_meanwhile_are_not_published(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = shop.warehouse.extract

    def while_somebody_builds(*arguments: object) -> object:
        shop.built()
        return extract(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shop.warehouse, "extract", while_somebody_builds)
    with pytest.raises(LakeError, match="built anew"):
        shop.export()
    assert shop.lake.current() is None


# --- memory ----------------------------------------------------------------------------------------------------------

MEMORY = """
import json, sys
from datetime import datetime, UTC
from pathlib import Path
import pytest
from mercurios.warehouse.duckdb import DuckDBWarehouse
from mercurios.tables import TABLES
from mercurios.jobs import export as job
from mercurios.lake import Lake
from tests.moves import SMALL, Shop
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
TABLES.clear(); TABLES.update(SMALL); job.MARTS = tuple(SMALL)
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
with DuckDBWarehouse.open(f"duckdb:///{folder}/w{rows}.duckdb") as warehouse:
    shop = Shop(warehouse, Lake.open(f"sqlite:///{folder}/c{rows}.db", f"file://{folder}/d{rows}"), folder)
    shop.create()
    warehouse.run(f'''insert into marts.fct_moves select 'north', i, date '2026-01-01' + (i % 31)::int,
        timestamp '2026-01-01' + interval (i) second, (hash(i) % 100000 / 100)::decimal(18, 2), hash(i) % 97, i % 2 = 0
        from range({rows}) t(i)''')
    shop.built()
    before = peak()
    [table] = [each for each in shop.export(is_built=False).tables if each.name == "fct_moves"]
print(json.dumps({"peak": peak() - before, "rows": table.rows, "bytes": table.bytes}))
"""


def peak_of(folder: Path, rows: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY, str(folder), str(rows)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told_sizes: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert told_sizes["rows"] == rows
    return told_sizes


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """A single partition, so that nothing but the stream bounds it; as one pa.Table two million rows are 110 MB."""
    small_one, large = peak_of(tmp_path, 300_000), peak_of(tmp_path, 2_000_000)
    assert large["bytes"] > 5 * small_one["bytes"]
    assert large["peak"] - small_one["peak"] < 60
