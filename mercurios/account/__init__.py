"""The Snowflake account as code: declared in YAML, compared with what SHOW and DESCRIBE tell, mended by statements.

    declaration = read_declaration()
    items = wanted(declaration, ("north", "south"), read_keys(folder, declaration.users))
    plan = make_plan(declaration, items, read_account(session, declaration, items))
    apply(plan, session)

What a session is says `session.Session`; `session.AccountSession` is the one over the driver.
"""

from mercurios.account.declaration import PACKAGED, Declaration, read_declaration
from mercurios.account.isolation import isolation_script
from mercurios.account.items import Item
from mercurios.account.keys import read_keys
from mercurios.account.planning import Plan, Statement, apply, make_plan
from mercurios.account.reading import Live, read_account
from mercurios.account.session import Session
from mercurios.account.stopping import stop, stop_plan, undo_plan
from mercurios.account.wanted import wanted

__all__ = [
    "PACKAGED",
    "Declaration",
    "Item",
    "Live",
    "Plan",
    "Session",
    "Statement",
    "apply",
    "isolation_script",
    "make_plan",
    "read_account",
    "read_declaration",
    "read_keys",
    "stop",
    "stop_plan",
    "undo_plan",
    "wanted",
]
