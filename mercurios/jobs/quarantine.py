"""Quarantine: look at the records that broke their contract, and take them in once the contract is mended.

    for held in quarantined(warehouse, "north"): print(held.entity, held.record_id, held.reasons)
    replay(warehouse, "north", as_of)

A record is open until a later batch loads it, brings it in another form, or finds it gone at its source.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from mercurios.errors import BadRequest
from mercurios.jobs.ingest.tables import ENTITY_TABLES, INGEST_TABLES
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.conversion import convert
from mercurios.warehouse import QUARANTINE, Batch, Counts, Rejected, Warehouse

NUMBER_LENGTH = 12
"""So many characters of a record's hash are enough to name it."""


@dataclass(frozen=True)
class Held:
    """One quarantined record; `number` names it, times are UTC. `resolved_by` is the batch that closed it."""

    number: str
    entity: str
    record_id: str | None
    reasons: tuple[str, ...]
    batch_id: str
    quarantined_at: datetime
    last_batch_id: str
    last_seen_at: datetime
    resolved_by: str | None
    record: str = field(repr=False)

    def told(self) -> dict[str, object]:
        """All but the payload, for JSON."""
        told = {name: value for name, value in asdict(self).items() if name != "record"}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


@dataclass(frozen=True)
class Replayed:
    """One entity's replay; counts add up as in `mercurios.warehouse.Counts`."""

    entity: str
    batch_id: str
    counts: Counts


def quarantined(
    warehouse: Warehouse, tenant_id: str, entity: str | None = None, *, resolved: bool = False
) -> tuple[Held, ...]:
    """A tenant's quarantined records, oldest first; those that are resolved only when asked for."""
    rows = warehouse.rows(QUARANTINE, tenant_id)
    held = [_held(row) for row in rows.to_pylist()]
    chosen = [one for one in held if (resolved or one.resolved_by is None) and entity in {None, one.entity}]
    return tuple(sorted(chosen, key=lambda one: (one.quarantined_at, one.entity, one.number)))


def find(warehouse: Warehouse, tenant_id: str, number: str) -> Held:
    """The record of that number, resolved or not; its beginning will do. Raises BadRequest unless there is just one."""
    every = quarantined(warehouse, tenant_id, resolved=True)
    found = [one for one in every if one.number.startswith(number[:NUMBER_LENGTH])]
    if not number or len({one.number for one in found}) != 1:
        raise BadRequest(
            f"tenant {tenant_id}: {len(found)} quarantined records begin with {number[:40]!r}, expected one; "
            "`mercurios quarantine list` names them"
        )
    return found[-1]


def replay(
    warehouse: Warehouse,
    tenant_id: str,
    as_of: datetime,
    entity: str | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> tuple[Replayed, ...]:
    """Hold the open records against the contracts of today: what keeps them now is loaded, the others stay.

    as_of: carries a time zone. One batch per entity, with the accounting of any other. Raises WarehouseError.
    """
    warehouse.ensure(*INGEST_TABLES)
    held = quarantined(warehouse, tenant_id, entity)
    entities = sorted({one.entity for one in held if one.entity in contracts})
    return tuple(
        _replay(warehouse, contracts[name], Replay(tenant_id, as_of, [one for one in held if one.entity == name]))
        for name in entities
    )


@dataclass(frozen=True)
class Replay:
    """The open records of one tenant's entity."""

    tenant_id: str
    as_of: datetime
    held: Sequence[Held]


def _replay(warehouse: Warehouse, contract: Contract, replay: Replay) -> Replayed:
    moment = replay.as_of.astimezone(UTC)
    batch = Batch(
        replay.tenant_id,
        f"{moment:%Y%m%dT%H%M%SZ}-{contract.entity}-replay-{uuid.uuid4().hex[:12]}",
        contract.entity,
        ENTITY_TABLES[contract.entity],
        moment,
        changed_column=contract.changed_column,
        deleted_column=contract.deleted_column,
        is_newest=False,
    )
    converted = convert(contract, [json.loads(one.record) for one in replay.held])
    broken = {(one.record, one.reasons) for one in converted.quarantined}
    taken = [one.number for one in replay.held if (one.record, one.reasons) not in broken]
    with warehouse.load(batch) as load:
        load.stage([converted.frame.to_arrow()])
        load.reject([Rejected(**asdict(one)) for one in converted.quarantined])
        resolved = _resolved(warehouse, batch, taken)
        counts = load.commit(len(replay.held), moment, beside={QUARANTINE: resolved} if taken else {})
    return Replayed(contract.entity, batch.batch_id, counts)


def _resolved(warehouse: Warehouse, batch: Batch, numbers: Sequence[str]) -> pa.Table:
    """The open rows of these numbers, closed by the batch: also of records whose id could not be read before."""
    rows = pl.DataFrame(warehouse.rows(QUARANTINE, batch.tenant_id))
    is_taken = pl.col("record_hash").str.slice(0, NUMBER_LENGTH).is_in(numbers) & (pl.col("entity") == batch.entity)
    closed = rows.filter(is_taken & pl.col("resolved_by").is_null())
    at = batch.started_at.astimezone(UTC).replace(tzinfo=None)
    marks = {"resolved_by": pl.lit(batch.batch_id), "resolved_at": pl.lit(at, pl.Datetime("us"))}
    return closed.with_columns(**marks).drop("tenant_id").to_arrow()


def _held(row: Mapping[str, object]) -> Held:
    names = ("entity", "record_id", "batch_id", "quarantined_at", "last_batch_id", "last_seen_at", "resolved_by")
    plain = {name: row[name] for name in names}
    number = str(row["record_hash"])[:NUMBER_LENGTH]
    return Held(
        number=number,
        reasons=tuple(json.loads(str(row["reasons"]))),
        record=str(row["record"]),
        **plain,  # type: ignore[arg-type]
    )
