"""`mercurios release list|show|rollback|expire`: the states of the lake that can be read."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mercurios.commands.options import AsJson, Yes

if TYPE_CHECKING:
    from mercurios.lake import Expiry

app = typer.Typer(no_args_is_help=True, help="The releases of the lake: look at them, go back to one, expire old ones.")
Id = Annotated[str, typer.Argument(metavar="ID", help="The release's id, such as r000042.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the releases that can be read, oldest first; the last one is what is served."""
    from mercurios.wiring import open_lake

    releases = open_lake().releases()
    rows = [
        {
            "id": release.id,
            "published_at": release.at.isoformat(timespec="seconds"),
            "as_of": release.as_of.isoformat(timespec="seconds"),
            "rows": sum(table.rows for table in release.tables),
            "rollback_of": release.rollback_of,
        }
        for release in releases
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        note = f"  brought back {row['rollback_of']}" if row["rollback_of"] else ""
        print(f"{row['id']}  published {row['published_at']}  as of {row['as_of']}  {row['rows']:>12,} rows{note}")
    if not rows:
        print("no release yet; `mercurios pipeline` makes the first one")


@app.command()
def show(release_id: Id) -> None:
    """Show one release: what it speaks for, its tables with their snapshots, and its files."""
    from mercurios.wiring import open_lake

    release = open_lake().release(release_id)
    print(f"{release.id}  published {release.at.isoformat()}  as of {release.as_of.isoformat()}")
    if release.rollback_of:
        print(f"brings back {release.rollback_of}")
    for table in release.tables:
        print(f"{table.name:<32} {table.rows:>12,} rows  snapshot {table.snapshot_id}")
    for name, place in sorted(release.files.items()):
        print(f"{name:<32} {place}")


@app.command()
def rollback(release_id: Id, yes: Yes = False) -> None:
    """Make an older release current again, as a new release with the same tables and files.

    Readers swap within seconds. The next `mercurios export` publishes what the warehouse has by then.
    """
    from mercurios.wiring import open_lake

    lake = open_lake()
    found, current = lake.release(release_id), lake.require_current()
    if not yes:
        typer.confirm(f"Serve {found.id} (as of {found.as_of.isoformat()}) instead of {current.id}?", abort=True)
    print(f"{lake.rollback(release_id).id} is current and holds what {release_id} holds")


@app.command()
def expire(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False, yes: Yes = False
) -> None:
    """Take releases out that are too old, and remove the files that no other release needs.

    Kept are the newest ones, all younger than some days (both are settings), and those a champion was trained on.
    """
    from mercurios.wiring import expire_releases

    now = datetime.now(UTC)
    plan = expire_releases(now, dry_run=True)
    _tell("would go", plan)
    if dry_run:
        return
    if not yes:
        typer.confirm("Remove them?", abort=True)
    _tell("are gone", expire_releases(now))


def _tell(what: str, report: "Expiry") -> None:
    named = ", ".join(report.releases[:10]) + (" …" if len(report.releases) > 10 else "")
    print(f"{len(report.releases)} releases {what}{': ' if named else ''}{named}; {report.kept} are kept")
    print(f"{sum(report.snapshots.values())} snapshots and {report.files} files ({report.bytes / 1e6:.1f} MB) {what}")
    if report.busy:
        print(f"somebody wrote to {', '.join(report.busy)} meanwhile; what is old there goes the next time")
