"""Propose: what one tenant should order, from a release; ready to publish.

    report = propose_orders(session, as_of=as_of)
    report.ordered, report.order_value
    lake.publish(report.tables, as_of=as_of, tenants=(report.tenant_id,), base=session.release)

The tenant is the session's. The same release and specification give the same tables.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow as pa
import structlog

from mercurios.config import ROOT
from mercurios.errors import ConfigError, SeriesTooShort
from mercurios.forecasting import CandidateScore, FittedLevel, LevelSpec, fit_part, score_windows, split_series
from mercurios.jobs.propose.shelf import Shelf, read_shelf
from mercurios.progress import tell, track
from mercurios.replenishment import Reason, ReplenishmentSpec, propose
from mercurios.serving import Session
from mercurios.tables import TABLES

log = structlog.get_logger(__name__)

NO_RECEIPTS = pl.DataFrame(schema={"unique_id": pl.String, "lead_days": pl.Float64})
"""No system of ours tells when ordered goods came: lead times are those suppliers promised, or the default."""
_PROPOSALS, _FORECASTS = "reorder_proposals", "unit_forecasts"


@dataclass(frozen=True)
class ProposalReport:
    """One tenant's proposals.

    tables: shaped as `mercurios.tables` says. ordered: items with an order; order_value and budget: money, net, the
    latter None without a plan. left_out: articles sold lately that are not among the items; share: what the items earn
    of the revenue of all sold lately. method and baseline: scores of the forecast, None when skipped says why.
    """

    tenant_id: str
    release: str
    tables: Mapping[str, pa.Table]
    reasons: Mapping[str, int]
    ordered: int
    order_value: float
    budget: float | None
    currency: str
    left_out: int
    share: float
    method: CandidateScore | None
    baseline: CandidateScore | None
    skipped: str
    seconds: float

    @property
    def told(self) -> str:
        """One sentence: what is ordered for how much, in which budget, what was left out, how good forecasts are."""
        items = self.tables[_PROPOSALS].num_rows
        budget = "no limit" if self.budget is None else f"{self.budget:,.2f} open to buy"
        unknown = sum(self.reasons.get(reason, 0) for reason in (Reason.NO_STOCK, Reason.NO_PRICE, Reason.NO_FORECAST))
        said = f"{self.tenant_id}: {self.ordered:,} of {items:,} items to order for {self.order_value:,.2f}"
        said += f" {self.currency} ({budget}); {unknown:,} lack stock, prices or a forecast"
        said += f"; the items earn {self.share:.0%} of the revenue, {self.left_out:,} articles earn the rest"
        return f"{said}; {self._forecast_told}"

    @property
    def _forecast_told(self) -> str:
        if self.method is None or self.baseline is None:
            return self.skipped
        told = f"units a week by {self.method.name}, WAPE {self.method.wape:.3f} ({self.baseline.name} "
        covered = f"{self.method.coverage80:.1%} and {self.method.coverage95:.1%} in the 80 and 95 % interval"
        return f"{told}{self.baseline.wape:.3f}), {covered}"

    def top(self, rows: int = 20) -> list[dict[str, object]]:
        """The orders that are worth most, for a table."""
        names = ("item", "label", "supplier", "order_quantity", "order_value", "lost_margin_avoided", "reason")
        orders = pl.DataFrame(self.tables[_PROPOSALS]).filter(pl.col("order_quantity") > 0).sort("rank").head(rows)
        shown = orders.select(names).with_columns(pl.col("order_value", "lost_margin_avoided").cast(pl.Float64))
        return [{"tenant": self.tenant_id, **row} for row in shown.to_dicts()]


@cache
def load_spec(folder: Path = ROOT / "models") -> ReplenishmentSpec:
    """Read replenishment.yaml; raises ConfigError naming the file or field that is wrong."""
    path = folder / "replenishment.yaml"
    if not path.is_file():
        raise ConfigError(f"expected the specification of order proposals {path}, there is none")
    return ReplenishmentSpec.parse(path.read_text())


def propose_orders(session: Session, *, as_of: datetime, spec: ReplenishmentSpec | None = None) -> ProposalReport:
    """Forecast units of every item and propose what to order.

    as_of: only local days that were over at that moment are learnt from. Too little history leaves the tables empty and
    is told in `skipped`; it is no error.
    """
    started = time.perf_counter()
    spec = spec or load_spec()
    with track(f"propose {session.tenant_id} orders", unit="steps", total=3, leaves_line=False) as advance:
        shelf = read_shelf(session, as_of, spec)
        advance(1)
        made, skipped = _forecast(shelf, spec.forecast)
        advance(1)
        rows = _proposals(shelf, made, spec)
        advance(1)
    orders = rows.filter(pl.col("order_quantity") > 0)
    report = ProposalReport(
        tenant_id=session.tenant_id,
        release=session.release.id,
        tables={
            _PROPOSALS: _shaped(session, _PROPOSALS, rows),
            _FORECASTS: _shaped(session, _FORECASTS, made.rows.rename({"unique_id": "item", "candidate": "model"})),
        },
        reasons=dict(rows["reason"].value_counts(sort=True).iter_rows()),
        ordered=orders.height,
        order_value=float(orders["order_value"].sum()),
        budget=shelf.budget,
        currency=shelf.currency,
        left_out=shelf.considered - shelf.items["article_number"].n_unique(),
        share=shelf.share,
        method=made.method,
        baseline=made.baseline,
        skipped=skipped,
        seconds=time.perf_counter() - started,
    )
    tell(report.told)
    _log(report)
    return report


@dataclass(frozen=True)
class _Made:
    """Forecasts of units, and how good their method was in the windows before."""

    rows: pl.DataFrame
    method: CandidateScore | None = None
    baseline: CandidateScore | None = None


_NOTHING = pl.DataFrame(
    schema={
        "unique_id": pl.String,
        "ds": pl.Date,
        **dict.fromkeys(("mean", "lo80", "hi80", "lo95", "hi95"), pl.Float64),
        "candidate": pl.String,
        "cutoff": pl.Date,
    }
)


def _forecast(shelf: Shelf, spec: LevelSpec) -> tuple[_Made, str]:
    try:
        split = split_series(shelf.sales, spec.rules, until=shelf.until, holidays=shelf.holidays)
    except SeriesTooShort as error:
        return _Made(_NOTHING), str(error)
    trial = score_windows(split.modelled, spec.candidates, spec.windows)
    best = trial.best()
    modelled = fit_part(split.modelled, trial, best.name)
    parts = [modelled]
    if not split.tail.rows.is_empty():
        tail = score_windows(split.tail, {spec.tail: spec.candidates[spec.tail]}, spec.windows)
        parts.append(fit_part(split.tail, tail, spec.tail, fallback=modelled.bands))
    rows = FittedLevel(tuple(parts)).forecast(spec.horizon).with_columns(cutoff=pl.lit(split.modelled.cutoff))
    return _Made(rows, best, trial.score(spec.baseline)), ""


def _proposals(shelf: Shelf, made: _Made, spec: ReplenishmentSpec) -> pl.DataFrame:
    """One row per item in the columns of the table, best first."""
    known = pl.all_horizontal(pl.col("on_hand", "unit_cost", "price").is_not_null())
    proposed = propose(shelf.items.filter(known), made.rows, NO_RECEIPTS, spec.stock, shelf.budget)
    missing = pl.when(pl.col("on_hand").is_null()).then(pl.lit(Reason.NO_STOCK)).otherwise(pl.lit(Reason.NO_PRICE))
    money = pl.col("order_value", "lost_margin_avoided", "holding_cost_added")
    return (
        shelf.items.join(proposed.drop("service_class"), on="unique_id", how="left")
        .with_columns(
            pl.col("wanted_quantity", "order_quantity", "order_value").fill_null(0.0),
            pl.col("reason").fill_null(missing),
            cutoff=pl.lit(made.rows["cutoff"].max() or shelf.until, pl.Date),
            budget=pl.lit(shelf.budget, pl.Float64).round(2),
        )
        .with_columns(money.round(2), pl.col("unit_cost", "price").round(4))
        .sort(["lost_margin_avoided", "unique_id"], descending=[True, False], nulls_last=True)
        .with_columns(rank=pl.int_range(1, pl.len() + 1))
        .rename({"unique_id": "item", "protection_periods": "protection_weeks"})
    )


def _shaped(session: Session, table: str, rows: pl.DataFrame) -> pa.Table:
    schema = TABLES[table].schema
    return rows.with_columns(tenant_id=pl.lit(session.tenant_id)).select(schema.names).to_arrow().cast(schema)


def _log(report: ProposalReport) -> None:
    log.info(
        "propose",
        tenant=report.tenant_id,
        release=report.release,
        reasons=dict(report.reasons),
        ordered=report.ordered,
        order_value=round(report.order_value, 2),
        budget=report.budget,
        left_out=report.left_out,
        method=report.method.name if report.method else None,
        skipped=report.skipped,
        seconds=round(report.seconds, 1),
    )
