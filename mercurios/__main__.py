"""The command line: `mercurios --help`.

Heavy imports happen inside the commands, so that help answers at once.
"""

import atexit
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from mercurios.commands import key as key_commands
from mercurios.commands import lake as lake_commands
from mercurios.commands import model as model_commands
from mercurios.commands import quarantine as quarantine_commands
from mercurios.commands import release as release_commands
from mercurios.commands import snowflake as snowflake_commands
from mercurios.commands import tenant as tenant_commands
from mercurios.commands.options import AsJson

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Retail analytics: from the till to an answered question.",
    epilog="The six verbs in order: ingest, transform, export, retrain, index, query. `pipeline` runs them all.",
)
app.add_typer(tenant_commands.app, name="tenant")
app.add_typer(key_commands.app, name="key")
app.add_typer(quarantine_commands.app, name="quarantine")
app.add_typer(release_commands.app, name="release")
app.add_typer(lake_commands.app, name="lake")
app.add_typer(model_commands.app, name="model")
app.add_typer(snowflake_commands.app, name="snowflake")
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; may be repeated.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose data.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1.")]


@app.command()
def demo() -> None:
    """Run the whole path on the Complete Journey data, two merchants, and print a summary."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.demo import run

    run(Settings(), Console())


@app.command()
def sandbox(  # noqa: PLR0913 - options of a command
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of Parquet files, one per entity (sale.parquet …), instead of the journey."),
    ] = None,
    merchant: Annotated[
        str | None, typer.Option(help="Tenant id of the folder's merchant; its name unless said.")
    ] = None,
    currency: Annotated[str, typer.Option(help="Currency of the folder's merchant.")] = "EUR",
    time_zone: Annotated[str, typer.Option(help="Time zone of the folder's merchant.")] = "Europe/Berlin",
    port: Annotated[
        int | None, typer.Option(min=1, max=65000, help="Token port; merchants take the next ones.")
    ] = None,
    faults: Annotated[
        int | None,
        typer.Option(help="A bad day drawn by this number: refusals, cut pages, records that change meanwhile."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where a merchant of that name has other data.")
    ] = False,
) -> None:
    """Serve a stand-in of the ProHandel API on loopback and write tenant files that point at it."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.demo import FolderMerchant, serve_sandbox

    folder = FolderMerchant(data, merchant or data.resolve().name, currency, time_zone) if data else None
    serve_sandbox(Settings(), Console(), folder, port, faults, replace_files=replace)


def _flow(name: str, **parameters: object) -> None:
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.running import run_flow

    if "tenants" in parameters:
        _check_tenants(parameters["tenants"])
    run_flow(name, Settings(), Console(), **parameters)


def _check_tenants(named: object) -> None:
    """Raise ConfigError for a tenant that is not there or whose file is wrong, before a server is started."""
    from mercurios.wiring import tenant_ids, tenants

    if not isinstance(named, list) or not named:
        tenant_ids()
        return
    for name in named:
        tenants().get(name)


@app.command()
def ingest(
    tenant: Tenants = None,
    entity: Annotated[list[str] | None, typer.Option("--entity", "-e", help="Only this; may be repeated.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Everything, not only what is due; not with --days.")] = False,
    days: Annotated[
        str | None,
        typer.Option(
            help="These days again: FROM/UNTIL, the last one excluded; .. leaves an end open. Where the API has no "
            "filter by day, or the entity no days, everything is read."
        ),
    ] = None,
    accept_deletions: Annotated[
        bool, typer.Option("--accept-deletions", help="Believe a listing that lacks more than it has.")
    ] = False,
) -> None:
    """Read what is due of every merchant into the warehouse."""
    from mercurios.errors import BadRequest
    from mercurios.jobs.ingest import Extent, parse_days
    from mercurios.sources.contracts import check_entities

    if full and days:
        raise BadRequest("expected --full (everything) or --days (some days), got both; say one of them")
    first, until = parse_days(days) if days else (None, None)
    check_entities(*(entity or ()))
    _flow("ingest", tenants=tenant, extent=Extent(tuple(entity or ()), full, first, until, accept_deletions))


@app.command()
def transform(
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Build anew also what has not changed, after a test has failed twice."),
    ] = False,
) -> None:
    """Build and test the marts with dbt, and list what is wrong in the merchants' books."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.running import run_flow
    from mercurios.summary import breach_lines

    console = Console()
    for line in breach_lines(run_flow("transform", Settings(), console, from_scratch=from_scratch).breaches):
        console.say(line)


@app.command()
def export() -> None:
    """Publish the marts to the lake as one release."""
    _flow("export")


@app.command()
def retrain(
    tenant: Tenants = None,
    only_due: Annotated[
        bool,
        typer.Option("--only-due", help="Compare methods only where one is due; fit the other champions anew."),
    ] = False,
) -> None:
    """Train and promote forecasts and recommenders; publish their predictions."""
    _flow("retrain", tenants=tenant, only_due=only_due)


@app.command()
def propose(tenant: Tenants = None) -> None:
    """Propose what to order, from forecasts of units; retrain does it as well, after its own work."""
    _flow("propose", tenants=tenant)


@app.command()
def index(tenant: Tenants = None) -> None:
    """Build the search index of every tenant."""
    _flow("index", tenants=tenant)


@app.command()
def query(
    question: Annotated[str, typer.Argument(help="A question in German or English.")],
    tenant: Tenant,
    locale: Annotated[str | None, typer.Option(help="de or en; guessed from the question unless said.")] = None,
) -> None:
    """Ask a question of one tenant's current release."""
    from mercurios.wiring import open_workspace

    answer = open_workspace(tenant).ask(question, locale)
    print(answer.text)


@app.command()
def pipeline(tenant: Tenants = None) -> None:
    """Run the six verbs in order and print a summary."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.running import keep_summary, run_flow
    from mercurios.summary import print_summary, summarise

    _check_tenants(tenant)
    settings, console = Settings(), Console()
    summary = summarise(run_flow("pipeline", settings, console, tenants=tenant), console.stations)
    keep_summary(settings, summary)
    print_summary(summary, console)


@app.command()
def quality(tenant: Tenants = None) -> None:
    """Measure every merchant's raw rows against what is expected and promised; the result is kept in ops.quality."""
    from datetime import UTC, datetime

    from mercurios.commands.quality import lines
    from mercurios.jobs.quality import quality as measure
    from mercurios.wiring import open_warehouse, tenant_ids, tenants

    chosen = [tenants().get(name) for name in tenant or tenant_ids()]
    with open_warehouse() as warehouse:
        for each in chosen:
            print("\n".join(lines(measure(each, warehouse, datetime.now(UTC)), each.sla)))


@app.command()
def status(
    as_json: AsJson = False,
) -> None:
    """Show what is there: rows, quarantine, release, champions, freshness."""
    from mercurios.config import Settings
    from mercurios.report import status_json, status_text

    print(status_json(Settings()) if as_json else status_text(Settings()))


@app.command()
def serve(
    port: Port = 8080,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer, each on one core.")] = 1,
) -> None:
    """Serve the GraphQL API on loopback."""
    from mercurios import logs
    from mercurios.wiring import serve_api

    logs.to_stderr("info", as_json=True)
    serve_api(
        port, processes, lambda url: print(f"Dashboard at {url}/, GraphQL at {url}/graphql; Ctrl-C ends it", flush=True)
    )


@app.command()
def token(
    tenant: Tenant,
    role: Annotated[str, typer.Option(help="viewer, analyst, buyer or admin.")] = "analyst",
    hours: Annotated[int, typer.Option(min=1, max=720, help="Lifetime.")] = 12,
) -> None:
    """Print a development token for the API and nothing else; only where no OIDC provider is set."""
    from mercurios.wiring import issue_token

    print(issue_token(tenant, role, hours))


@app.command()
def up() -> None:
    """Start Prefect with deployments and a worker, MLflow and the API on loopback, until Ctrl-C."""
    from mercurios.config import Settings
    from mercurios.up import run

    run(Settings(), print)


def _end_quietly() -> None:
    """Hide what DuckDB 2.0's binding prints about its own type objects when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def main() -> None:
    """Run the command line; what went wrong is one clear line and exit code 1."""
    os.umask(0o077)  # what is written belongs to who runs it
    atexit.register(_end_quietly)  # registered first, so it runs last
    from mercurios import logs
    from mercurios.errors import MercuriosError

    logs.to_stderr("warning")
    try:
        app()
    except MercuriosError as error:
        _fail("; ".join((str(error), *getattr(error, "__notes__", ()))), error)
    except ValueError as error:
        from pydantic import ValidationError

        if not isinstance(error, ValidationError):
            raise
        wrong = "; ".join(f"MERCURIOS_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        _fail(f"a setting is wrong: {wrong}", error)
    except OSError as error:
        _fail(f"cannot use {error.filename or 'a file'}: {error.strerror or error}", error)


def _fail(message: str, error: Exception) -> NoReturn:
    print(f"mercurios: {message}", file=sys.stderr)
    raise SystemExit(1) from error


if __name__ == "__main__":
    main()
