"""`mercurios lake plan|apply|verify`: the AWS account of the lake, kept as it is declared."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercurios.commands.options import AsJson

if TYPE_CHECKING:
    from mercurios.storage import Storage

app = typer.Typer(no_args_is_help=True, help="The lake's AWS account: what would change, change it, hold it to it.")
File = Annotated[
    Path | None, typer.Option("--declaration", help="What the account is held to, instead of what comes along.")
]


@app.command()
def plan(declaration: File = None, as_json: AsJson = False) -> None:
    """Show what `apply` would change; changes nothing."""
    found = _storage(declaration).plan()
    if as_json:
        print(found.to_json())
        return
    for line in (*found.changes, *found.undeclared):
        print(line)
    print(f"{len(found.changes)} changes" if found.changes else "nothing to change")


@app.command()
def apply(declaration: File = None, as_json: AsJson = False) -> None:
    """Make what `plan` shows, one change after another; what is not declared stays."""
    storage = _storage(declaration)
    done = storage.apply((lambda change: None) if as_json else lambda change: print(change, flush=True))
    if as_json:
        print(done.to_json())
    else:
        print(f"{len(done.changes)} changes made" if done.changes else "nothing to change")


@app.command()
def verify(
    declaration: File = None,
    as_json: AsJson = False,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Look only; write no object.")] = False,
) -> None:
    """Hold the account against its declaration and try the path of the data; exit code 1 on a deviation."""
    from mercurios.errors import LakeError
    from mercurios.storage import Outcome

    checks = _storage(declaration).verify(probed=not no_probe)
    if as_json:
        print(json.dumps([vars(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        print(*checks, sep="\n")
    if wrong := [check for check in checks if check.outcome is Outcome.DEVIATION]:
        raise LakeError(f"{len(wrong)} deviations; `mercurios lake apply` makes those that concern what is declared")


def _storage(declaration: Path | None) -> "Storage":
    from mercurios.config import Settings
    from mercurios.storage import Storage
    from mercurios.wiring import tenants

    settings = Settings()
    return Storage.open(settings.lake_url, tenants(settings).ids(), declaration)
