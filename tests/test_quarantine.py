"""Quarantine: a broken record keeps its payload and all its reasons; a replay after a mended contract lands exactly
what would have come in had the contract been right at once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mercurios.errors import BadRequest
from mercurios.jobs.ingest import Extent, Run, ingest
from mercurios.jobs.quarantine import Held, Replayed, dismiss, find, quarantined, replay
from mercurios.jobs.status import RawStatus, collect
from mercurios.lake import Lake
from mercurios.registry import ModelVersion
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, Contract, Kind
from mercurios.sources.files import FileDrop
from mercurios.tenancy import FilesSource
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.listed import ListSource, label
from tests.prohandel_double import tenant

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
LABEL = CONTRACTS["label"]
NARROW = replace(LABEL, kept=tuple(replace(f, kind=Kind.INTEGER) if f.name == "name" else f for f in LABEL.kept))
"""The contract before it was mended: it takes a name for a number."""


@pytest.fixture
def warehouse() -> Iterator[DuckDBWarehouse]:
    with DuckDBWarehouse.open("duckdb:///:memory:") as opened:
        yield opened


@dataclass(frozen=True)
class Merchant:
    """One tenant's labels, read again and again; an hour passes between two reads."""

    warehouse: DuckDBWarehouse
    folder: Path
    name: str = "north"

    def read(self, records: list[object], contract: Contract = LABEL) -> None:
        source = ListSource({"label": records}, self.name, {**CONTRACTS, "label": contract})
        hours = len(self.warehouse.batches())
        run = Run(AT + timedelta(hours=hours), self.folder / "spool", Extent(("label",)))
        ingest(source, tenant(self.folder, self.name), self.warehouse, run)

    def rows(self) -> list[dict[str, Any]]:
        """What is known of the records, without when and by which batch."""
        meta = ("tenant_id", "_batch_id", "_extracted_at", "_deleted_at")
        table = pl.DataFrame(self.warehouse.table("raw.prohandel_label")).filter(tenant_id=self.name)
        return table.with_columns(gone=pl.col("_deleted_at").is_not_null()).drop(meta).sort("id").to_dicts()

    def living(self) -> dict[str, Any]:
        return {row["id"]: row["name"] for row in self.rows() if not row["gone"]}

    def open(self) -> tuple[Held, ...]:
        return quarantined(self.warehouse, self.name)

    def replay(self, contract: Contract = LABEL) -> tuple[Replayed, ...]:
        return replay(self.warehouse, self.name, AT + timedelta(days=1), contracts={"label": contract})


@pytest.fixture
def north(warehouse: DuckDBWarehouse, tmp_path: Path) -> Merchant:
    return Merchant(warehouse, tmp_path)


def test_a_record_keeps_its_payload_and_every_reason(north: Merchant) -> None:
    broken = label("a", number="x", lastChange="yesterday", novelty=[1, {"deep": 2}])
    north.read([broken, label("b")])
    (held,) = north.open()
    assert (held.entity, held.record_id, held.resolved_by) == ("label", "a", None)
    assert set(held.reasons) == {
        "number: expected integer, got other text",
        "lastChange: expected timestamp, got other text",
    }
    assert json.loads(held.record) == broken
    assert held.batch_id == held.last_batch_id
    assert find(north.warehouse, "north", held.number[:4]) == held
    assert "novelty" not in repr(held)


def test_a_number_that_names_none_or_several_is_refused(north: Merchant) -> None:
    north.read([label(f"r{n}", number="x") for n in range(40)])
    for number, problem in {
        "": "none begins with ''",
        "zz": "none begins with 'zz'",
        "0": "begin with '0', expected",
    }.items():
        with pytest.raises(BadRequest, match=problem):
            find(north.warehouse, "north", number)


def test_replay_lands_what_an_oracle_would(north: Merchant, tmp_path: Path) -> None:
    records: list[object] = [label(f"r{n}", number=n, name=f"Größe {n}", novelty=n) for n in range(20)]
    south = replace(north, name="south")
    north.read(records, NARROW)
    south.read(records, NARROW)
    assert len(north.open()) == 20
    (done,) = north.replay()
    assert (done.counts.extracted, done.counts.loaded, done.counts.quarantined) == (20, 20, 0)
    assert north.open() == ()
    assert {one.resolved_by for one in quarantined(north.warehouse, "north", resolved=True)} == {done.batch_id}
    assert len(south.open()) == 20
    assert south.rows() == []
    with DuckDBWarehouse.open("duckdb:///:memory:") as other:
        oracle = Merchant(other, tmp_path)
        oracle.read(records)
        assert north.rows() == oracle.rows()
    assert north.replay() == ()


def test_what_is_still_broken_stays(north: Merchant) -> None:
    north.read([label("a", name="x"), label("b", name="y", number="z"), "junk"], NARROW)
    (done,) = north.replay()
    assert (done.counts.extracted, done.counts.loaded, done.counts.quarantined) == (3, 1, 2)
    assert {one.record_id: one.reasons for one in north.open()} == {
        "b": ("number: expected integer, got other text",),
        None: ("record: expected object, got other text",),
    }
    for batch in north.warehouse.batches():
        assert batch.counts.extracted == batch.counts.loaded + batch.counts.quarantined


def test_a_replay_is_not_told_as_a_reading(north: Merchant, tmp_path: Path) -> None:
    class Nobody:
        def champions(self, tenant_id: str) -> tuple[ModelVersion, ...]:
            return ()

    for name in ("north", "south"):
        replace(north, name=name).read([label("a", name="Größe"), label("b", name=7)], NARROW)
    lake = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")
    before = collect(["north", "south"], north.warehouse, lake, Nobody())  # type: ignore[arg-type]
    assert [one.raw["label"] for one in before.tenants] == [RawStatus(1, 2, 1, 1)] * 2
    assert len(north.replay()) == 1
    told, other = collect(["north", "south"], north.warehouse, lake, Nobody()).tenants  # type: ignore[arg-type]
    assert told.raw["label"] == RawStatus(2, 2, 1, 1)
    assert told.freshness == before.tenants[0].freshness
    assert (before.tenants[0].quarantined, told.quarantined) == (1, 0)
    assert other == before.tenants[1]


def test_replay_puts_nothing_old_over_something_newer(north: Merchant) -> None:
    north.read([label("a", name="old"), label("b", name="old")], NARROW)
    north.read([label("a", name="newer"), label("b", name="newer")], NARROW)
    north.read([label("a", name=7), label("b", name="newer")], NARROW)
    north.replay()
    assert north.living() == {"a": "7", "b": "newer"}


def test_replay_resurrects_nothing(north: Merchant) -> None:
    """A record breaks, and is gone at the source before the contract is mended."""
    others: list[object] = [label(f"o{n}", name=n) for n in range(5)]
    names = {f"o{n}" for n in range(5)}
    north.read([*others, label("a", name=1), label("never sound", name="x")], NARROW)
    north.read([*others, label("a", name="x"), label("never sound", name="x")], NARROW)
    assert north.living().keys() == {"a", *names}
    north.read(others, NARROW)
    assert north.living().keys() == names
    assert north.open() == ()
    assert north.replay() == ()
    assert north.living().keys() == names


def test_a_source_that_mends_its_record_resolves_it(north: Merchant) -> None:
    north.read([label("a", number="x")])
    north.read([label("a", number="x")])
    (held,) = north.open()
    assert held.batch_id != held.last_batch_id
    north.read([label("a", number=3)])
    assert north.open() == ()
    assert [row["number"] for row in north.rows()] == [3]


def test_what_is_dismissed_keeps_its_row_and_why_and_is_open_again_when_it_comes_again(north: Merchant) -> None:
    south = replace(north, name="south")
    broken: list[object] = ["junk", "more junk", label("a", number="x")]
    north.read(broken)
    south.read(broken)
    junk = [one for one in north.open() if one.record_id is None]
    closed = dismiss(north.warehouse, "north", [one.number for one in junk], "in sale_2.csv", AT + timedelta(days=1))
    assert {one.number for one in closed} == {one.number for one in junk}
    assert [one.record_id for one in north.open()] == ["a"]
    assert len(south.open()) == 3
    every = quarantined(north.warehouse, "north", resolved=True)
    assert {one.resolved_by for one in every if one.record_id is None} == {"dismissed: in sale_2.csv"}
    assert {one.record for one in every} == {one.record for one in quarantined(north.warehouse, "south")}
    north.read(broken)
    assert len(north.open()) == 3
    assert len(quarantined(north.warehouse, "north", resolved=True)) == 5


@pytest.mark.parametrize(
    ("more", "reason", "problem"),
    [
        (["zz"], "why", "of the open records none begins with 'zz'"),
        ([], " ", "expected a reason"),
        ([], "ask jo@example.org", "nobody's address"),
        ([], "two\nlines", "one line"),
        ([], "x" * 201, "at most 200"),
    ],
)
def test_nothing_is_dismissed_unless_all_of_it_can_be(
    north: Merchant, more: list[str], reason: str, problem: str
) -> None:
    north.read([label("a", number="x")])
    (held,) = north.open()
    with pytest.raises(BadRequest, match=problem):
        dismiss(north.warehouse, "north", [held.number, *more], reason, AT)
    assert north.open() == (held,)
    dismiss(north.warehouse, "north", [held.number], "for good", AT)
    with pytest.raises(BadRequest, match="of the open records none"):
        dismiss(north.warehouse, "north", [held.number], "again", AT)


def test_a_warehouse_that_did_not_keep_where_records_come_from_is_read_all_the_same(north: Merchant) -> None:
    north.read([label("a", number="x")])
    north.warehouse.run("alter table ops.quarantine drop column origin")
    (held,) = north.open()
    assert (held.record_id, held.origin) == ("a", None)
    dismiss(north.warehouse, "north", [held.number], "for good", AT)
    assert north.open() == ()


def test_a_record_of_a_file_tells_file_and_row_also_after_a_replay(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    """One row has a cell too few, one a number that can be read in two ways."""
    (tmp_path / "drops").mkdir()
    (tmp_path / "drops" / "voucher_2025.csv").write_text(
        "number;value;date\n1;7;2025-01-01\n2;1,234;2025-01-01\n3;7\n", encoding="utf-8"
    )
    dropping = replace(tenant(tmp_path, "north"), source=FilesSource((tmp_path / "drops").as_uri()))
    with FileDrop(dropping) as source:
        ingest(source, dropping, warehouse, Run(AT, tmp_path / "spool", Extent(("voucher",))))
    told = {one.origin: one.reasons[0] for one in quarantined(warehouse, "north")}
    assert told["voucher_2025.csv row 4"] == "voucher_2025.csv row 4: 2 cells, the header has 3"
    assert "1,234, which may be 1.234 or 1234" in told["voucher_2025.csv row 3"]
    (done,) = replay(warehouse, "north", AT + timedelta(days=1))
    assert done.counts.quarantined == 2
    assert {one.origin: one.reasons[0] for one in quarantined(warehouse, "north")} == told


def test_a_record_whose_id_could_not_be_read_is_resolved_by_its_replay(north: Merchant) -> None:
    mended = replace(LABEL, kept=tuple(replace(f, kind=Kind.CODE) if f.name == "id" else f for f in LABEL.kept))
    north.read([label("b"), {**label("a"), "id": 77}])
    assert [one.record_id for one in north.open()] == [None]
    north.replay(mended)
    assert north.living().keys() == {"b", "77"}
    assert north.open() == ()


def test_replay_does_not_put_the_older_of_two_versions_over_the_newer(north: Merchant) -> None:
    """Both come in one read, when pages shift while a record is mended."""
    older = label("a", name="broken", lastChange="2025-03-01T10:00:00")
    north.read([older, label("b"), label("a", name=7, lastChange="2025-03-01T11:00:00")], NARROW)
    north.replay()
    assert north.living()["a"] == "7"


def test_a_quarantined_record_is_looked_for_twice_before_it_counts_as_gone(north: Merchant) -> None:
    class Shifting(ListSource):
        def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
            for page in super().read(entity, window, start):
                yield replace(page, records=page.records[:1]) if len(self.reads) == 1 and page.start == 2 else page

    records: list[object] = [label("a"), label("b"), label("c"), label("bad", number="x")]
    north.read(records)
    source = Shifting({"label": records}, "north")
    run = Run(AT + timedelta(hours=3), north.folder / "spool", Extent(("label",)))
    ingest(source, tenant(north.folder, "north"), north.warehouse, run)
    assert len(source.reads) == 2
    assert [one.record_id for one in north.open()] == ["bad"]
