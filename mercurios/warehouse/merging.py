"""The SQL of a batch: what is merged, deleted and kept of a day. Names come from declared tables only.

number(find(batch, "staged", part, "found", address=None), part.values)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from string import Template

import pyarrow as pa

from mercurios.warehouse import (
    BATCH_ID,
    DELETED_AT,
    EXTRACTED_AT,
    KEY_HASH,
    ROW_HASH,
    SEQUENCE,
    Batch,
    Scope,
    Snapshot,
    TableSpec,
)


@dataclass(frozen=True)
class Part:
    """Some of a tenant's rows: a condition in which `$t` is the table, and the values to bind in it."""

    condition: str
    values: tuple[object, ...]

    def of(self, name: str) -> str:
        """The condition on a table or alias."""
        return Template(self.condition).substitute(t=name)


def whole(tenant_id: str) -> Part:
    """All rows of a tenant."""
    return Part("$t.tenant_id = ?", (tenant_id,))


def within(tenant_id: str, scope: Scope) -> Part:
    """The rows of a scope; one without a value in the scope's column is in no scope that has a bound."""
    bounds = [(sign, day.isoformat()) for sign, day in ((">=", scope.first), ("<", scope.until)) if day]
    conditions = [f"$t.{scope.column} {sign} cast(? as timestamp)" for sign, _ in bounds]
    return Part(" and ".join(["$t.tenant_id = ?", *conditions]), (tenant_id, *(day for _, day in bounds)))


def between(tenant_id: str, column: str, first: datetime | None, last: datetime | None) -> Part:
    """The rows from one moment to another, both included; none at all when there are no such moments."""
    moments = (moment and moment.isoformat() for moment in (first, last))
    return Part(
        f"$t.tenant_id = ? and $t.{column} between cast(? as timestamp) and cast(? as timestamp)", (tenant_id, *moments)
    )


PLACE, GIVES_WAY = "_place", "_gives_way"
FOUND = pa.schema([(PLACE, pa.int64()), (GIVES_WAY, pa.bool_())])
"""Columns, beside the place of arrival, of the table that `find` fills."""
SLICE_ROWS = 500_000
"""Staged rows that a statement joins at once: some 50 MB of keys."""


def slices(staged: str, rows: int, part: Part) -> Iterator[tuple[str, Part]]:
    """Staged rows, and a part, by the hash of their keys: so many slices that each can be joined in little memory.

    rows: number of the staged ones. One after the other the slices amount to the whole.
    """
    number = -(-rows // SLICE_ROWS)
    if number <= 1:
        yield staged, part
        return
    for place in range(number):
        mine = f"{KEY_HASH} % {number} in ({place}, {place - number})"  # a negative hash leaves a negative rest
        yield _SLICE.substitute(staged=staged, mine=mine), Part(f"{part.condition} and $t.{mine}", part.values)


def addressed(table: TableSpec, staged: str, address: str, tenant_id: str) -> Part:
    """The rows with the hash of a staged key, by their address: eight bytes a row are read, and of these few the rest.

    address: the engine's column that tells where a row lies.
    """
    condition = _ADDRESSED.safe_substitute(target=table.name, staged=staged, address=address, hash=KEY_HASH)
    return Part(condition, (tenant_id,))


_SLICE = Template("(select * from $staged where $mine)")
_ADDRESSED = Template("""
    $t.$address in (
        select h.$address from $target as h where h.tenant_id = ? and h.$hash in (select $hash from $staged)
    )
""")
_DISTINCT = Template("select count(distinct $hash) from $staged")
# Windows over all rows of a large batch cost more than the merge: only keys that come more than once are ranked.
_KEEP_NEWEST = Template("""
    delete from $whole where $seq in (
        select $seq
        from $staged
        where $hash in (select $hash from $staged group by $hash having count(*) > 1)
        qualify row_number() over (partition by $key order by $newest) > 1
    )
""")
_EXTENT = Template("""
    select count(*), count($column), min($column), max($column)
    from $target as t
    where $part and $hash in (select $hash from $staged)
""")
_FIND = Template("""
    insert into $found ($place, $seq, $way)
    select null, s.$seq, $gives_way
    from $target as t join $staged as s on $on
    where $part
""")
# What is met is read first: joined at once, DuckDB would read keys and hashes of the whole table.
_FIND_BY_ADDRESS = Template("""
    insert into $found ($place, $seq, $way)
    with met as materialized (select t.$address as place, $columns from $target as t where $part)
    select t.place, s.$seq, $gives_way
    from met as t join $staged as s on $on
""")
_DROP_FOUND = Template("""
    delete from $target using $staged as s
    where $part and $on and s.$seq in (select f.$seq from $found as f where f.$way)
""")
_DROP_FOUND_BY_ADDRESS = Template("delete from $target where $address in (select $place from $found where $way)")
_INSERT = Template("insert into $target ($columns) select $values from $staged as s")
_COUNT_KEPT = Template("select count(distinct $seq) from $found where not $way")
_COUNT_MET = Template("select count(distinct $seq) from $found")
_NOT_KEPT = Template(" where not exists (select 1 from $found as f where f.$seq = s.$seq and not f.$way)")
_GONE = """
    $part and $t.$deleted is null
        and not exists (select 1 from $staged as s where $on)
        and not exists (select 1 from $rejected as r where r.record_id = $t.id)
"""
_COUNT_GONE = Template("select count(*) from $target as t where $gone")
_DELETE_GONE = Template("""
    update $target
    set $deleted = cast(? as timestamp), $extracted = cast(? as timestamp), $batch = ?
    where $gone
""")
_COUNT_WRITTEN = Template("""
    select count(*) from $target
    where tenant_id = ? and $extracted = cast(? as timestamp) and $batch = ?
""")
_CLEAR_DAY = Template("delete from $target where tenant_id = ? and snapshot_on = cast(? as date)")
_TAKE_DAY = Template("""
    insert into $target ($columns, snapshot_on)
    select $columns, cast(? as date)
    from $source
    where tenant_id = ? and $deleted is null
    qualify row_number() over (partition by $key order by $newest) = 1
""")


def distinct_keys(staged: str) -> str:
    """Count the key hashes in a batch; as many as rows means that no key came twice."""
    return _DISTINCT.substitute(staged=staged, hash=KEY_HASH)


def keep_newest(batch: Batch, whole: str, staged: str) -> str:
    """Of rows, in a slice of the whole, with the same key keep the one changed last, of several such the latest."""
    return _KEEP_NEWEST.substitute(
        whole=whole,
        staged=staged,
        key=", ".join(_own_key(batch.table)),
        hash=KEY_HASH,
        seq=SEQUENCE,
        newest=_newest(batch, SEQUENCE),
    )


def extent(table: TableSpec, staged: str, column: str, part: Part) -> str:
    """Count rows with the hash of a staged key, and those of them with a moment; first and last of these moments.

    Reads eight bytes a row where a comparison of keys would read two texts.
    """
    return _EXTENT.substitute(target=table.name, staged=staged, column=column, part=part.of("t"), hash=KEY_HASH)


def find(batch: Batch, staged: str, part: Part, found: str, address: str | None) -> str:
    """Note which staged rows the part has, where, and whether the row there gives way to the staged one.

    A row gives way when it differs, or is dead and the staged one alive, or the other way round.
    """
    table, changed = batch.table, [batch.changed_column] if batch.changed_column else []
    differs = f"(t.{ROW_HASH} is distinct from s.{ROW_HASH} or (t.{DELETED_AT} is null) = {_is_dead(batch)})"
    columns = dict.fromkeys((*_own_key(table), *changed, ROW_HASH, DELETED_AT))
    return (_FIND_BY_ADDRESS if address else _FIND).substitute(
        found=found,
        place=PLACE,
        seq=SEQUENCE,
        way=GIVES_WAY,
        gives_way=f"{differs} and {_newer(batch)}",
        target=table.name,
        staged=staged,
        on=_same_key(table, "t"),
        part=part.of("t"),
        address=address,
        columns=", ".join(f"t.{column}" for column in columns),
    )


def drop_found(batch: Batch, staged: str, part: Part, found: str, address: str | None) -> str:
    """Drop the rows that were found to give way; parameters: the part's, where rows have no address."""
    table = batch.table
    return (_DROP_FOUND_BY_ADDRESS if address else _DROP_FOUND).substitute(
        target=table.name,
        staged=staged,
        part=part.of(table.name),
        on=_same_key(table, table.name),
        found=found,
        place=PLACE,
        seq=SEQUENCE,
        way=GIVES_WAY,
        address=address,
    )


def _newer(batch: Batch) -> str:
    """Whether a staged row may take the place of a row: of a dead one only when it was changed since."""
    if batch.is_newest or not (changed := batch.changed_column):
        return "1 = 1"
    alive, dead = f"s.{changed} >= t.{changed}", f"s.{changed} > t.{changed}"
    return f"coalesce(case when t.{DELETED_AT} is null then {alive} else {dead} end, 1 = 1)"


def count_kept(found: str) -> str:
    """Count the staged rows that are there as they are."""
    return _COUNT_KEPT.substitute(found=found, seq=SEQUENCE, way=GIVES_WAY)


def count_met(found: str) -> str:
    """Count the staged rows that were found; as many as were noted, unless the table has a key twice."""
    return _COUNT_MET.substitute(found=found, seq=SEQUENCE)


def insert(batch: Batch, staged: str, found: str | None) -> str:
    """Insert the staged rows, all or those that were not found as they are; parameters: tenant, batch, moment (twice).

    With `find` and `drop_found` before it a merge, and rows that are alike stay as they are. Several statements of one
    transaction rather than a MERGE, which the emulator cannot run in one; the joins read keys and hashes only. Rows lie
    in the order of their arrival: to sort a large batch takes as long as to insert it, and more memory than there may
    be, and the days of a scope are found in one column.
    """
    stamps = {
        "tenant_id": "?",
        BATCH_ID: "?",
        EXTRACTED_AT: "cast(? as timestamp)",
        DELETED_AT: f"case when {_is_dead(batch)} then cast(? as timestamp) end",
    }
    values = stamps | {name: f"s.{name}" for name in batch.table.columns.names if name not in stamps}
    columns = ", ".join(values.keys())
    statement = _INSERT.substitute(
        target=batch.table.name, columns=columns, values=", ".join(values.values()), staged=staged
    )
    return statement + _NOT_KEPT.substitute(found=found, seq=SEQUENCE, way=GIVES_WAY) if found else statement


def _is_dead(batch: Batch) -> str:
    """Whether the source marks a staged row as deleted."""
    return f"coalesce(s.{batch.deleted_column}, 1 = 0)" if batch.deleted_column else "(1 = 0)"


def _same_key(table: TableSpec, name: str) -> str:
    return " and ".join(f"{name}.{column} = s.{column}" for column in _own_key(table))


def _own_key(table: TableSpec) -> list[str]:
    """The key within a tenant, as all rows of a batch are one tenant's."""
    return [column for column in table.key if column != "tenant_id"]


def count_gone(table: TableSpec, staged: str, rejected: str, part: Part) -> str:
    """Count living rows of the part that are neither staged nor rejected."""
    return _COUNT_GONE.substitute(target=table.name, gone=_gone(table, "t", staged, rejected, part))


def delete_gone(table: TableSpec, staged: str, rejected: str, part: Part) -> str:
    """Mark living rows that are neither staged nor rejected; parameters: twice the moment, batch, then the part's."""
    return _DELETE_GONE.substitute(
        target=table.name,
        gone=_gone(table, table.name, staged, rejected, part),
        deleted=DELETED_AT,
        extracted=EXTRACTED_AT,
        batch=BATCH_ID,
    )


def count_written(table: TableSpec) -> str:
    """Count the rows of a batch; parameters: tenant, moment, batch. The moment lets the engine skip all older rows."""
    return _COUNT_WRITTEN.substitute(target=table.name, extracted=EXTRACTED_AT, batch=BATCH_ID)


def clear_day(snapshot: Snapshot) -> str:
    """Drop what a tenant has of a day; parameters: tenant, day."""
    return _CLEAR_DAY.substitute(target=snapshot.table.name)


def take_day(snapshot: Snapshot, batch: Batch) -> str:
    """Keep the living rows of a day, of several with the snapshot's key the newest; parameters: day, tenant."""
    return _TAKE_DAY.substitute(
        target=snapshot.table.name,
        source=batch.table.name,
        deleted=DELETED_AT,
        columns=", ".join(name for name in snapshot.table.columns.names if name != "snapshot_on"),
        key=", ".join(name for name in snapshot.table.key if name != "snapshot_on"),
        newest=_newest(batch, EXTRACTED_AT, *batch.table.key),
    )


def _newest(batch: Batch, *ties: str) -> str:
    changed = [f"{batch.changed_column} desc nulls last"] if batch.changed_column else []
    return ", ".join([*changed, *(f"{name} desc" for name in ties)])


def _gone(table: TableSpec, name: str, staged: str, rejected: str, part: Part) -> str:
    return Template(_GONE).substitute(
        t=name, part=part.of(name), on=_same_key(table, name), staged=staged, rejected=rejected, deleted=DELETED_AT
    )
