"""Whether the contenders of the ingest benchmark loaded the same: every row, every column.

differences(mercurios.duckdb, dlt.duckdb, {"north": {"sale": 814877}}, contracts)
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

from mercurios.sources.contracts import Contract, Kind

Rows = Mapping[str, Mapping[str, int]]


def differences(ours: Path, theirs: Path, rows: Rows, contracts: Mapping[str, Contract]) -> list[str]:
    """What is not alike, as texts; `rows` says how many each entity of each tenant must have."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{ours}' as mercurios (read_only)")
        connection.execute(f"attach '{theirs}' as dlt (read_only)")
        return [
            difference
            for tenant, entities in rows.items()
            for entity, count in entities.items()
            for difference in _compared(connection, tenant, contracts[entity], count)
        ]


def _compared(connection: duckdb.DuckDBPyConnection, tenant: str, contract: Contract, count: int) -> Iterator[str]:
    where = f"{tenant} {contract.entity}"
    ours = connection.table(f"mercurios.raw.prohandel_{contract.entity}").filter(f"tenant_id = '{tenant}'")
    relations = {"mercurios": ours, "dlt": connection.table(f"dlt.{tenant}.{contract.entity}")}
    found = {name: _digests(relation, contract) for name, relation in relations.items()}
    for name, values in found.items():
        if values[0] != count:
            yield f"{where}: {name} has {values[0]:,} rows, the source {count:,}"
    names = [field.column for field in contract.kept]
    for column, left, right in zip(names, found["mercurios"][1:], found["dlt"][1:], strict=True):
        if left != right:
            yield f"{where}.{column}: mercurios {left}, dlt {right}"


def _digests(relation: duckdb.DuckDBPyRelation, contract: Contract) -> tuple[object, ...]:
    """Rows, and for each column one number that depends on all values and on whose they are; sums in cents first."""
    stored = {name.replace("_", ""): name for name in relation.columns}  # glN1 is gln1 here and gl_n1 there
    wanted = ["count(*)"]
    for field in contract.kept:
        column = stored[field.column.replace("_", "")]
        cents = f"sum(cast(round({column} * 100) as hugeint))" if field.kind is Kind.NUMBER else "null"
        wanted.append(f"[{cents}, sum(cast(hash(id, {column}) as hugeint))]")  # their xor would not tell whose is whose
    return relation.aggregate(", ".join(wanted)).fetchall()[0]
