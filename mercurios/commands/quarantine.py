"""`mercurios quarantine list|show|replay|dismiss`: the records that broke their contract."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from mercurios.commands.options import AsJson

app = typer.Typer(no_args_is_help=True, help="Look at records that broke their contract, and take them in again.")
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose records.")]
Entity = Annotated[str | None, typer.Option("--entity", "-e", help="Only this entity, e.g. sale.")]


@app.command("list")
def list_(
    tenant: Tenant,
    entity: Entity = None,
    resolved: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """List quarantined records with all their reasons, oldest first."""
    from mercurios.jobs.quarantine import quarantined
    from mercurios.wiring import open_warehouse, tenants

    tenant_id, chosen = tenants().get(tenant).id, _known(entity)
    with open_warehouse(read_only=True) as warehouse:
        held = quarantined(warehouse, tenant_id, chosen, resolved=resolved)
    shown = held[-limit:]
    if as_json:
        print(json.dumps([one.told() for one in shown], indent=2, ensure_ascii=False))
        return
    for one in shown:
        state = _state(one.resolved_by)
        when = one.quarantined_at.strftime("%Y-%m-%d %H:%M")
        print(f"{one.number}  {one.entity:<12} {one.record_id or '(no id)':<36}  {when}  {state}")
        for reason in one.reasons:
            where = f"{one.origin}: " if one.origin and not reason.startswith(one.origin) else ""
            print(f"              {where}{reason}")
    print(f"{len(shown)} of {len(held)} quarantined records; `mercurios quarantine show NUMBER -t {tenant}` shows one")


@app.command()
def show(number: Annotated[str, typer.Argument(help="The record's number, or its beginning.")], tenant: Tenant) -> None:
    """Show one record with its payload; personal fields were never kept."""
    from mercurios.jobs.quarantine import find
    from mercurios.wiring import open_warehouse, tenants

    tenant_id = tenants().get(tenant).id
    with open_warehouse(read_only=True) as warehouse:
        held = find(warehouse, tenant_id, number)
    print(json.dumps({**held.told(), "record": json.loads(held.record)}, indent=2, ensure_ascii=False))


@app.command()
def replay(tenant: Tenant, entity: Entity = None) -> None:
    """Hold the open records against the contracts of today; load those that keep them now."""
    from mercurios.jobs.quarantine import replay as replay_job
    from mercurios.wiring import open_warehouse, tenants

    tenant_id, chosen = tenants().get(tenant).id, _known(entity)
    with open_warehouse() as warehouse:
        replays = replay_job(warehouse, tenant_id, datetime.now(UTC), chosen)
    for one in replays:
        counts = one.counts
        told = f"{counts.extracted} tried, {counts.loaded} loaded, {counts.quarantined} still broken"
        print(f"{one.entity:<12} {told}   batch {one.batch_id}")
    if not replays:
        print("nothing is in quarantine")


@app.command()
def dismiss(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER...", help="The records' numbers, or beginnings.")],
    tenant: Tenant,
    reason: Annotated[str, typer.Option(help="Why, in one line; it is kept with the records.")],
) -> None:
    """Close open records that will not come again, such as those of a file that was corrected.

    Their rows stay. A record that the source sends again, still broken, is open again.
    """
    from mercurios.jobs.quarantine import dismiss as dismiss_job
    from mercurios.wiring import open_warehouse, tenants

    tenant_id = tenants().get(tenant).id
    with open_warehouse() as warehouse:
        dismissed = dismiss_job(warehouse, tenant_id, numbers, reason, datetime.now(UTC))
    for one in dismissed:
        print(f"{one.number}  {one.entity:<12} {one.record_id or '(no id)':<36}  dismissed")


def _state(resolved_by: str | None) -> str:
    from mercurios.jobs.quarantine import DISMISSED

    if resolved_by is None:
        return "open"
    return resolved_by if resolved_by.startswith(DISMISSED) else f"resolved by {resolved_by}"


def _known(entity: str | None) -> str | None:
    from mercurios.sources.contracts import check_entities

    check_entities(*([entity] if entity else []))
    return entity
