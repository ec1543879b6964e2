"""`mercurios snowflake plan|apply|verify|stop`: the Snowflake account as it is declared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercurios.commands.options import Yes

if TYPE_CHECKING:
    from mercurios.account import Declaration, Item, Plan
    from mercurios.account.session import AccountSession

app = typer.Typer(
    no_args_is_help=True, help="The Snowflake account as code: compare it with what is declared, mend it."
)
Account = Annotated[
    str | None,
    typer.Option(help="snowflake://USER@ACCOUNT?role=ACCOUNTADMIN: which account, and as whom."),
]
Key = Annotated[Path | None, typer.Option(help="Private key (PEM) of that user; the passphrase is asked for.")]
Keys = Annotated[Path | None, typer.Option(help="Folder with NAME.pub, the public key, of every service user.")]
Declared = Annotated[Path | None, typer.Option("--declaration", help="YAML instead of the one that travels along.")]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Also take away what gone tenants left, and declared roles from others."),
]


@app.command()
def plan(
    account: Account = None,
    key: Key = None,
    keys: Keys = None,
    declaration: Declared = None,
    prune: Prune = False,
) -> None:
    """Print the SQL between the account and what is declared, and run none; without --account, of an empty one."""
    from mercurios.account import Live, make_plan

    declared, items = _declared(declaration, keys)
    if account is None:
        print(make_plan(declared, items, Live({})).text, end="")
        return
    with _open(account, key) as session:
        print(_planned(session, declared, items, prune).text, end="")


@app.command()
def apply(  # noqa: PLR0913 - options of a command
    account: Account = None,
    key: Key = None,
    keys: Keys = None,
    declaration: Declared = None,
    prune: Prune = False,
    yes: Yes = False,
) -> None:
    """Run what plan prints. What fails stops it; run again it goes on from there."""
    from mercurios.account import apply as run

    declared, items = _declared(declaration, keys)
    with _open(account, key) as session:
        made = _planned(session, declared, items, prune)
        print(made.text, end="")
        _ask(made, yes)
        run(made, session, lambda statement: print(f"done: {statement.reason}"))


@app.command()
def verify(
    account: Account = None,
    key: Key = None,
    keys: Keys = None,
    declaration: Declared = None,
    script: Annotated[Path, typer.Option(help="Where the isolation script goes.")] = Path("isolation.sql"),
) -> None:
    """Check the account against what is declared; write the script that shows the isolation of tenants.

    Exit code 1 when something differs.
    """
    from mercurios.account import isolation_script, make_plan, read_account
    from mercurios.wiring import tenants

    declared, items = _declared(declaration, keys)
    with _open(account, key) as session:
        live = read_account(session, declared, items)
    made = make_plan(declared, items, live)
    script.write_text(isolation_script(declared, tenants().ids(), live.tenant_tables), encoding="utf-8")
    for statement in made.statements:
        print(f"differs: {statement.reason}")
    for told in (*made.notes, *(f"not declared: {name}" for name in made.unmanaged)):
        print(told)
    print(f"{len(live.tenant_tables)} tables of tenants; run {script} as ACCOUNTADMIN, every verdict has to be ok")
    if made.statements:
        print("next: mercurios snowflake apply")
        raise typer.Exit(1)


@app.command()
def stop(
    account: Account = None,
    key: Key = None,
    declaration: Declared = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let the declared warehouses resume again.")] = False,
    yes: Yes = False,
) -> None:
    """Emergency stop: abort all queries, suspend every warehouse and task of the account, and let none resume.

    A statement that fails does not keep the others from being run. Exit code 1 when something would not stop.
    """
    with _open(account, key) as session:
        if undo:
            _undo(session, declaration, yes)
        else:
            _stop(session, yes)


def _stop(session: "AccountSession", yes: bool) -> None:
    from mercurios.account import stop, stop_plan
    from mercurios.account.names import shown

    made, back = stop_plan(session)
    print(made.text, end="")
    print("-- these statements undo exactly this; keep them:")
    print(back.text, end="")
    _ask(made, yes)
    left = stop(session, made, lambda statement: print(f"done: {shown(statement.sql)}"))
    for told in left:
        print(f"NOT STOPPED: {shown(told)}")
    if left:
        raise typer.Exit(1)
    print("stopped. `mercurios snowflake stop --undo`, then `mercurios snowflake apply` undo it for what is declared")


def _undo(session: "AccountSession", declaration: Path | None, yes: bool) -> None:
    from mercurios.account import PACKAGED, read_declaration, undo_plan
    from mercurios.account import apply as run

    made = undo_plan(session, read_declaration(declaration or PACKAGED))
    print(made.text, end="")
    _ask(made, yes)
    run(made, session, lambda statement: print(f"done: {statement.sql}"))
    print("warehouses may resume; tasks start again with `mercurios snowflake apply`")


def _ask(made: "Plan", yes: bool) -> None:
    if made.statements and not yes:
        typer.confirm(f"Run {len(made.statements)} statements?", abort=True)


def _declared(path: Path | None, keys: Path | None) -> "tuple[Declaration, tuple[Item, ...]]":
    from mercurios.account import PACKAGED, read_declaration, read_keys, wanted
    from mercurios.wiring import tenants

    declaration = read_declaration(path or PACKAGED)
    return declaration, wanted(declaration, tenants().ids(), read_keys(keys, declaration.users))


def _planned(session: "AccountSession", declaration: "Declaration", items: "tuple[Item, ...]", prune: bool) -> "Plan":
    from mercurios.account import make_plan, read_account

    return make_plan(declaration, items, read_account(session, declaration, items), prune=prune)


def _open(account: str | None, key: Path | None) -> "AccountSession":
    from mercurios.account.session import AccountSession
    from mercurios.errors import ConfigError

    if account is None or key is None:
        raise ConfigError(
            "say which account and as whom: --account snowflake://USER@ACCOUNT?role=ACCOUNTADMIN --key FILE"
        )
    pem = key.read_text(encoding="utf-8", errors="replace")
    passphrase = typer.prompt("Passphrase of the key", hide_input=True) if "ENCRYPTED" in pem else ""
    return AccountSession.open(account, private_key=pem, passphrase=passphrase)
