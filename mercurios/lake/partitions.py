"""Partitions: a tenant's rows of a table, and of the large ones a month of them; what each holds, and what changed.

    day_column("fct_sale_lines")     # "sold_on"
    changes = compare(before, after)

The contents of a table are a frame with one row per partition: tenant_id, month (its first day; null where the table
is not cut by month, and for rows without a day), rows, and a fingerprint that is equal where the rows are.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mercurios.errors import LakeError
from mercurios.tables import TABLES
from mercurios.tenancy.reading import TENANT_ID

CONTENTS = pa.schema(
    [
        pa.field("tenant_id", pa.string(), nullable=False),
        pa.field("month", pa.date32()),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
    ]
)


class Partition(NamedTuple):
    """The key of a partition; `month` is its first day."""

    tenant_id: str
    month: date | None


@dataclass(frozen=True)
class TableReport:
    """What came of one table: rows of all it holds; partitions written, kept and dropped; bytes written."""

    name: str
    rows: int
    written: int = 0
    kept: int = 0
    dropped: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Source:
    """A table's rows where they are now: what it holds by partition, and how to read some of the partitions.

    contents: one row per partition, see CONTENTS. read: gets the rows of `contents` to be read, and yields their rows,
    a partition after the other. unload: gets a folder's path below the lake's and a name, and has their files written
    into FOLDER/tenant_id=TENANT/NAME without the rows coming here; False where that cannot be done. told: gets the
    report once all is written.
    """

    contents: pa.Table
    read: Callable[[pa.Table], Iterable[pa.RecordBatch]]
    unload: Callable[[pa.Table, str, str], bool] = lambda *_: False
    told: Callable[[TableReport], object] = lambda _: None


@dataclass(frozen=True)
class Changes:
    """What to do to a table: partitions to write, to leave as they are, and to drop because they are no more."""

    written: frozenset[Partition]
    kept: frozenset[Partition]
    dropped: frozenset[Partition]

    @property
    def is_nothing(self) -> bool:
        """Whether the table is as it was."""
        return not (self.written or self.dropped)


def day_column(name: str) -> str | None:
    """The day by whose month a table is cut: of a fact or mart that has a single one; the others are cut by tenant."""
    days = [field.name for field in TABLES[name].schema if field.type == pa.date32()]
    return days[0] if name.startswith(("fct_", "mart_")) and len(days) == 1 else None


def partitions(contents: pa.Table) -> dict[Partition, tuple[int, str]]:
    """Rows and fingerprint by partition; raises LakeError when one comes twice or has no tenant of that name."""
    rows = contents.to_pylist()
    found = {Partition(row["tenant_id"], row["month"]): (row["rows"], row["fingerprint"]) for row in rows}
    if len(found) < contents.num_rows or any(partition.tenant_id is None for partition in found):
        raise LakeError("a partition comes twice, or rows have no tenant_id; the marts break their keys")
    check_tenants(partition.tenant_id for partition in found)
    return found


def check_tenants(ids: Iterable[str]) -> None:
    """Raise LakeError where an id is none: it becomes a folder, and policies open folders by name."""
    if wrong := sorted({repr(found[:40]) for found in ids if not TENANT_ID.fullmatch(found)}):
        raise LakeError(
            f"expected ids of tenants (up to 32 lower case letters, digits and _), got {', '.join(wrong[:5])}; "
            "nothing is published; take these rows out of the warehouse (`mercurios tenant list` shows who is set up)"
        )


def compare(before: pa.Table | None, after: pa.Table) -> Changes:
    """Tell what changed from one state to the next; `before` is None when what is there is not known."""
    wanted, known = partitions(after), {} if before is None else partitions(before)
    kept = frozenset(partition for partition, what in wanted.items() if known.get(partition) == what)
    return Changes(frozenset(wanted) - kept, kept, frozenset(known) - frozenset(wanted))


def chosen(contents: pa.Table, wanted: frozenset[Partition]) -> pa.Table:
    """The rows of `contents` that are of these partitions, ordered by tenant and month."""
    mask = pa.array([partition in wanted for partition in partitions(contents)], pa.bool_())
    return contents.filter(mask).sort_by([("tenant_id", "ascending"), ("month", "ascending")])


def runs(batch: pa.RecordBatch, day: str | None) -> Iterator[tuple[Partition, pa.RecordBatch]]:
    """Cut a batch where its partition changes."""
    months = [pc.cast(pc.floor_temporal(batch[day], unit="month"), pa.date32())] if day else []
    keys = [np.asarray(column.dictionary_encode("encode").indices) for column in (batch["tenant_id"], *months)]
    changed = [np.flatnonzero(np.diff(key)) + 1 for key in keys]
    edges = np.unique(np.concatenate([[0, batch.num_rows], *changed])).tolist()
    for first, until in itertools.pairwise(edges):
        month = months[0][first].as_py() if months else None
        yield Partition(batch["tenant_id"][first].as_py(), month), batch.slice(first, until - first)


def ordered(rows: pa.Table, day: str | None) -> pa.Table:
    """The rows, a partition after the other."""
    return rows.sort_by([(name, "ascending") for name in ("tenant_id", day) if name])
