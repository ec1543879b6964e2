"""The journal: appended, never lost, never twice, of one tenant each; from many processes at once."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mercurios.config import ROOT, child_environment
from mercurios.errors import BadRequest, ConfigError, JournalError, JournalFull
from mercurios.journal import Journals, Told


def decision(about: str, units: float, **more: str) -> Told:
    return Told("decision", about, {"units": units}, **more)


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals.open(f"sqlite:///{tmp_path}/deep/journal.db")


def test_the_newest_about_a_thing_counts_and_all_are_kept(journals: Journals) -> None:
    north = journals.of("north")
    first, _ = north.add(decision("bread", 1, role="buyer", subject="5b1c"))
    north.add(decision("milk", 7))
    second, is_new = north.add(decision("bread", 2))
    assert is_new
    assert north.newest("decision", ["bread", "eggs"]) == {"bread": second}
    assert [note.body["units"] for note in north.pending(10)] == [1, 7, 2]
    assert north.pending(1) == [first]
    assert (first.role, first.subject, first.at.utcoffset() is not None) == ("buyer", "5b1c", True)


def test_the_same_again_is_the_same_note(journals: Journals) -> None:
    north = journals.of("north")
    first, again = north.add(decision("bread", 1)), north.add(decision("bread", 1))
    assert (first[0], first[1], again) == (again[0], True, (first[0], False))
    north.add(decision("bread", 2))
    assert north.add(decision("bread", 1))[1], "it was changed in between"
    keyed = north.add(decision("milk", 1, key="k"))[0]
    north.add(decision("milk", 2, key="k2"))
    assert north.add(decision("milk", 1, key="k")) == (keyed, False)
    with pytest.raises(BadRequest, match="the key 'k' stands for another decision already"):
        north.add(decision("milk", 3, key="k"))
    with pytest.raises(BadRequest, match="the key 'k' stands"):
        north.add(decision("eggs", 1, key="k"))


def test_a_tenant_sees_and_forgets_its_own(journals: Journals) -> None:
    north, south = journals.of("north"), journals.of("south")
    north.add(decision("bread", 1, key="k"))
    south.add(decision("bread", 2, key="k"))
    south.carried(99)
    assert [note.body["units"] for note in north.pending(10)] == [1]
    assert south.newest("decision", ["bread"])["bread"].body == {"units": 2}
    assert north.forget() == 1
    assert north.newest("decision", ["bread"]) == {}
    assert south.newest("decision", ["bread"])


def test_nothing_is_there_before_something_was_told(journals: Journals, tmp_path: Path) -> None:
    north = journals.of("north")
    assert (north.pending(1), north.newest("decision", ["bread"]), north.forget()) == ([], {}, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_carried_makes_room_and_nothing_else_goes(tmp_path: Path) -> None:
    north = Journals(tmp_path / "journal.db", capacity=3).of("north")
    notes = [north.add(decision(str(number), number))[0] for number in range(3)]
    with pytest.raises(JournalFull, match=r"3 notes wait .* have the flow `feedback` run"):
        north.add(decision("3", 3))
    assert north.pending(10) == notes
    north.carried(notes[0].number)
    north.carried(0)  # never back
    assert north.pending(10) == notes[1:]
    north.add(decision("3", 3))
    assert [note.about for note in north.pending(10)] == ["1", "2", "3"]
    assert north.newest("decision", ["0"]) == {}


def test_a_note_may_not_be_long(journals: Journals) -> None:
    with pytest.raises(BadRequest, match=r"rating of 5,0.* expected at most 4,000"):
        journals.of("north").add(Told("rating", "a", {"comment": "x" * 5_000}))


def test_many_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mercurios.journal import Journals, Told\n"
        f"north = Journals.open('sqlite:///{tmp_path}/journal.db').of('north')\n"
        "for n in range(40):\n"
        "    north.add(Told('event', 'shared', {'n': n}, key=f'shared-{n}'))\n"
        "    north.add(Told('event', 'own', {'n': n}, key=f'{sys.argv[1]}-{n}'))\n"
    )
    command = [sys.executable, "-c", code]
    environment = child_environment(PYTHONPATH=str(ROOT))
    with ThreadPoolExecutor(4) as threads:
        done = list(
            threads.map(
                lambda name: subprocess.run(
                    [*command, name], env=environment, capture_output=True, text=True, check=False
                ),
                "abcd",
            )
        )
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 4
    notes = Journals.open(f"sqlite:///{tmp_path}/journal.db").of("north").pending(1_000)
    assert len(notes) == len({note.key for note in notes}) == 40 + 4 * 40


def test_a_file_that_is_none_of_ours_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("this is not a database" * 100)
    north = Journals.open(f"sqlite:///{path}").of("north")
    with pytest.raises(JournalError, match="cannot be used for now, nothing was kept"):
        north.add(decision("bread", 1))
    (tmp_path / "file").touch()
    with pytest.raises(JournalError):
        Journals.open(f"sqlite:///{tmp_path}/file/journal.db").of("north").add(decision("bread", 1))


def test_a_lock_held_by_another_is_waited_for_and_then_told(
    journals: Journals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = journals.of("north")
    north.add(decision("bread", 1))
    monkeypatch.setattr("mercurios.journal._WAIT_SECONDS", 0.05)
    other = sqlite3.connect(tmp_path / "deep" / "journal.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(JournalError):
        north.add(decision("bread", 2))
    assert north.newest("decision", ["bread"])["bread"].body == {"units": 1}, "readers do not wait"
    other.execute("rollback")
    other.close()
    north.add(decision("bread", 2))


@pytest.mark.parametrize("url", ["", "sqlite:///", "redis://x/0", "/tmp/journal.db", "sqlite://journal.db"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///var/journal\.db"):
        Journals.open(url)
