"""A workspace: one tenant's open stores, what jobs and notebooks hold in hand.

    from mercurios.wiring import open_workspace

    north = open_workspace("north")
    north.metrics("revenue", grain="MONTH")
    north.sql("select category, sum(revenue) as revenue from marts.mart_sales_daily group by 1")
    north.ask("What was our revenue in November?").text

The tenant is bound when the workspace is opened; there is no call that takes another one.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from mercurios.answers import Answer
from mercurios.answers.llm import LanguageModel
from mercurios.jobs.query import ask
from mercurios.metrics import MetricQuery, run
from mercurios.registry import Registry
from mercurios.release_files import ReleaseFiles
from mercurios.serving import Session
from mercurios.tenancy import Tenant


@dataclass(frozen=True)
class Workspace:
    """One tenant on one release."""

    tenant: Tenant
    session: Session
    files: ReleaseFiles
    registry: Registry
    llm: LanguageModel | None = None

    def sql(self, statement: str, *parameters: object) -> pl.DataFrame:
        """Run SQL over the tenant's published tables (schema `marts`), `?` for parameters; returns a polars frame."""
        return pl.DataFrame(self.session.query(statement, parameters))

    def metrics(self, *names: str, group_by: tuple[str, ...] = (), **rest: Any) -> pl.DataFrame:
        """Answer a metric query as a frame; `rest` are further fields of `MetricQuery` (grain, start, end, where …)."""
        query = MetricQuery(names, group_by=group_by, **rest)
        result = run(self.files.semantics(self.session.release), self.session, query)
        return pl.DataFrame([list(row) for row in result.rows], schema=list(result.columns), orient="row")

    def ask(self, question: str, locale: str | None = None) -> Answer:
        """Answer a question in German or English from metric queries, or refuse it with a reason."""
        semantics = self.files.semantics(self.session.release)
        return ask(self.session, semantics, self.files.index(self.session), question, locale, self.llm)
