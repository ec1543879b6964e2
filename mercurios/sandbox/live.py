"""A running sandbox: where it answers, and its merchants' records while they are served.

    with running([north], rules=rules) as sandbox:
        ids = sandbox.insert("north", "sale", rows)
        sandbox.update("north", "sale", ids, {"quantity": 2.0}, bumps=False)
        sandbox.current("north", "sale")        # what the API lists now, whole

Records change only through the process that serves them. Every method may be called from any thread, and a request is
answered from before a change or from after it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from mercurios.errors import BadRequest
from mercurios.sandbox.changes import Change, make
from mercurios.sandbox.listing import Rows
from mercurios.sandbox.served import Served


@dataclass(frozen=True)
class RunningSandbox:
    """Where a running sandbox answers, and what it serves. `name` is a merchant's everywhere."""

    auth_url: str
    server_urls: dict[str, str]
    served: Mapping[str, Served] = field(default_factory=dict, repr=False)

    def server_url(self, name: str) -> str:
        """Host URL of one merchant's server; the API is under `/api/v2` there."""
        return self.server_urls[name]

    def current(self, name: str, entity: str) -> pl.DataFrame:
        """All rows as the API would list them now, with its fields and its words; faults of answers are not in it."""
        return self._merchant(name).listing(entity).view.table()

    def requests(self, name: str, entity: str | None = None) -> int:
        """How many requests for pages came so far with a valid token, of one entity or in all."""
        return self._merchant(name).desk.requests[entity]

    def insert(self, name: str, entity: str, rows: Rows, *, last_change: datetime | None = None) -> list[str]:
        """List more rows where the API's order puts them; returns their ids, which are made where they are missing.

        A row whose lastChange and date lie in the past is one that was committed late. lastChange is the row's own,
        else `last_change`, else a second after the newest. Raises BadRequest for an id that is listed.
        """
        return self._merchant(name).listing(entity).insert(rows, last_change=last_change)

    def update(
        self, name: str, entity: str, ids: Collection[str], values: Mapping[str, object], *, bumps: bool = True
    ) -> None:
        """Give rows other values, in place; raises BadRequest for an id that is not listed.

        bumps: whether lastChange moves to a second after the newest; `values` may also hold it.
        """
        self._merchant(name).listing(entity).update(ids, values, bumps=bumps)

    def delete(self, name: str, entity: str, ids: Collection[str]) -> None:
        """Take rows out of the listing without a trace; raises BadRequest for an id that is not listed."""
        self._merchant(name).listing(entity).delete(ids)

    def mark_deleted(self, name: str, entity: str, ids: Collection[str], *, bumps: bool = True) -> None:
        """Set isDeleted; the rows stay listed. Raises BadRequest for an id that is not listed."""
        self._merchant(name).listing(entity).mark_deleted(ids, bumps=bumps)

    def make(self, name: str, change: Change) -> None:
        """Make a change now, whatever request it names."""
        make(change, self._merchant(name).listing(change.entity))

    def settle(self, name: str) -> int:
        """Make the scripted changes that no request has brought about yet; returns how many."""
        return self._merchant(name).settle()

    def _merchant(self, name: str) -> Served:
        if name not in self.served:
            raise BadRequest(f"no merchant {name} is served here; there are {', '.join(self.served) or 'none'}")
        return self.served[name]
