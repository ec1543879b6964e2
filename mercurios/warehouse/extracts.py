"""The SQL by which rows leave a warehouse: fingerprints of partitions, and the rows of some of them.

    fingerprints(Extract("marts.fct_sale_lines", TABLES["fct_sale_lines"].schema, day="sold_on"))

A partition is a tenant's rows, or with a day column a month of them.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from string import Template

import pyarrow as pa

from mercurios.errors import WarehouseError
from mercurios.warehouse import Extract

# Each row is hashed twice: an engine combines the hashes of columns by xor, so that a sum may not see two rows exchange
# a value. The sum does not depend on an order and, unlike xor, sees a row that is there twice.
_FINGERPRINTS = Template("""
    with rows_hashed as (
        select tenant_id, $month as month, hash(hash($columns)) as row_hash
        from $table
    )

    select tenant_id, month, count(*) as row_count, cast(sum(row_hash) as varchar) as fingerprint
    from rows_hashed
    group by tenant_id, month
""")
_FOLDER = re.compile(r"[@\w./=-]+")
_ROWS = Template("select $columns from $table where $condition")
_UNLOAD = Template("""
    copy into $folder
    from (select $values from $table where $condition)
    partition by ('tenant_id=' || "tenant_id" || '/$name/' || $month)
    file_format = (type = parquet)
    header = true
    max_file_size = 268435456
""")


def fingerprints(extract: Extract) -> str:
    """Partition, number of rows and an order-independent hash of their columns, for every partition."""
    month = f"cast(date_trunc('month', {extract.day}) as date)" if extract.day else "cast(null as date)"
    return _FINGERPRINTS.substitute(month=month, columns=", ".join(extract.columns.names), table=extract.table)


def rows(extract: Extract, partitions: pa.Table) -> tuple[str, list[object]]:
    """The rows of some partitions, one after the other, and the parameters to bind."""
    condition, parameters = _among(extract, partitions)
    statement = _ROWS.substitute(columns=", ".join(extract.columns.names), table=extract.table, condition=condition)
    if partitions.num_rows > 1:  # a sort keeps all rows of a query in the engine's memory
        statement += " order by " + ", ".join(name for name in ("tenant_id", extract.day) if name)
    return statement, parameters


@dataclass(frozen=True)
class Target:
    """Where files are unloaded to: a tenant's in `folder`, a place of a stage, at tenant_id=TENANT/NAME.

    types: what a column is cast to, by the type that it is to have in the file.
    """

    folder: str
    name: str
    types: Mapping[pa.DataType, str]

    def __post_init__(self) -> None:
        if not _FOLDER.fullmatch(self.folder) or not _FOLDER.fullmatch(self.name):
            raise WarehouseError(f"expected a plain path to unload to, got {self.folder[:80]!r} and {self.name[:80]!r}")


def unload(extract: Extract, partitions: pa.Table, target: Target) -> tuple[str, list[object]]:
    """Snowflake: write the rows of some partitions as Parquet files, each of one partition."""
    condition, parameters = _among(extract, partitions)
    values = [f'cast({field.name} as {target.types[field.type]}) as "{field.name}"' for field in extract.columns]
    statement = _UNLOAD.substitute(
        folder=target.folder,
        name=target.name,
        values=", ".join(values),
        table=extract.table,
        condition=condition,
        month=f"coalesce(to_char(\"{extract.day}\", 'YYYY-MM'), 'none')" if extract.day else "'all'",
    )
    return statement, parameters


def _among(extract: Extract, partitions: pa.Table) -> tuple[str, list[object]]:
    keys = zip(partitions["tenant_id"].to_pylist(), partitions["month"].to_pylist(), strict=True)
    conditions, parameters = zip(*(_condition(extract, *key) for key in keys), strict=True)
    return " or ".join(conditions), [value for values in parameters for value in values]


def _condition(extract: Extract, tenant_id: str, month: date | None) -> tuple[str, tuple[object, ...]]:
    if extract.day is None:
        return "tenant_id = ?", (tenant_id,)
    if month is None:
        return f"(tenant_id = ? and {extract.day} is null)", (tenant_id,)
    last = month.replace(day=monthrange(month.year, month.month)[1])
    return f"(tenant_id = ? and {extract.day} between ? and ?)", (tenant_id, month, last)
