"""Drift: whether the last fortnight still is what a model was chosen on, with a budget of false alarms.

    monitor = learn(windows, level="branch", grain=Grain.DAY)       # the champion's windows in the backtest
    alarms = (*watch(monitor, kept), *watch_inputs(panel, fitted_on=cutoff, level="branch"))
    due(alarms, kept)                                               # why to choose the method anew, or ""

Nothing is remembered between calls: what is said is told from the forecasts that were kept.
"""

from mercurios.forecasting.drift.inputs import watch_inputs
from mercurios.forecasting.drift.monitor import Monitor, due, learn, watch
from mercurios.forecasting.drift.usual import DAYS, MONTH_DAYS, Alarm, DriftRules, Usual

__all__ = ["DAYS", "MONTH_DAYS", "Alarm", "DriftRules", "Monitor", "Usual", "due", "learn", "watch", "watch_inputs"]
