"""Retrain: one tenant's forecasts and recommender from a release; logged, promoted, ready to publish.

    report = retrain(session, registry, as_of=as_of)
    report.forecast[0].wape, report.forecast[0].baseline_wape
    lake.publish(report.tables, as_of=as_of, tenants=(report.tenant_id,))

The tenant is the session's. The same release, specification and registry give the same tables.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import structlog

from mercurios.config import ROOT
from mercurios.errors import ConfigError, SeriesTooShort, TooFewPurchases
from mercurios.forecasting import ForecastSpec
from mercurios.forecasting.gate import GateRules
from mercurios.jobs.retrain.coherent import Served, add_up
from mercurios.jobs.retrain.desk import Desk
from mercurios.jobs.retrain.levels import SALES, LevelResult, retrain_level
from mercurios.jobs.retrain.recommender import KIND, RecommenderResult, retrain_recommender
from mercurios.jobs.retrain.report import KEPT, LevelScore, RecommenderScore, RetrainReport
from mercurios.recommendation import RecommenderSpec
from mercurios.registry import CHALLENGER, CHAMPION, Registry
from mercurios.serving import Session
from mercurios.tables import TABLES

__all__ = ["KEPT", "LevelScore", "RecommenderScore", "RetrainReport", "Specs", "retrain"]

log = structlog.get_logger(__name__)

PREDICTED = ("forecasts", "forecast_backtest", "recommendations")
"""The tables that retraining publishes."""


@dataclass(frozen=True)
class Specs:
    """What is trained, by which candidates, and how they are judged; `gate` is asked of forecasts only."""

    forecast: ForecastSpec
    recommender: RecommenderSpec
    gate: GateRules = field(default_factory=GateRules)

    @classmethod
    def load(cls, folder: Path = ROOT / "models") -> "Specs":
        """Read forecast.yaml and recommender.yaml; raises ConfigError naming the file or field that is wrong."""
        for name in ("forecast.yaml", "recommender.yaml"):
            if not (folder / name).is_file():
                raise ConfigError(f"expected the model specification {folder / name}, there is none")
        forecast = ForecastSpec.parse((folder / "forecast.yaml").read_text())
        unknown = set(forecast.levels) - set(SALES)
        if unknown:
            raise ConfigError(f"forecast.yaml: level {', '.join(sorted(unknown))}; known are {', '.join(SALES)}")
        return cls(forecast, RecommenderSpec.parse((folder / "recommender.yaml").read_text()))


def retrain(
    session: Session,
    registry: Registry,
    *,
    as_of: datetime,
    specs: Specs | None = None,
    due: Mapping[str, str] | None = None,
) -> RetrainReport:
    """Train every candidate of every level and of the recommender, promote the best, and predict with them.

    as_of: only local days that were over at that moment are learnt from. due: the levels whose methods are compared,
    and why, as `drift` tells them; the champions of the others are fitted anew. Everything is compared when it is None.
    What has too little history is left out and named in the report's `skipped`; it is no error.
    """
    started = time.perf_counter()
    specs = specs or Specs.load()
    desk = Desk.open(session, registry, as_of)
    levels, recommender, skipped = _train(desk, specs, due)
    served = add_up({level.score.level: level.base for level in levels})
    tables = {name: TABLES[name].schema.empty_table() for name in PREDICTED}
    if levels:
        backtests = pl.concat([level.backtest for level in levels], how="diagonal")
        tables["forecast_backtest"] = desk.shaped("forecast_backtest", backtests)
        tables["forecasts"] = desk.shaped("forecasts", pl.concat(served.rows.values(), how="diagonal"))
    if recommender:
        tables["recommendations"] = desk.shaped("recommendations", recommender.rows)
    report = RetrainReport(
        tenant_id=session.tenant_id,
        release=session.release.id,
        forecast=tuple(level.score for level in levels),
        recommender=recommender.score if recommender else None,
        skipped=skipped,
        tables=tables,
        kept=_kept(desk, served, levels),
        alone=served.why_not,
        forecast_png=levels[-1].png if levels else b"",
        seconds=time.perf_counter() - started,
    )
    _log(report)
    return report


def _train(
    desk: Desk, specs: Specs, due: Mapping[str, str] | None
) -> tuple[list[LevelResult], RecommenderResult | None, Mapping[str, str]]:
    levels, recommender, skipped = [], None, {}
    # The recommender first: its peak of memory is over before the neural network's libraries are loaded.
    try:
        recommender = retrain_recommender(desk, specs.recommender)
    except TooFewPurchases as error:
        skipped[KIND] = str(error)
    for level, spec in specs.forecast.levels.items():
        try:
            anew = due is None or level in due
            levels.append(
                retrain_level(desk, level, spec, specs.gate, why=(due or {}).get(level, "") if anew else None)
            )
        except SeriesTooShort as error:
            skipped[f"forecast.{level}"] = str(error)
    return levels, recommender, skipped


def _kept(desk: Desk, served: Served, levels: Sequence[LevelResult]) -> pa.Table:
    """What is served, and what the challengers that shadow it forecast alone."""
    if not levels:
        return KEPT.empty_table()
    roles = {CHAMPION: served.rows.values(), CHALLENGER: [level.shadow for level in levels]}
    rows = [part.with_columns(role=pl.lit(role)) for role, parts in roles.items() for part in parts]
    whose = pl.concat(rows, how="diagonal").with_columns(
        tenant_id=pl.lit(desk.session.tenant_id), release=pl.lit(desk.session.release.id)
    )
    return whose.select(KEPT.names).to_arrow().cast(KEPT)


def _log(report: RetrainReport) -> None:
    log.info(
        "retrain",
        tenant=report.tenant_id,
        release=report.release,
        champions=[f"{score.level} {score.model}" for score in report.forecast],
        recommender=report.recommender.model if report.recommender else None,
        skipped=sorted(report.skipped),
        alone=report.alone,
        forecasts=report.tables["forecasts"].num_rows,
        recommendations=report.tables["recommendations"].num_rows,
        seconds=round(report.seconds, 1),
    )
