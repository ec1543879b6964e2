"""The emergency stop: no warehouse computes and no task starts until it is undone.

Suspending alone would not do: the next query resumes a warehouse. So AUTO_RESUME is switched off first.
"""

from collections.abc import Callable

from mercurios.account.declaration import Declaration
from mercurios.account.names import found, found_path
from mercurios.account.planning import Plan, Statement
from mercurios.account.session import Row, Session
from mercurios.errors import WarehouseError

_ROUNDS = 3
_RUNNING = {"STARTED", "STARTING", "RESUMING", "RESIZING"}


def stop_plan(session: Session) -> tuple[Plan, Plan]:
    """Statements that stop every warehouse and task of the account, declared or not, and those that undo just that."""
    stop, undo = [], []
    for row in session.rows("show warehouses"):
        name = found(row["name"])
        if _resumes(row):
            stop.append(Statement(f"alter warehouse {name} set auto_resume = false", f"{name} starts no more"))
            undo.append(_resuming(name))
        if str(row["state"]).upper() in _RUNNING:
            stop.append(Statement(f"alter warehouse {name} abort all queries", f"{name} is running"))
            stop.append(Statement(f"alter warehouse {name} suspend", f"{name} is running"))
    for row in session.rows("show tasks in account"):
        name = found_path(row["database_name"], row["schema_name"], row["name"])
        if str(row["state"]).lower() == "started":
            stop.append(Statement(f"alter task {name} suspend", f"task {name} is scheduled"))
            undo.append(Statement(f"alter task {name} resume", f"task {name} is scheduled again"))
    return Plan(tuple(stop)), Plan(tuple(undo))


def undo_plan(session: Session, declaration: Declaration) -> Plan:
    """Statements that let the declared warehouses, and those of tenants, resume; `apply` does the rest."""
    off = (found(row["name"]) for row in session.rows("show warehouses") if not _resumes(row))
    ours = (name for name in off if name in declaration.warehouses or name.startswith("tenant_"))
    return Plan(tuple(map(_resuming, ours)))


def _resumes(row: Row) -> bool:
    return str(row["auto_resume"]).lower() == "true"


def _resuming(name: str) -> Statement:
    return Statement(f"alter warehouse {name} set auto_resume = true", f"{name} may start again")


def stop(session: Session, plan: Plan, done: Callable[[Statement], None]) -> tuple[str, ...]:
    """Run the statements of a stop, whatever fails, and what is left then again. Returns what would not stop, and why.

    A warehouse may have gone to sleep meanwhile, and a task that follows another stops only after that.
    """
    failures: dict[str, str] = {}
    for _ in range(_ROUNDS):
        failures = {}
        for statement in plan.statements:
            try:
                session.rows(statement.sql)
            except WarehouseError as error:
                failures[statement.sql] = str(error)
            else:
                done(statement)
        plan, _undo = stop_plan(session)
        if not plan.statements:
            return ()
    return tuple(f"{each.sql}: {failures.get(each.sql, 'it started again')}" for each in plan.statements)
