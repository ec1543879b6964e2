"""Quarantine: look at the records that broke their contract, and take them in once the contract is mended.

    for held in quarantined(warehouse, "north"): print(held.entity, held.record_id, held.reasons)
    replay(warehouse, "north", as_of)
    dismiss(warehouse, "north", ["3f9a"], "in the corrected file", as_of)

A record is open until a later batch loads it, brings it in another form, or finds it gone at its source, or until
somebody dismisses it.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import BadRequest, WarehouseError
from mercurios.jobs.ingest.tables import ENTITY_TABLES, INGEST_TABLES
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.conversion import Misfit, convert
from mercurios.sources.personal import is_personal_text
from mercurios.warehouse import QUARANTINE, Batch, Counts, Rejected, StoredBatch, TableSpec, Warehouse, utc

NUMBER_LENGTH = 12
"""So many characters of a record's hash are enough to name it."""
DISMISSED = "dismissed"
"""What `resolved_by` begins with where no batch closed a record; the reason follows."""
LONGEST_REASON = 200
_REPLAY = "-replay-"


@dataclass(frozen=True)
class Held:
    """One quarantined record; `number` names it, times are UTC.

    resolved_by: the batch that closed it, or `dismissed: ` and why. origin: file and row, where it came in one.
    """

    number: str
    entity: str
    record_id: str | None
    reasons: tuple[str, ...]
    batch_id: str
    quarantined_at: datetime
    last_batch_id: str
    last_seen_at: datetime
    resolved_by: str | None
    origin: str | None
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
    held = [_held(row) for row in _rows(warehouse, tenant_id).to_pylist()]
    chosen = [one for one in held if (resolved or one.resolved_by is None) and entity in {None, one.entity}]
    return tuple(sorted(chosen, key=lambda one: (one.quarantined_at, one.entity, one.number)))


def count_open(warehouse: Warehouse, tenant_id: str) -> int:
    """Number of a tenant's records that are in quarantine, without reading them."""
    columns = pa.schema([QUARANTINE.columns.field(name) for name in ("tenant_id", "resolved_by")])
    narrow = TableSpec(QUARANTINE.name, columns, ("tenant_id",))
    return int(warehouse.rows(narrow, tenant_id)["resolved_by"].null_count)


def _rows(warehouse: Warehouse, tenant_id: str) -> pa.Table:
    try:
        return warehouse.rows(QUARANTINE, tenant_id)
    except WarehouseError:  # the table of a version that did not keep where records come from; the next ingest adds it
        names = [name for name in QUARANTINE.columns.names if name != "origin"]
        columns = pa.schema([QUARANTINE.columns.field(name) for name in names])
        return warehouse.rows(TableSpec(QUARANTINE.name, columns, QUARANTINE.key), tenant_id)


def find(warehouse: Warehouse, tenant_id: str, number: str) -> Held:
    """The record of that number, resolved or not; its beginning will do. Raises BadRequest unless there is just one."""
    return _named(quarantined(warehouse, tenant_id, resolved=True), tenant_id, number)


def _named(held: Sequence[Held], tenant_id: str, number: str, what: str = "quarantined") -> Held:
    found = [one for one in held if number and one.number.startswith(number[:NUMBER_LENGTH])]
    if len({one.number for one in found}) == 1:
        return found[-1]
    begun = f"begin with {number[:40]!r}, expected one" if found else f"begins with {number[:40]!r}"
    raise BadRequest(
        f"tenant {tenant_id}: of the {what} records {len(found) or 'none'} {begun}; "
        f"`mercurios quarantine list --tenant {tenant_id}` names them"
    )


def dismiss(
    warehouse: Warehouse, tenant_id: str, numbers: Sequence[str], reason: str, as_of: datetime
) -> tuple[Held, ...]:
    """Close open records that will not come again, such as those of a file that was corrected; returns them.

    The rows stay, with the reason. A record that its source sends again, still broken, is open again.
    reason: one line without personal data. as_of: carries a time zone. Raises BadRequest, before anything is changed,
    for a number that names no open record.
    """
    _check_reason(reason)
    still_open = quarantined(warehouse, tenant_id)
    chosen = {(one.entity, one.number): one for one in (_named(still_open, tenant_id, n, "open") for n in numbers)}
    warehouse.ensure(*INGEST_TABLES)
    by = f"{DISMISSED}: {reason.strip()}"
    warehouse.merge(QUARANTINE, tenant_id, _closed(warehouse, tenant_id, tuple(chosen.values()), by, as_of))
    structlog.get_logger(__name__).info(
        "dismissed", tenant=tenant_id, records=[number for _, number in chosen], reason=reason.strip()
    )
    return tuple(chosen.values())


def _check_reason(reason: str) -> None:
    text = reason.strip()
    if not 0 < len(text) <= LONGEST_REASON or not text.isprintable() or is_personal_text(text):
        raise BadRequest(f"expected a reason of one line, at most {LONGEST_REASON} characters, and nobody's address")


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
        _replay(warehouse, tenant_id, contracts[name], [one for one in held if one.entity == name], as_of)
        for name in entities
    )


def is_replay(batch: StoredBatch) -> bool:
    """Whether a batch came out of the quarantine: nothing has arrived with it."""
    return _REPLAY in batch.batch_id


def _replay(
    warehouse: Warehouse, tenant_id: str, contract: Contract, held: Sequence[Held], as_of: datetime
) -> Replayed:
    moment = as_of.astimezone(UTC)
    batch = Batch(
        tenant_id,
        f"{moment:%Y%m%dT%H%M%SZ}-{contract.entity}{_REPLAY}{uuid.uuid4().hex[:12]}",
        contract.entity,
        ENTITY_TABLES[contract.entity],
        moment,
        changed_column=contract.changed_column,
        deleted_column=contract.deleted_column,
        is_newest=False,
    )
    converted = convert(contract, [_as_it_came(one) for one in held])
    broken = {(one.record, one.reasons) for one in converted.quarantined}
    taken = [one for one in held if (one.record, one.reasons) not in broken]
    with warehouse.load(batch) as load:
        load.stage([converted.frame.to_arrow()])
        load.reject(
            [
                Rejected(one.record, one.reasons, one.record_id, one.day, held[one.place].origin)
                for one in converted.quarantined
            ]
        )
        resolved = _closed(warehouse, batch.tenant_id, taken, batch.batch_id, batch.started_at)
        counts = load.commit(len(held), moment, beside={QUARANTINE: resolved} if taken else {})
    return Replayed(contract.entity, batch.batch_id, counts)


def _as_it_came(held: Held) -> object:
    record = json.loads(held.record)
    return Misfit(record) if held.reasons == (record,) else record


def _closed(warehouse: Warehouse, tenant_id: str, held: Sequence[Held], by: str, moment: datetime) -> pa.Table:
    """The open rows of these records, closed: also of those whose id could not be read before."""
    taken = {(one.entity, one.number) for one in held}
    rows = pl.DataFrame(warehouse.rows(QUARANTINE, tenant_id)).filter(pl.col("resolved_by").is_null())
    named = zip(rows["entity"], rows["record_hash"].str.slice(0, NUMBER_LENGTH), strict=True)
    closed = rows.filter(pl.Series([each in taken for each in named], dtype=pl.Boolean))
    marks = {"resolved_by": pl.lit(by), "resolved_at": pl.lit(utc(moment), pl.Datetime("us"))}
    return closed.with_columns(**marks).drop("tenant_id").to_arrow()


def _held(row: Mapping[str, object]) -> Held:
    names = ("entity", "record_id", "batch_id", "quarantined_at", "last_batch_id", "last_seen_at", "resolved_by")
    plain = {name: row[name] for name in names}
    number = str(row["record_hash"])[:NUMBER_LENGTH]
    return Held(
        number=number,
        reasons=tuple(json.loads(str(row["reasons"]))),
        origin=row.get("origin"),  # type: ignore[arg-type]
        record=str(row["record"]),
        **plain,  # type: ignore[arg-type]
    )
