"""Ensembles: forecasts of several members in one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import polars as pl
from pydantic import Field

from mercurios.errors import ModelError
from mercurios.forecasting.candidates import Candidate, build
from mercurios.forecasting.demand import demand_classes
from mercurios.forecasting.series import Panel

_KEY = ("unique_id", "ds")


class Ensemble(Candidate, ABC, frozen=True):
    """What combines its members' forecasts."""

    members: tuple[Candidate, ...]

    def __init__(self, **params: Any) -> None:
        members = params.get("members", ())
        params["members"] = tuple(m if isinstance(m, Candidate) else build(m["name"], m["params"]) for m in members)
        super().__init__(**params)

    @property
    def lookback(self) -> int:
        """Windows before a panel's cutoff whose forecasts the combination learns from."""
        return 0

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        return self.roll([panel], horizon)[0]

    def roll(self, panels: Sequence[Panel], horizon: int) -> list[pl.DataFrame]:
        """See `Candidate.roll`; the members also forecast the windows that are looked back to."""
        known = [*(panels[0].before(horizon * back) for back in range(self.lookback, 0, -1)), *panels]
        return self.combine([member.roll(known, horizon) for member in self.members], known)

    def combine(self, made: Sequence[Sequence[pl.DataFrame]], panels: Sequence[Panel]) -> list[pl.DataFrame]:
        """The ensemble from forecasts its members have made already: one for each panel but the first `lookback`.

        made: by member, then by panel; unique_id, ds, mean. Raises ModelError without a member.
        """
        if not made:
            raise ModelError("an ensemble needs at least one member; name some in models/forecast.yaml")
        return [self._combined(made, panels[place], place) for place in range(self.lookback, len(panels))]

    @abstractmethod
    def _combined(self, made: Sequence[Sequence[pl.DataFrame]], panel: Panel, place: int) -> pl.DataFrame:
        """The forecast of the panel at that place, from what lies before its cutoff."""


class MedianEnsemble(Ensemble, frozen=True):
    """The median of its members' forecasts, period by period."""

    def _combined(self, made: Sequence[Sequence[pl.DataFrame]], panel: Panel, place: int) -> pl.DataFrame:
        return pl.concat([one[place] for one in made]).group_by(*_KEY).agg(pl.col("mean").median())


class WeightedEnsemble(Ensemble, frozen=True):
    """The mean of its members' forecasts, each weighing (1 / its mean absolute error) ** `power` of late.

    The errors are those of the last `folds` windows, pooled over the series of one demand class; a class without errors
    takes those of all series, and without any all weigh alike.
    """

    folds: int = Field(default=2, ge=1)
    power: float = Field(default=2.0, ge=0)

    @property
    def lookback(self) -> int:
        """See `Ensemble.lookback`."""
        return self.folds

    def _combined(self, made: Sequence[Sequence[pl.DataFrame]], panel: Panel, place: int) -> pl.DataFrame:
        classes = demand_classes(panel)
        weights = self._weights([_errors(one[place - self.folds : place], panel, classes) for one in made], classes)
        wide = (
            _side_by_side([one[place] for one in made]).join(classes, on="unique_id").join(weights, on="demand_class")
        )
        names = range(len(made))
        mean = pl.sum_horizontal(pl.col(f"mean{n}") * pl.col(f"weight{n}") for n in names)
        return wide.select(*_KEY, mean=mean / pl.sum_horizontal(pl.col(f"weight{n}") for n in names))

    def _weights(self, errors: Sequence[pl.DataFrame], classes: pl.DataFrame) -> pl.DataFrame:
        """One row per class: demand_class, weight0, weight1 … by member."""
        table = classes.select(pl.col("demand_class").unique().sort())
        for n, known in enumerate(errors):
            of_class = known.group_by("demand_class", maintain_order=True).agg(pl.col("error"))
            table = table.join(
                of_class.select("demand_class", pl.col("error").list.mean().alias(f"weight{n}")),
                on="demand_class",
                how="left",
                maintain_order="left",
            ).with_columns(pl.col(f"weight{n}").fill_null(known["error"].mean() if known.height else 1.0))
        means = table.drop("demand_class")
        most = pl.Series(means.max_horizontal()).replace(0.0, 1.0)
        return table.with_columns(((column / most).clip(1e-6) ** -self.power) for column in means)


def _errors(forecasts: Sequence[pl.DataFrame], panel: Panel, classes: pl.DataFrame) -> pl.DataFrame:
    """One row per open period that was forecast: demand_class of its series today, absolute error."""
    truth = panel.rows.filter("is_open").select(*_KEY, "y")
    known = pl.concat(forecasts).join(truth, on=_KEY).join(classes, on="unique_id").sort(_KEY)
    return known.select("demand_class", error=(pl.col("y") - pl.col("mean")).abs())


def _side_by_side(forecasts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    first, *others = (one.rename({"mean": f"mean{n}"}) for n, one in enumerate(forecasts))
    for other in others:
        first = first.join(other, on=_KEY, validate="1:1")
    return first
