"""What goes into a model, now and when it was fitted.

watch_inputs(panel, fitted_on=date(2017, 10, 8), level="branch")    # one Alarm per input, at most
"""

from datetime import date, timedelta

import polars as pl

from mercurios.forecasting.drift.usual import DAYS, Alarm, DriftRules, Usual
from mercurios.forecasting.series import Panel

_INPUTS = {
    "zeros": "share of open days without a sale, of series on sale,",
    "beginners": "series sold for the first time",
}
_TRAINED_DAYS = 182
_ACTIVE_DAYS = 56


def watch_inputs(panel: Panel, *, fitted_on: date, level: str, rules: DriftRules | None = None) -> tuple[Alarm, ...]:
    """Alarms about open days without a sale, of series on sale, and series sold for the first time.

    The last fortnight of the panel against those of the half year up to `fitted_on`, the cutoff of the model; none
    before a fortnight has passed since.
    """
    days, rules = panel.by_day, rules or DriftRules()
    if (days.last_period - fitted_on).days < DAYS:
        return ()
    inputs, begin = _inputs(days), fitted_on - timedelta(days=_TRAINED_DAYS)
    usual = inputs.filter(pl.col("until").is_between(begin, fitted_on, closed="right"))
    if usual.is_empty():
        return ()
    alarms = []
    for name, what in _INPUTS.items():
        chance = rules.chance(name, len(panel.keys))
        known, now = Usual.of(usual[name].to_numpy(), chance, freedom=usual.height - 1), float(inputs[name].item(-1))
        if known and abs(score := known.score(now)) > known.limit:
            told = f"{level}: {what} {now:.3g} in the last {DAYS} days, usually {known.mean:.3g}"
            alarms.append(Alarm("inputs", level, None, days.last_period, score, known.limit, told))
    return tuple(alarms)


def _inputs(days: Panel) -> pl.DataFrame:
    """One row per fortnight, the last ends with the panel: until, zeros, beginners.

    None of the first weeks, when everything is sold for the first time.
    """
    fortnight = (pl.lit(days.last_period) - pl.col("ds")).dt.total_days() // DAYS
    known_since = days.calendar["ds"].item(0) + timedelta(days=_ACTIVE_DAYS)
    sold = (pl.col("y") != 0).cast(pl.Int8)
    rows = days.rows.sort("unique_id", "ds").with_columns(
        on_sale=sold.rolling_max(_ACTIVE_DAYS, min_samples=1).shift(1).over("unique_id") == 1,
        first=pl.col("ds") == pl.col("ds").min().over("unique_id"),
    )
    told = rows.group_by(fortnight=fortnight).agg(
        since=pl.col("ds").min(),
        zeros=(pl.col("y") == 0).filter("on_sale", "is_open").mean().fill_null(0.0),
        beginners=pl.col("first").sum().cast(pl.Float64),
    )
    until = pl.lit(days.last_period) - pl.duration(days=DAYS * pl.col("fortnight"))
    return told.filter(pl.col("since") >= known_since).with_columns(until=until).sort("until")
