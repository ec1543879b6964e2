"""Candidates: one contract, many methods.

    AutoETS(season_length=7, model="ANZ").forecast(panel, horizon=28)   # unique_id, ds, mean

A candidate is its hyperparameters and nothing else: frozen, comparable, written to and read from plain data with
`describe` and `build`. Fitting happens inside `forecast`, from the panel's rows alone, so what lies after a panel's
cutoff cannot be seen.
"""

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, Field, ValidationError

from mercurios.errors import ConfigError
from mercurios.forecasting.engine import forecast_each
from mercurios.forecasting.series import Panel

if TYPE_CHECKING:
    from statsforecast.models import _TS

_METHODS: dict[str, type["Candidate"]] = {}


class Candidate(BaseModel, ABC, frozen=True, extra="forbid"):
    """A method with its hyperparameters. Subclasses are known by their class name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _METHODS[cls.__name__] = cls

    @property
    def name(self) -> str:
        """What the method is called in specifications, scores and tables."""
        return type(self).__name__

    @abstractmethod
    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """Fit on the panel and forecast the next `horizon` periods of every series.

        Returns unique_id, ds, mean; one row per series and period, unsorted. Deterministic.
        """

    def roll(self, panels: Sequence[Panel], horizon: int) -> list[pl.DataFrame]:
        """One forecast per panel; each knows its own panel only. Refits every time unless stated.

        panels: of the same series, oldest first, each `horizon` periods after the one before.
        """
        return [self.forecast(panel, horizon) for panel in panels]


def build(name: str, params: Mapping[str, Any]) -> Candidate:
    """Make a candidate from plain data; raises ConfigError naming the method or the field that is wrong."""
    _import_methods()
    methods = {name: method for name, method in _METHODS.items() if not inspect.isabstract(method)}
    if name not in methods:
        raise ConfigError(f"unknown forecast method {name!r}; known: {', '.join(sorted(methods))}")
    try:
        return methods[name](**params)
    except ValidationError as error:
        raise ConfigError(f"forecast method {name}: {error}") from error


def describe(candidate: Candidate) -> dict[str, Any]:
    """The candidate as plain data, such that build(**describe(c)) == c."""
    params = candidate.model_dump(mode="json")
    if members := getattr(candidate, "members", ()):
        params["members"] = [describe(member) for member in members]
    return {"name": candidate.name, "params": params}


def _import_methods() -> None:
    # A method is known by name once its module is imported.
    for module in ("boosting", "calendar", "cold", "direct", "ensembles", "neural", "planned"):
        importlib.import_module(f"mercurios.forecasting.{module}")


def future(panel: Panel, horizon: int) -> pl.DataFrame:
    """Every series × the next `horizon` periods; columns unique_id, ds."""
    step = panel.grain.days
    first = panel.last_period + timedelta(days=step)
    ds = pl.date_range(first, first + timedelta(days=step * (horizon - 1)), panel.grain.every, eager=True)
    return panel.rows.select(pl.col("unique_id").unique().sort()).join(pl.DataFrame({"ds": ds}), how="cross")


class SeasonalNaive(Candidate, frozen=True):
    """The value one season ago, season after season; the baseline every champion has to beat."""

    season_length: int = Field(gt=0)

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        place = pl.int_range(pl.len()).over("unique_id")
        season = (
            panel.rows.group_by("unique_id")
            .tail(self.season_length)
            .sort("unique_id", "ds")
            .with_columns(place=place % pl.len().over("unique_id"), size=pl.len().over("unique_id"))
        )
        sizes = season.select("unique_id", "size").unique()
        return (
            future(panel, horizon)
            .join(sizes, on="unique_id")
            .with_columns(place=place % pl.col("size"))
            .join(season.select("unique_id", "place", mean="y"), on=["unique_id", "place"])
            .select("unique_id", "ds", "mean")
        )


class RecentMean(Candidate, frozen=True):
    """The mean of the last open periods; periods before a series' first sale count as zero."""

    periods: int = Field(gt=0)

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        recent = panel.calendar.tail(self.periods).filter("is_open").select("ds")
        sums = panel.rows.join(recent, on="ds", how="semi").group_by("unique_id").agg(total=pl.col("y").sum().round(2))
        level = pl.col("total").fill_null(0.0) / max(recent.height, 1)
        return future(panel, horizon).join(sums, on="unique_id", how="left").select("unique_id", "ds", mean=level)


class AutoETS(Candidate, frozen=True):
    """Exponential smoothing, its form chosen by AICc among those that `model` allows (error, trend, season)."""

    season_length: int = Field(gt=0)
    model: str = Field(default="ZZZ", pattern="^[ANMZ]{3}$")

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from statsforecast.models import AutoETS as Method

        return _statistical(Method(season_length=self.season_length, model=self.model), panel, horizon)


class AutoTheta(Candidate, frozen=True):
    """The Theta method, the best of its four variants in sample."""

    season_length: int = Field(gt=0)

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from statsforecast.models import AutoTheta as Method

        return _statistical(Method(season_length=self.season_length), panel, horizon)


class ADIDA(Candidate, frozen=True):
    """Intermittent demand summed to its own rhythm, smoothed there, and spread again (Nikolopoulos et al. 2011)."""

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        from statsforecast.models import ADIDA as Method

        return _statistical(Method(), panel, horizon)


def _statistical(method: "_TS", panel: Panel, horizon: int) -> pl.DataFrame:
    return forecast_each(method, panel.rows, every=panel.grain.every, horizon=horizon)
