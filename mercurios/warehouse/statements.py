"""The SQL that every warehouse understands. Table and column names come from declared tables only, values are bound.

merge(SALES, "staged_sale")
"""

from string import Template

from mercurios.warehouse import BATCHES, ROW_HASH, SEQUENCE, Snapshot, TableSpec


def create_table(table: TableSpec, types: dict[str, str]) -> str:
    """Create a declared table where it is missing; `types` gives the dialect's type of every column."""
    columns = [f"{f.name} {types[f.name]}{'' if f.nullable else ' not null'}" for f in table.columns]
    return f"create table if not exists {table.name} ({', '.join(columns)})"


def create_staged(name: str, table: TableSpec, types: dict[str, str]) -> str:
    """Create an empty table of this connection that takes a batch's rows in the order of their arrival."""
    columns = [f"{column} {types[column]}" for column in table.columns.names]
    return f"create or replace temporary table {name} ({', '.join(columns)}, {SEQUENCE} bigint)"


_DISTINCT = Template("select count(*) from (select distinct $key from $staged) as keys")
_KEEP_LAST = Template("delete from $staged where $seq not in (select max($seq) from $staged group by $key)")
_CHANGES = Template("""
    select
        count(case when t.$hash is null then 1 end) as inserted,
        count(case when t.$hash <> s.$hash then 1 end) as updated
    from $staged as s
    left join $target as t on $on
""")
_DROP_CHANGED = Template("delete from $target using $staged as s where $on and $target.$hash <> s.$hash")
_INSERT_MISSING = Template("""
    insert into $target ($columns)
    select $values
    from $staged as s
    where not exists (select 1 from $target as t where $on)
""")
_CLEAR_DAY = Template("delete from $target where tenant_id = ? and snapshot_on = cast(? as date)")
_TAKE_DAY = Template("""
    insert into $target ($columns, snapshot_on)
    select $columns, cast(? as date)
    from $staged
    where not $unless
    qualify row_number() over (partition by $key order by $seq desc) = 1
""")
_ACCOUNT = Template("insert into $target ($columns) select $values")
_COPY = Template("insert into $target ($columns) select $columns from $staged")
_EVERYTHING = Template("select * from $target")
_COUNT = Template("select count(*) from $target")
_CLEAR_TENANT = Template("delete from $target where tenant_id = ?")


def distinct_keys(table: TableSpec, staged: str) -> str:
    """Count the keys in a batch."""
    return _DISTINCT.substitute(staged=staged, key=", ".join(table.key))


def keep_last(table: TableSpec, staged: str) -> str:
    """Of rows with the same key keep the one that came last."""
    return _KEEP_LAST.substitute(staged=staged, key=", ".join(table.key), seq=SEQUENCE)


def changes(table: TableSpec, staged: str) -> str:
    """Count what a merge will insert and update."""
    return _CHANGES.substitute(target=table.name, staged=staged, on=_on(table), hash=ROW_HASH)


def merge(table: TableSpec, staged: str) -> tuple[str, str]:
    """Drop rows whose hash differs and insert what is then missing; rows that are alike stay as they are.

    Two statements of one transaction rather than a MERGE, which the emulator cannot run in one.
    """
    drop = _DROP_CHANGED.substitute(target=table.name, staged=staged, on=_on(table, table.name), hash=ROW_HASH)
    names = table.columns.names
    insert = _INSERT_MISSING.substitute(
        target=table.name,
        staged=staged,
        on=_on(table),
        columns=", ".join(names),
        values=", ".join(f"s.{name}" for name in names),
    )
    return drop, insert


def clear_day(snapshot: Snapshot) -> str:
    """Drop what a tenant has of a day; parameters: tenant, day."""
    return _CLEAR_DAY.substitute(target=snapshot.table.name)


def take_day(snapshot: Snapshot, staged: str) -> str:
    """Keep a day's state; parameter: day."""
    return _TAKE_DAY.substitute(
        target=snapshot.table.name,
        staged=staged,
        unless=snapshot.unless,
        seq=SEQUENCE,
        columns=", ".join(name for name in snapshot.table.columns.names if name != "snapshot_on"),
        key=", ".join(name for name in snapshot.table.key if name != "snapshot_on"),
    )


def account() -> str:
    """Store a batch; parameters in the order of the columns of ops.batches."""
    moments = {"started_at", "finished_at"}
    values = ("cast(? as timestamp)" if name in moments else "?" for name in BATCHES.columns.names)
    return _ACCOUNT.substitute(target=BATCHES.name, columns=", ".join(BATCHES.columns.names), values=", ".join(values))


def copy_rows(table: TableSpec, staged: str) -> str:
    """Append all rows of a staged table."""
    return _COPY.substitute(target=table.name, staged=staged, columns=", ".join(table.columns.names))


def everything(table: str) -> str:
    """All rows of a table."""
    return _EVERYTHING.substitute(target=table)


def count(table: str, *columns: str) -> str:
    """Count rows; parameters: one value for each of the columns."""
    conditions = " and ".join(f"{column} = ?" for column in columns)
    return _COUNT.substitute(target=table) + (f" where {conditions}" if conditions else "")


def clear_tenant(table: TableSpec) -> str:
    """Drop all a table has of a tenant; parameter: tenant."""
    return _CLEAR_TENANT.substitute(target=table.name)


def _on(table: TableSpec, target: str = "t") -> str:
    return " and ".join(f"{target}.{name} = s.{name}" for name in table.key)
