"""The spool: whatever moment a read is cut short, the pages that count are whole, and reading goes on after them."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import IngestRunning
from mercurios.jobs.ingest.spool import Head, Mark, Spool, layout
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.conversion import convert

LABEL = CONTRACTS["label"]
LAYOUT = layout(LABEL, "prohandel")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CHANGED = "2025-03-01T10:11:12.12345"


def label(number: object) -> dict[str, object]:
    return {"id": f"id-{number}", "number": number, "name": "Größe", "lastChange": CHANGED, "isDeleted": False}


def fill(spool: Spool, pages: int, first: int = 0) -> None:
    """Pages of two sound records and a broken one; the last of ten is the end."""
    for number in range(first, first + pages):
        records = [label(3 * number), label(3 * number + 1), label(f"x{number}")]
        end = None if number == 9 else 3 * (number + 1)
        page = Page("label", 3 * number, end, records, origin=f"file{number}")
        spool.add(page, convert(LABEL, records), newest_change=datetime(2025, 3, 1 + number), read_at=AT)


def numbers(spool: Spool, since: Mark = Mark()) -> list[int]:  # noqa: B008
    return [number for table in spool.rows(since) for number in pl.DataFrame(table)["number"].to_list()]


def broken(spool: Spool) -> list[str | None]:
    return [record.record_id for group in spool.rejected() for record in group]


def begun(spool: Spool, window: Window = EVERYTHING) -> Spool:
    spool.begin(Head("b1", AT, window, LAYOUT))
    return spool


def test_a_fresh_folder_has_no_batch(tmp_path: Path) -> None:
    with Spool.opened(tmp_path / "north" / "label", LAYOUT) as spool:
        assert spool.head is None
        assert (tmp_path / "north" / "label").stat().st_mode & 0o077 == 0


def test_pages_come_back_as_they_were_put(tmp_path: Path) -> None:
    window = Window(day_from=date(2026, 1, 1), day_until=date(2026, 2, 1))
    with Spool.opened(tmp_path, LAYOUT) as spool:
        fill(begun(spool, window), 3)
    with Spool.opened(tmp_path, LAYOUT) as spool:
        assert spool.head == Head("b1", AT, window, LAYOUT)
        assert (spool.progress.position, spool.progress.pages, spool.progress.extracted) == (9, 3, 9)
        assert spool.progress.newest_change == datetime(2025, 3, 3)
        assert spool.origins == {"file0", "file1", "file2"}
        assert numbers(spool) == [0, 1, 3, 4, 6, 7]
        assert broken(spool) == ["id-x0", "id-x1", "id-x2"]
        fill(spool, 7, first=3)
        assert spool.progress.position is None
        assert len(numbers(spool)) == 20
        assert len(broken(spool)) == 10


def test_what_was_observed_is_the_same_in_one_go_and_in_two(tmp_path: Path) -> None:
    observed = []
    for cut in (10, 4):
        folder = tmp_path / str(cut)
        with Spool.opened(folder, LAYOUT) as spool:
            fill(begun(spool), cut)
        with Spool.opened(folder, LAYOUT) as spool:
            fill(spool, 10 - cut, first=cut)
            observed.append((spool.observed.fields, spool.observed.drifts(LABEL, frozenset({"searchTerm"}))))
    assert observed[0] == observed[1]
    assert observed[0][1]


def test_a_second_pass_adds_to_the_first(tmp_path: Path) -> None:
    with Spool.opened(tmp_path, LAYOUT) as spool:
        fill(begun(spool), 2)
        since = spool.progress.mark
        spool.begin_second_pass()
        assert spool.progress.position == 0
    with Spool.opened(tmp_path, LAYOUT) as spool:
        assert spool.progress.is_second_pass
        fill(spool, 1)
        assert numbers(spool, since) == [0, 1]
        assert numbers(spool) == [0, 1, 3, 4, 0, 1]
        assert spool.progress.extracted == 9
        assert broken(spool) == ["id-x0", "id-x1"]
        assert spool.repeated == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data(), pages=st.integers(0, 4))
def test_files_cut_anywhere_leave_whole_pages_or_nothing(
    data: st.DataObject, pages: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A process that dies leaves the files longer than the journal says; a machine that dies may leave them shorter."""
    folder = tmp_path_factory.mktemp("spool")
    with Spool.opened(folder, LAYOUT) as spool:
        fill(begun(spool), pages)
    for name in ("head.json", "journal.jsonl", "rows.arrows", "rejected.jsonl"):
        body = (folder / name).read_bytes()
        cut = data.draw(st.integers(0, len(body)), label=name)
        (folder / name).write_bytes(body[:cut] + data.draw(st.binary(max_size=20)).replace(b"\n", b" "))
    with Spool.opened(folder, LAYOUT) as spool:
        kept = spool.progress.pages
        assert numbers(spool) == [number for page in range(kept) for number in (3 * page, 3 * page + 1)] or kept == 0
        assert spool.progress.extracted == 3 * kept
        if spool.head is None:
            begun(spool)
            fill(spool, 1, first=0)
            assert len(numbers(spool)) == 2
        else:
            fill(spool, 1, first=kept)
            assert len(numbers(spool)) == 2 * (kept + 1)
    shutil.rmtree(folder)


def test_pages_checked_against_another_contract_are_dropped(tmp_path: Path) -> None:
    with Spool.opened(tmp_path, LAYOUT) as spool:
        fill(begun(spool), 2)
    with Spool.opened(tmp_path, layout(LABEL, "files")) as spool:
        assert spool.head is None
        assert not (tmp_path / "rows.arrows").exists()


def test_two_processes_do_not_share_a_spool(tmp_path: Path) -> None:
    folder = tmp_path / "north" / "label"
    with Spool.opened(folder, LAYOUT), pytest.raises(IngestRunning, match="north label"), Spool.opened(folder, LAYOUT):
        pass
    with Spool.opened(folder, LAYOUT) as spool:
        assert spool.head is None


def test_clearing_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    with Spool.opened(tmp_path, LAYOUT) as spool:
        fill(begun(spool), 2)
        spool.clear()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]
        fill(begun(spool), 1)
        assert numbers(spool) == [0, 1]
