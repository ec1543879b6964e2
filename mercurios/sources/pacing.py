"""Pacing: calls to a merchant's server are counted, spread over the minute and limited for a run.

pace = Pace("north", patience, per_minute=60, per_run=10_000)
pace.take()      # before every call, logins and repeats included
"""

from mercurios.errors import BudgetSpent
from mercurios.sources.retrying import Patience


class Pace:
    """The calls of one run. Not for several threads at once."""

    def __init__(self, tenant_id: str, patience: Patience, *, per_minute: int | None, per_run: int | None) -> None:
        self._tenant_id = tenant_id
        self._patience = patience
        self._gap_seconds = 60.0 / per_minute if per_minute else 0.0
        self._per_run = per_run
        self._next_at = patience.clock()
        self._calls = 0

    @property
    def calls(self) -> int:
        """Number of calls taken so far."""
        return self._calls

    def take(self) -> None:
        """Wait until the next call may be sent, and count it. Raises BudgetSpent when none is left."""
        if self._per_run is not None and self._calls >= self._per_run:
            raise BudgetSpent(
                f"tenant {self._tenant_id}: all {self._per_run} calls of this run are spent (calls_per_run in the "
                f"tenant file); what was read is kept, and the next run goes on from there"
            )
        wait = self._next_at - self._patience.clock()
        if wait > 0:
            self._patience.sleep(wait)
        self._next_at = max(self._next_at, self._patience.clock()) + self._gap_seconds
        self._calls += 1
