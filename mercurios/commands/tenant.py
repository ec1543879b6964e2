"""`mercurios tenant add|list|show|fields|onboard|remove`: the merchants of this installation."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercurios.commands.options import AsJson, Yes

if TYPE_CHECKING:
    from mercurios.secrets import SecretRef
    from mercurios.tenancy import FilesSource, ProHandelSource

app = typer.Typer(no_args_is_help=True, help="The merchants: add one, look at them, take one in, remove one.")
Id = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]


@app.command()
def add(
    file: Annotated[Path | None, typer.Argument(help="The tenant file.")] = None,
    template: Annotated[bool, typer.Option("--template", help="Print a commented template and do nothing.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the tenant of that id.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Connect to the source first.")] = False,
) -> None:
    """Check a tenant file and copy it to where tenants are kept, readable by its owner only."""
    from mercurios.errors import ConfigError
    from mercurios.tenancy import read_tenant
    from mercurios.tenancy.directory import TEMPLATE
    from mercurios.wiring import tenants, try_source

    if template:
        print(TEMPLATE.read_text(encoding="utf-8"), end="")
        return
    if file is None:
        raise ConfigError("name a tenant file; `mercurios tenant add --template` prints one to fill in")
    tenant = read_tenant(file)
    if check:
        print(try_source(tenant))
    path = tenants().add(file, replace=replace)
    print(f"{tenant.id} is added as {path}; next: mercurios tenant onboard {tenant.id}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tenants, and what is wrong with those that cannot be used."""
    from mercurios.wiring import tenants

    rows = [_row(tenant_id) for tenant_id in tenants().ids()]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        told = row["problem"] or f"{row['currency']}  {row['source']:<10} {row['name']}"
        print(f"{row['id']:<20} {told}")
    if not rows:
        print(f"no tenants in {tenants().folder}; add one with `mercurios tenant add FILE`")


def _row(tenant_id: str) -> dict[str, str | None]:
    from mercurios.errors import ConfigError
    from mercurios.tenancy import FilesSource
    from mercurios.wiring import tenants

    try:
        tenant = tenants().get(tenant_id)
    except ConfigError as error:
        return {"id": tenant_id, "name": None, "currency": None, "source": None, "problem": str(error)}
    kind = "files" if isinstance(tenant.source, FilesSource) else "prohandel"
    return {"id": tenant.id, "name": tenant.name, "currency": tenant.currency, "source": kind, "problem": None}


@app.command()
def show(tenant_id: Id) -> None:
    """Show one tenant: credentials by reference only, and whether something is there."""
    from mercurios.wiring import tenants

    tenant = tenants().get(tenant_id)
    facts = {name: getattr(tenant, name) for name in ("id", "name", "currency", "time_zone", "locale")}
    rates = ", ".join(f"{number}: {rate:g}" for number, rate in tenant.vat_rates.items())
    sla = f"quality {tenant.sla.quality:g}, at most {tenant.sla.freshness_hours:g} hours old"
    facts |= {"vat_rates": rates, "sla": sla, "file": str(tenants().path(tenant_id))}
    for name, value in (facts | _source(tenant.source)).items():
        print(f"{name:<18} {value}")


def _source(source: "ProHandelSource | FilesSource") -> dict[str, object]:
    """What is known of a source, secrets as their places."""
    from mercurios.secrets import SecretRef
    from mercurios.tenancy import Filters

    values = {field.name: getattr(source, field.name) for field in fields(source)}
    filters = {f"filters.{name}": value for name, value in asdict(values.pop("filters", Filters())).items()}
    said = {f"source.{name}": value for name, value in (values | filters).items() if value is not None}
    return {name: _told(value) if isinstance(value, SecretRef) else value for name, value in said.items()}


def _told(reference: "SecretRef") -> str:
    from mercurios.errors import ConfigError

    try:
        reference.reveal()
    except ConfigError:
        return f"{reference.scheme}:{reference.place} (nothing there)"
    return f"{reference.scheme}:{reference.place} (there)"


@app.command("fields")
def fields_(
    entity: Annotated[str | None, typer.Argument(metavar="ENTITY", help="Such as sale; all names without it.")] = None,
) -> None:
    """List the columns that a dropped file of an entity must and may have, with their kinds."""
    from mercurios.sources.contracts import CONTRACTS, check_entities
    from mercurios.sources.files import asked_of_files

    if entity is None:
        print("\n".join(CONTRACTS))
        return
    check_entities(entity)
    contract = CONTRACTS[entity]
    for name, kind, need in asked_of_files(contract):
        print(f"{name:<28}{kind:<12}{need}")
    if contract.personal:
        print(f"left behind, as no report needs them: {', '.join(sorted(contract.personal))}")


@app.command()
def onboard(tenant_id: Id) -> None:
    """Take a tenant in: check the file and the connection, load, transform, make the first release, report."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.running import run_flow
    from mercurios.wiring import tenants

    tenants().get(tenant_id)
    print(run_flow("onboard", Settings(), Console(), tenant=tenant_id).text, end="")


@app.command()
def remove(
    tenant_id: Id,
    yes: Yes = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete its rows in the warehouse's raw and ops.")
    ] = False,
) -> None:
    """Remove a tenant: its file and API keys; with --purge also its pages in the spool and rows in raw and ops.

    The marts lose its rows with the next `mercurios transform`; releases and models that are there keep theirs.
    """
    from mercurios.wiring import api_keys, forget_tenant, tenants

    path = tenants().path(tenant_id)
    what = "its file, its rows in raw and ops of the warehouse, and its journal" if purge else "its file"
    if not yes:
        typer.confirm(f"Remove {tenant_id}: {what}?", abort=True)
    forgotten = forget_tenant(tenant_id) if purge else {}
    tenants().remove(tenant_id)
    if revoked := api_keys().revoke_all(tenant_id):  # or they would open the next tenant of that name
        print(f"{revoked} API keys of it are revoked")
    for table, rows in forgotten.items():
        if rows:
            print(f"{table:<32} {rows:>12,} rows deleted")
    if purge and not any(forgotten.values()):
        print("the warehouse had no rows of it")
    print(f"{path} is removed")
    if purge:
        print("the marts keep its rows until the next `mercurios transform`")
    else:
        print("its rows stay in the warehouse; to delete them add it again and remove it with --purge")
    print("releases of the lake and models of the registry that are there keep what they have of it")
