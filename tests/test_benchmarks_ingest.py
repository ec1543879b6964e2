"""The ingest benchmark's own judgement: what it serves is what it says, and contenders that differ are found out."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.ingest_agreement import differences
from benchmarks.ingest_merchants import YEAR, _moved, _years
from mercurios.sources.contracts import CONTRACTS, Kind

SALES = pl.DataFrame(
    {
        "id": ["a", "b", "c"],
        "branchNumber": [1, 1, 2],
        "receiptNumber": [1_000_002, 1_000_001, 1_000_001],
        "receiptPosition": [1, 1, 1],
        "date": [date(2017, 1, 2), date(2017, 1, 2), date(2017, 12, 31)],
        "lastChange": [datetime(2017, 1, 2, 9), datetime(2017, 1, 2, 8), datetime(2017, 12, 31, 9)],
    },
    schema_overrides={"lastChange": pl.Datetime("ns")},
)


def test_years_of_history_are_as_many_different_lines_as_years_and_end_with_the_real_one() -> None:
    history = _years(SALES, 10)
    assert history["id"].n_unique() == history.height == 30
    assert history.schema == SALES.schema
    assert history["date"].max() == SALES["date"].max()
    assert history["date"].min() == date(2017, 1, 2) - 9 * YEAR


def test_receipts_count_on_from_year_to_year_and_stay_with_their_register() -> None:
    history = _years(SALES, 10).sort("date")
    for (_, register), lines in history.group_by("branchNumber", pl.col("receiptNumber") // 1_000_000):
        assert register == 1
        by_day = lines.group_by("date").agg(pl.col("receiptNumber").min()).sort("date")
        assert by_day["receiptNumber"].is_sorted()


def test_every_day_that_comes_has_ids_of_its_own() -> None:
    days = [_moved(SALES.filter(pl.col("date") == day), 1) for day in (date(2017, 1, 2), date(2017, 12, 31))]
    ids = pl.concat([SALES, *days])["id"]
    assert ids.n_unique() == len(ids)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update dlt.north.branch set name1 = 'other' where id = 'b'", "north branch.name1"),
        ("update dlt.north.branch set number = null where id = 'b'", "north branch.number"),
        ("update dlt.north.branch set id = case id when 'a' then 'b' else 'a' end", "north branch"),
        ("delete from dlt.north.branch where id = 'b'", "north branch: dlt has 1 rows, the source 2"),
    ],
)
def test_contenders_that_differ_are_found_out(tmp_path: Path, change: str, told: str) -> None:
    ours, theirs = tmp_path / "ours.duckdb", tmp_path / "theirs.duckdb"
    types = {
        Kind.TEXT: "varchar",
        Kind.CODE: "varchar",
        Kind.INTEGER: "bigint",
        Kind.NUMBER: "double",
        Kind.BOOLEAN: "boolean",
        Kind.TIMESTAMP: "timestamp",
    }
    columns = ", ".join(f"{field.column} {types[field.kind]}" for field in CONTRACTS["branch"].kept)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{ours}' as mercurios")
        connection.execute(f"attach '{theirs}' as dlt")
        connection.execute("create schema mercurios.raw")
        connection.execute("create schema dlt.north")
        connection.execute(f"create table mercurios.raw.prohandel_branch ({columns}, tenant_id varchar)")
        connection.execute(f"create table dlt.north.branch ({columns})")
        for tenant, number in (("north", 1), ("north", 2), ("south", 3)):
            connection.execute(
                "insert into mercurios.raw.prohandel_branch by name "
                "select ? as id, ? as number, 'x' as name1, ? as tenant_id",
                ["-abc"[number], number, tenant],
            )
        connection.execute(
            "insert into dlt.north.branch by name select * exclude tenant_id "
            "from mercurios.raw.prohandel_branch where tenant_id = 'north'"
        )
    rows = {"north": {"branch": 2}}
    assert differences(ours, theirs, rows, CONTRACTS) == []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{theirs}' as dlt")
        connection.execute(change)
    assert any(told in difference for difference in differences(ours, theirs, rows, CONTRACTS))
