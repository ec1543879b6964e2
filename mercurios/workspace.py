"""A workspace: one tenant's open stores, what jobs and notebooks hold in hand.

    from mercurios.wiring import open_workspace

    north = open_workspace("north")
    north.metrics("revenue", grain="MONTH")
    north.sql("select category, sum(revenue) from marts.mart_sales_daily group by 1")
    north.ask("What was our revenue in November?").text

The tenant is bound when the workspace is opened; there is no call that takes another one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from mercurios.answers import Answer
from mercurios.metrics import Grain, MetricQuery, SemanticLayer, run
from mercurios.registry import Registry
from mercurios.serving import Session
from mercurios.tenancy import Tenant


@dataclass(frozen=True)
class Workspace:
    """One tenant on one release."""

    tenant: Tenant
    session: Session
    semantics: SemanticLayer
    registry: Registry
    _ask: Callable[[Session, str, str | None], Answer]

    def sql(self, statement: str, parameters: tuple[Any, ...] = ()) -> pl.DataFrame:
        """Run SQL over the tenant's published tables (schema `marts`) and return a polars frame."""
        frame = pl.from_arrow(self.session.query(statement, parameters))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def metrics(
        self, *names: str, group_by: tuple[str, ...] = (), grain: Grain | None = None, **rest: Any
    ) -> pl.DataFrame:
        """Answer a metric query as a frame; `rest` are further fields of `MetricQuery` (start, end, where, limit …)."""
        result = run(self.semantics, self.session, MetricQuery(names, group_by=group_by, grain=grain, **rest))
        return pl.DataFrame([list(row) for row in result.rows], schema=list(result.columns), orient="row")

    def ask(self, question: str, locale: str | None = None) -> Answer:
        """Answer a question in German or English from metric queries, or refuse it with a reason."""
        return self._ask(self.session, question, locale)
