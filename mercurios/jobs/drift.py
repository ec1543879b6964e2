"""Drift of one tenant's forecasts: what is alarming, and whose method is due to be chosen anew.

    report = drift(session, registry, as_of=as_of)
    report.due                      # {"branch": "branch as a whole: sold 1,200 in the 14 days, 3,400 was forecast"}
    retrain(session, registry, as_of=as_of, due=report.due)

Reads what the release and the registry hold and changes nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import structlog

from mercurios.errors import ModelError
from mercurios.forecasting import LevelSpec
from mercurios.forecasting.drift import Alarm, DriftRules, due, learn, watch, watch_inputs
from mercurios.forecasting.series import Panel
from mercurios.jobs.realized import SCORED
from mercurios.jobs.retrain import Specs
from mercurios.jobs.retrain.choice import CHOSEN_ON, SPECIFICATION, fingerprint
from mercurios.jobs.retrain.desk import CANDIDATE, SCORED_WINDOWS, Desk, table_of
from mercurios.jobs.retrain.levels import SALES
from mercurios.jobs.retrain.trial import split_sales
from mercurios.registry import CHAMPION, ModelVersion, Registry
from mercurios.serving import Session

log = structlog.get_logger(__name__)

OLDEST_DAYS = 28
"""Methods are compared again after so many days, whether anything drifts or not."""
_KEPT = """
select key as unique_id, ds, cutoff, cast(y as double) as y, mean, lo80, hi80 from marts.mart_forecast_accuracy
where level = $level and role = 'champion' and model = $model and cutoff >= $since
qualify row_number() over (partition by key, ds, cutoff order by cast(model_version as integer) desc) = 1
"""
_NOTHING_KEPT = pl.DataFrame(
    schema={
        "unique_id": pl.String,
        **dict.fromkeys(("ds", "cutoff"), pl.Date),
        **dict.fromkeys(("y", "mean", "lo80", "hi80"), pl.Float64),
    }
)


@dataclass(frozen=True)
class LevelDrift:
    """One level: its champion's version, what is alarming, and why its method is due; empty when it is not.

    unwatched: why its forecasts cannot be watched; empty when they can.
    """

    level: str
    version: int | None = None
    alarms: tuple[Alarm, ...] = ()
    due: str = ""
    unwatched: str = ""


@dataclass(frozen=True)
class DriftReport:
    """One tenant; every level of the specification."""

    tenant_id: str
    release: str
    levels: tuple[LevelDrift, ...]

    @property
    def due(self) -> Mapping[str, str]:
        """Levels whose method is due, and why."""
        return {level.level: level.due for level in self.levels if level.due}

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Of all levels."""
        return tuple(alarm for level in self.levels for alarm in level.alarms)


def drift(
    session: Session,
    registry: Registry,
    *,
    as_of: datetime,
    specs: Specs | None = None,
    rules: DriftRules | None = None,
) -> DriftReport:
    """Hold the last fortnight against what was forecast, and against what is usual.

    as_of: only local days that were over at that moment are looked at.
    """
    specs, rules = specs or Specs.load(), rules or DriftRules()
    desk = Desk.open(session, registry, as_of)
    levels = tuple(_level(desk, level, spec, rules) for level, spec in specs.forecast.levels.items())
    report = DriftReport(session.tenant_id, session.release.id, levels)
    log.info("drift", tenant=report.tenant_id, due=dict(report.due), alarms=[alarm.told for alarm in report.alarms])
    return report


def _level(desk: Desk, level: str, spec: LevelSpec, rules: DriftRules) -> LevelDrift:
    champion = desk.registry.find(f"{desk.session.tenant_id}.forecast.{level}", CHAMPION)
    if champion is None:
        return LevelDrift(level, due="there is no champion yet")
    if champion.tags.get(SPECIFICATION) != fingerprint(spec):
        return LevelDrift(level, champion.version, due="the specification has changed since methods were compared")
    chosen_on = date.fromisoformat(champion.tags[CHOSEN_ON])
    panel = split_sales(desk.frame(SALES[level]), level, spec, desk).modelled
    if panel.rows.is_empty():
        return LevelDrift(level, champion.version, unwatched="no series has history enough")
    kept, unwatched = _kept(desk, champion, level, panel, chosen_on), ""
    alarms = watch_inputs(panel, fitted_on=chosen_on, level=level, rules=rules)
    try:
        windows = table_of(desk.registry, champion, SCORED_WINDOWS).filter("modelled")
        monitor = learn(windows, level=level, grain=spec.grain, rules=rules)
        alarms += watch(monitor, kept)
    except ModelError as error:
        unwatched = str(error)
    age = (desk.until - chosen_on).days
    why = due(alarms, kept, rules) or (f"methods were compared {age} days ago" if age >= OLDEST_DAYS else "")
    return LevelDrift(level, champion.version, alarms, why, unwatched)


def _kept(desk: Desk, champion: ModelVersion, level: str, panel: Panel, since: date) -> pl.DataFrame:
    """Forecasts of the champion's method, made since it was chosen, on open periods whose truth is known.

    What drifted before has been compared already: it is not told again every night until the fortnight is over.
    """
    if not desk.session.holds(SCORED):
        return _NOTHING_KEPT
    model = json.loads(champion.tags[CANDIDATE])["name"]
    rows = pl.DataFrame(desk.session.query(_KEPT, {"level": level, "model": model, "since": since}))
    return rows.join(panel.rows.filter("is_open"), on=["unique_id", "ds"], how="semi")
