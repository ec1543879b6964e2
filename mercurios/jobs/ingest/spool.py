"""The spool: pages of a batch on disk, so that a read that is cut short goes on where it stopped.

    with Spool.opened(home / "spool" / "north" / "sale", layout(SALE, "files")) as spool:
        spool.begin(Head(...))
        spool.add(page, convert(SALE, page.records))
        load.stage(spool.rows())
        spool.clear()

Three files: sound rows as Arrow streams, rejected records as JSON lines, and a journal with one line a page. A page
counts once its line is in the journal; what the files hold beyond the journal's last line is cut off. No personal
field ever gets here: pages are checked first.
"""

import fcntl
import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import orjson
import polars as pl
import pyarrow as pa
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from mercurios.errors import IngestRunning
from mercurios.sources import Page, Window
from mercurios.sources.contracts import Contract
from mercurios.sources.conversion import Converted, Quarantined
from mercurios.sources.drift import Observed
from mercurios.warehouse import Rejected

_HEAD, _JOURNAL, _ROWS, _REJECTED, _LOCK = "head.json", "journal.jsonl", "rows.arrows", "rejected.jsonl", "lock"
_LINE = {"end", "origin", "mark", "newest_change", "read_at", "rows", "present", "unknown", "breaches"}
REJECTED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Head:
    """What a spool belongs to; `layout` is that of the contract its pages were checked with."""

    batch_id: str
    started_at: AwareDatetime
    window: Window
    layout: str


@dataclass(frozen=True)
class Mark:
    """How far the files have been filled: bytes of sound rows and of rejected records."""

    rows: int = 0
    rejected: int = 0


@dataclass
class Progress:
    """What the pages so far amount to.

    position: where the next page starts, None when the listing has ended. first_pass: what the first pass filled, once
    the second has begun. read_at: when the newest page was read.
    """

    position: int | None = 0
    first_pass: Mark | None = None
    pages: int = 0
    extracted: int = 0
    mark: Mark = Mark()
    newest_change: datetime | None = None
    read_at: datetime | None = None

    @property
    def is_second_pass(self) -> bool:
        """Whether the listing is read once more."""
        return self.first_pass is not None


class Spool:
    """One tenant's entity on disk. Holds a lock on its folder; ends with the block or the process."""

    def __init__(self, folder: Path, layout: str) -> None:
        self._folder = folder
        self.layout = layout
        self._files: dict[str, IO[bytes]] = {}
        self.head: Head | None = None
        self._reset()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, layout: str) -> "Iterator[Spool]":
        """Open the folder; `head` is then that of the batch that was left there, if it can be gone on with.

        Raises IngestRunning while another process has it open.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / _LOCK).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise IngestRunning(
                    f"another process reads {folder.parent.name} {folder.name}; wait until it ends and run again"
                ) from error
            spool = cls(folder, layout)
            spool._resume()
            try:
                yield spool
            finally:
                spool._close()

    def begin(self, head: Head) -> None:
        """Start a batch with nothing in it; what was there is dropped."""
        self.clear()
        self.head = head
        self._open()
        unfinished = self._folder / f"{_HEAD}.new"
        unfinished.write_bytes(orjson.dumps(asdict(head)))
        os.replace(unfinished, self._folder / _HEAD)

    @property
    def batch(self) -> Head:
        """What the spool belongs to, once begun."""
        if self.head is None:
            raise RuntimeError("the spool has not been begun")
        return self.head

    def add(self, page: Page, converted: Converted, *, newest_change: datetime | None, read_at: datetime) -> None:
        """Keep a page. newest_change: of its sound rows."""
        rows, rejected = self._files[_ROWS], self._files[_REJECTED]
        if converted.frame.height:
            rows.write(_stream(converted.frame))
        for record in converted.quarantined:
            rejected.write(orjson.dumps(asdict(_put_aside(page, record))) + b"\n")
        rows.flush()
        rejected.flush()
        line = {
            "end": page.end,
            "origin": page.origin,
            "mark": {"rows": rows.tell(), "rejected": rejected.tell()},
            "newest_change": newest_change,
            "read_at": read_at,
            "rows": converted.rows,
            "present": sorted(converted.present),
            "unknown": dict(converted.unknown),
            "breaches": dict(converted.breaches),
        }
        self._enter(line)

    def begin_second_pass(self) -> None:
        """Read the listing once more; its pages are added to those of the first."""
        self._enter({"second_pass": True})

    def rows(self, since: Mark = Mark()) -> Iterator[pa.Table]:
        """Sound rows page by page."""
        if since.rows == self.progress.mark.rows:
            return
        with pa.OSFile(str(self._folder / _ROWS)) as file:
            file.seek(since.rows)
            while file.tell() < self.progress.mark.rows:
                with pa.ipc.open_stream(file) as reader:
                    yield reader.read_all()

    def rejected(self, since: Mark = Mark()) -> Iterator[list[Rejected]]:
        """Rejected records in groups.

        What the first pass rejected and the second met again is one record: it is left out and counted in `repeated`.
        """
        if since.rejected == self.progress.mark.rejected:
            return
        first_pass = (self.progress.first_pass or self.progress.mark).rejected
        met: Counter[bytes] = Counter()
        group: list[Rejected] = []
        place = 0
        with (self._folder / _REJECTED).open("rb") as file:
            for line in file:
                is_new = place < first_pass or not met[line]
                met[line] += 1 if place < first_pass else -1 if met[line] else 0
                if place >= since.rejected and is_new:
                    group.append(_rejected(orjson.loads(line)))
                self.repeated += place >= since.rejected and not is_new
                place += len(line)
                if len(group) == REJECTED_AT_ONCE:
                    yield group
                    group = []
        if group:
            yield group

    def clear(self) -> None:
        """Drop the batch: it is in the warehouse, or cannot be gone on with."""
        self._close()
        for name in (_HEAD, _JOURNAL, _ROWS, _REJECTED):  # the head first: without it the rest is nothing
            (self._folder / name).unlink(missing_ok=True)
        self.head = None
        self._reset()

    def _reset(self) -> None:
        self.progress = Progress()
        self.repeated = 0
        self.observed = Observed()
        self.origins: set[str] = set()

    def _enter(self, line: dict[str, Any]) -> None:
        journal = self._files[_JOURNAL]
        journal.write(orjson.dumps(line) + b"\n")
        journal.flush()
        self._follow(orjson.loads(orjson.dumps(line)))

    def _follow(self, line: dict[str, Any]) -> None:
        """Take one journal line into account, alike when it is written and when it is read again."""
        if "second_pass" in line:
            self.progress.position, self.progress.first_pass = 0, self.progress.mark
            return
        progress = self.progress
        progress.position = line["end"]
        progress.pages += 1
        progress.extracted += line["rows"]
        progress.mark = Mark(**line["mark"])
        progress.read_at = datetime.fromisoformat(line["read_at"])
        if newest := line["newest_change"]:
            changes = [datetime.fromisoformat(newest), progress.newest_change or datetime.min]
            progress.newest_change = max(changes)
        if line["origin"]:
            self.origins.add(line["origin"])
        self.observed.add(
            Converted(
                pl.DataFrame(),
                (),
                present=frozenset(line["present"]),
                unknown=line["unknown"],
                breaches=line["breaches"],
                rows=line["rows"],
            )
        )

    def _resume(self) -> None:
        head = _head(self._folder / _HEAD)
        if head is None or head.layout != self.layout:
            self.clear()
            return
        self.head = head
        self._open()
        journal = self._files[_JOURNAL]
        journal.seek(0)
        whole = 0
        for line in journal:
            entry = _read(line) if line.endswith(b"\n") else None
            if entry is None or not ("second_pass" in entry or entry.keys() >= _LINE):
                break
            self._follow(entry)
            whole += len(line)
        ends = {_JOURNAL: whole, _ROWS: self.progress.mark.rows, _REJECTED: self.progress.mark.rejected}
        if any(os.path.getsize(self._folder / name) < end for name, end in ends.items()):
            self.clear()  # a machine that lost power may have kept the journal and lost the rows
            return
        for name, end in ends.items():
            self._files[name].truncate(end)
            self._files[name].seek(end)

    def _open(self) -> None:
        for name in (_JOURNAL, _ROWS, _REJECTED):
            path = self._folder / name
            path.touch(mode=0o600)
            self._files[name] = path.open("r+b")

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


def layout(contract: Contract, source: str) -> str:
    """A digest of where pages come from and what they are checked against; other pages cannot be gone on with."""
    return blake2b(repr((source, _shape(contract))).encode(), digest_size=16).hexdigest()


def _shape(contract: Contract) -> tuple[object, ...]:
    kept = [(each.name, each.kind.value, each.is_nullable, each.of and _shape(each.of)) for each in contract.kept]
    return contract.entity, kept, sorted(contract.personal), contract.on_drift.value


def _stream(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_ipc_stream(target)  # lz4 would cost more in packing and unpacking than it saves in writing
    return target.getvalue()


def _read(line: bytes) -> dict[str, Any] | None:
    """A JSON object, None for what is none: a machine that lost power may leave anything."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None


def _head(path: Path) -> Head | None:
    raw = _read(path.read_bytes()) if path.is_file() else None
    try:
        return TypeAdapter(Head).validate_python(raw) if raw else None
    except ValidationError:
        return None


def _put_aside(page: Page, record: Quarantined) -> Rejected:
    name = page.origin and page.origin.rpartition(" sha256:")[0]
    origin = f"{name} row {page.rows[record.place]}" if name and page.rows else None
    return Rejected(record.record, record.reasons, record.record_id, record.day, origin)


def _rejected(raw: dict[str, Any]) -> Rejected:
    day = date.fromisoformat(raw["day"]) if raw["day"] else None
    return Rejected(raw["record"], tuple(raw["reasons"]), raw["record_id"], day, raw.get("origin"))
