"""`mercurios key create|list|revoke`: API keys, with which services ask the API."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from mercurios.commands.options import AsJson

app = typer.Typer(no_args_is_help=True, help="API keys for services: make one, look at them, take one back.")


@app.command()
def create(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose data it may read.")],
    label: Annotated[str, typer.Option(help="What it is for, so that whoever finds it in the list knows.")],
    role: Annotated[str, typer.Option(help="viewer, analyst, buyer or admin.")] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=366, help="Lifetime.")] = 90,
) -> None:
    """Make a key and print it and nothing else; it is shown once and kept as a hash."""
    from mercurios.wiring import api_keys, tenants

    text, key = api_keys().create(tenants().get(tenant).id, role, label, timedelta(days=days))
    print(text)
    print(f"{key.id} is valid until {key.expires_at:%Y-%m-%d}; this was the only time it was shown", file=sys.stderr)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all keys, also those that are revoked or expired, without what they are."""
    from mercurios.wiring import api_keys

    keys, now = api_keys().all(), datetime.now(UTC)
    if as_json:
        rows = [asdict(key) | {"state": key.state(now)} for key in keys]
        print(json.dumps(rows, indent=2, ensure_ascii=False, default=datetime.isoformat))
        return
    for key in keys:
        until = f"{key.expires_at:%Y-%m-%d}"
        print(f"{key.id}  {key.tenant:<20} {key.role:<8} until {until}  {key.state(now):<8} {key.label}")
    if not keys:
        print("no API keys; `mercurios key create` makes one")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `mercurios key list` tells it.")]) -> None:
    """Take a key back: the next request with it is refused."""
    from mercurios.wiring import api_keys

    api_keys().revoke(key_id)
    print(f"{key_id} is revoked")
