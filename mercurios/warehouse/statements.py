"""The SQL that every warehouse understands: tables. Names come from declared tables only, values are bound.

create_table(SALES, {"id": "varchar", ...}, tenant_policy="")
"""

from string import Template

from mercurios.warehouse import BATCHES, KEY_HASH, SEQUENCE, TableSpec


def create_table(table: TableSpec, types: dict[str, str], tenant_policy: str) -> str:
    """Create a declared table where it is missing; `types` gives the dialect's type of every column.

    tenant_policy: follows the columns of a table that has tenants' rows.
    """
    columns = [f"{f.name} {types[f.name]}{'' if f.nullable else ' not null'}" for f in table.columns]
    policy = f" {tenant_policy}" if tenant_policy and "tenant_id" in table.columns.names else ""
    return f"create table if not exists {table.name} ({', '.join(columns)}){policy}"


def create_staged(name: str, types: dict[str, str]) -> str:
    """Create an empty table of this connection that takes rows in the order of their arrival."""
    columns = [f"{column} {kind}" for column, kind in types.items()] + [f"{SEQUENCE} bigint"]
    return f"create or replace temporary table {name} ({', '.join(columns)})"


_DROP = Template("drop table if exists $target")
_ADD_COLUMN = Template("alter table $target add column $column $type")
_COLUMNS = Template("""
    select lower(table_schema) || '.' || lower(table_name), lower(column_name), lower(data_type)
    from information_schema.columns
    where table_catalog = current_database() and lower(table_schema) in ($marks)
""")
_TABLES = """
    select lower(table_name)
    from information_schema.tables
    where table_catalog = current_database() and lower(table_schema) = ? and table_type = 'BASE TABLE'
"""
_SCHEMAS = "select lower(schema_name) from information_schema.schemata where catalog_name = current_database()"
_EVERYTHING = Template("select * from $target")
_COUNT = Template("select count(*) from $target")
_COUNT_OF_TENANT = Template("select count(*) from $target where tenant_id = ?")
_HAS_ROWS = Template("select count(*) from (select 1 from $target where tenant_id = ? limit 1) as first_one")
_OF_TENANT = Template("select $columns from $target where tenant_id = ?")
_CLEAR_TENANT = Template("delete from $target where tenant_id = ?")
_COPY = Template("insert into $target ($columns) select $columns from $staged")
_DROP_SAME = Template("delete from $target using $staged as s where $on")
_ADD = Template("""
    insert into $target ($columns)
    select $columns from $staged as s where not exists (select 1 from $target where $on)
""")
_ACCOUNT = Template("insert into $target ($columns) select $values")
_UNHASHED = Template("select count(*) as unhashed from $target where $hash is null")
_KEYS = Template("select distinct $key from $target where $hash is null limit $limit")
_HASH_KEYS = Template("update $target set $hash = s.$hash from $staged as s where $on")


def drop(name: str) -> str:
    """Drop a table of this connection, if it is there."""
    return _DROP.substitute(target=name)


def add_column(table: TableSpec, column: str, kind: str) -> str:
    """Add a column, null in all rows."""
    return _ADD_COLUMN.substitute(target=table.name, column=column, type=kind)


def columns(schemas: int) -> str:
    """Table, column and type of all columns of some schemas; parameters: the schemas."""
    return _COLUMNS.substitute(marks=", ".join("?" * schemas))


def tables() -> str:
    """Names of the tables in a schema; parameter: schema."""
    return _TABLES


def schemas() -> str:
    """Names of all schemas."""
    return _SCHEMAS


def everything(table: str) -> str:
    """All rows of a table."""
    return _EVERYTHING.substitute(target=table)


def of_tenant(table: TableSpec) -> str:
    """All rows of a tenant; parameter: tenant."""
    return _OF_TENANT.substitute(target=table.name, columns=", ".join(table.columns.names))


def count(table: str) -> str:
    """Count rows."""
    return _COUNT.substitute(target=table)


def count_of_tenant(table: str) -> str:
    """Count the rows of a tenant; parameter: tenant."""
    return _COUNT_OF_TENANT.substitute(target=table)


def has_rows(table: TableSpec) -> str:
    """1 when a tenant has any row, else 0; parameter: tenant."""
    return _HAS_ROWS.substitute(target=table.name)


def clear_tenant(table: str) -> str:
    """Drop all a table has of a tenant; parameter: tenant."""
    return _CLEAR_TENANT.substitute(target=table)


def replace_rows(table: TableSpec, staged: str) -> tuple[str, str]:
    """Drop the rows whose key is among the staged ones, then append those."""
    drop = _DROP_SAME.substitute(target=table.name, staged=staged, on=_same_key(table))
    return drop, _COPY.substitute(target=table.name, staged=staged, columns=", ".join(table.columns.names))


def add_rows(table: TableSpec, staged: str) -> str:
    """Append the staged rows whose key is not there."""
    names = ", ".join(table.columns.names)
    return _ADD.substitute(target=table.name, staged=staged, columns=names, on=_same_key(table))


def account() -> str:
    """Store a batch; parameters in the order of the columns of ops.batches."""
    moments = {"started_at", "finished_at"}
    values = ("cast(? as timestamp)" if name in moments else "?" for name in BATCHES.columns.names)
    return _ACCOUNT.substitute(target=BATCHES.name, columns=", ".join(BATCHES.columns.names), values=", ".join(values))


def unhashed(table: TableSpec) -> str:
    """Count rows of before keys were hashed."""
    return _UNHASHED.substitute(target=table.name, hash=KEY_HASH)


def keys(table: TableSpec, limit: int) -> str:
    """Some keys that are not hashed yet."""
    return _KEYS.substitute(target=table.name, hash=KEY_HASH, key=", ".join(table.key), limit=limit)


def hash_keys(table: TableSpec, staged: str) -> str:
    """Store the staged hashes."""
    return _HASH_KEYS.substitute(target=table.name, staged=staged, hash=KEY_HASH, on=_same_key(table))


def _same_key(table: TableSpec) -> str:
    """Condition that a row of the table and one of the staged table `s` have the same key."""
    return " and ".join(f"{table.name}.{name} = s.{name}" for name in table.key)
