"""A forecast level put to the test: its series, the backtest, and what the gate is told of a contender."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from mercurios.forecasting import Backtest, Candidate, FittedLevel, Grain, LevelSpec, Split, fit_part, split_series
from mercurios.forecasting.backtest import ALL_CLASSES
from mercurios.forecasting.candidates import describe
from mercurios.forecasting.evidence import Evidence, TrainingData, diebold_mariano, difference, leak, told_of
from mercurios.forecasting.fitted import LOADER
from mercurios.jobs.retrain.desk import CANDIDATE, NEWEST_WINDOWS, PUBLISHED, SCORED_WINDOWS, Desk, Entry, plain
from mercurios.registry import ROLLED_BACK_TO, WITHDRAWN

CENT = 0.01


@dataclass(frozen=True)
class Made:
    """A contender fitted on everything, and its forecast."""

    fitted: FittedLevel
    forecast: pl.DataFrame


@dataclass(frozen=True)
class Trial:
    """sales: as `split_series` takes them, of which `split` was made. What a contender makes is made once."""

    desk: Desk
    level: str
    spec: LevelSpec
    sales: pl.DataFrame
    split: Split
    modelled: Backtest
    tail: Backtest
    _made: dict[str, Made] = field(default_factory=dict)

    @property
    def data(self) -> TrainingData:
        """What every contender has to learn from."""
        return self.desk.training_data([self.split.modelled, self.split.tail])

    def made_by(self, name: str) -> Made:
        """The level forecast by one contender, its tail by the tail's method."""
        if name not in self._made:
            fitted = self._fit(name)
            self._made[name] = Made(fitted, fitted.forecast(self.spec.horizon))
        return self._made[name]

    def entry(self, name: str, tags: Mapping[str, str], chosen_in: pl.DataFrame | None = None) -> Entry:
        """One contender, fitted, for the registry; chosen_in: windows it was chosen in, those of today unless said."""
        made, told = self.made_by(name), {"data_digest": self.data.digest, **tags}
        newest = self.windows(name)
        tables = {
            PUBLISHED: self.rows(name),
            NEWEST_WINDOWS: newest,
            SCORED_WINDOWS: newest if chosen_in is None else chosen_in,
        }
        return Entry(made.fitted.save, LOADER, describe(self.modelled.candidates[name]), tables, told)

    def windows(self, name: str) -> pl.DataFrame:
        """Past windows of the level as one contender and the tail's method forecast them; `modelled` tells whose."""
        modelled = self.modelled.scored_by(name).with_columns(modelled=pl.lit(value=True))
        return pl.concat([modelled, self.tail.scored.with_columns(modelled=pl.lit(value=False))])

    def rows(self, name: str) -> pl.DataFrame:
        """The forecast of one contender in the columns of the table `forecasts`, without tenant and version."""
        named = self.made_by(name).forecast.rename({"unique_id": "key", "candidate": "model"})
        return named.with_columns(level=pl.lit(self.level), cutoff=pl.lit(self.split.modelled.cutoff))

    def scored(self, name: str) -> pl.DataFrame:
        """The windows of one contender, as the gate is told of them."""
        return told_of(self.modelled.scored_by(name), tenant_id=self.desk.session.tenant_id, level=self.level)

    def backtest_rows(self, roles: Mapping[str, str]) -> pl.DataFrame:
        """The backtest in the columns of the table `forecast_backtest`, without the tenant; roles: of some methods."""
        found = self.modelled.table()
        baseline = found.filter(method=self.spec.baseline).select("demand_class", baseline_wape="wape")
        asked = found.select("method", "demand_class").rows()
        return (
            found.join(baseline, on="demand_class", maintain_order="left")
            .with_columns(
                level=pl.lit(self.level),
                role=pl.col("method").replace_strict(roles, default="candidate"),
                cutoff=pl.lit(self.split.modelled.cutoff),
                skill=pl.when(pl.col("baseline_wape") > 0).then(1 - pl.col("wape") / pl.col("baseline_wape")),
                p_value=pl.Series([self._p_value(*one) for one in asked], dtype=pl.Float64),
            )
            .drop("baseline_wape")
        )

    def _p_value(self, name: str, demand_class: str) -> float:
        """Of so large an advantage over the baseline, if there were none."""
        ours, baseline = self.scored(name), self.scored(self.spec.baseline)
        if demand_class != ALL_CLASSES:
            ours, baseline = (rows.filter(demand_class=demand_class) for rows in (ours, baseline))
        return diebold_mariano(ours, baseline).p_value

    def measured(self, name: str) -> Evidence:
        """What is known of the champion so far."""
        return Evidence(name, self.scored(name))

    def evidence(self, name: str) -> Evidence:
        """What is known of a contender once it was tried."""
        candidate, made = self.modelled.candidates[name], self.made_by(name)
        with tempfile.TemporaryDirectory(prefix="mercurios-again-") as folder:
            made.fitted.save(Path(folder))
            again = FittedLevel.load(Path(folder))
        return Evidence(
            name,
            self.scored(name),
            baseline=self.scored(self.spec.baseline),
            asked=(self.data,),
            used=(self.desk.training_data([part.panel for part in again.parts]),),
            judged_at=self.desk.as_of,
            leak=self._leak(candidate),
            reproduced=difference(made.forecast, again.forecast(self.spec.horizon), step=CENT),
            withdrawn=self._withdrawn(candidate, f"{self.desk.session.tenant_id}.forecast.{self.level}"),
        )

    def _fit(self, name: str) -> FittedLevel:
        modelled = fit_part(self.split.modelled, self.modelled, name)
        if self.split.tail.rows.is_empty():
            return FittedLevel((modelled,))
        # The tail has intervals from its own errors; where it had no past to err in, it borrows the others'.
        return FittedLevel((modelled, fit_part(self.split.tail, self.tail, self.spec.tail, fallback=modelled.bands)))

    def _leak(self, candidate: Candidate) -> float:
        horizon = self.spec.horizon

        def forecast(sales: pl.DataFrame, factors: pl.DataFrame | None) -> pl.DataFrame:
            panel = split_sales(sales, self.level, self.spec, self.desk).modelled.knowing(factors)
            return candidate.roll([panel.before(horizon)], horizon)[0]

        cutoff, told = self.split.modelled.before(horizon).cutoff, self.desk.factors
        of_sales = leak(partial(forecast, factors=told), self.sales, cutoff=cutoff, time="sold_on", known=("key",))
        if told is None:
            return of_sales
        of_factors = leak(partial(forecast, self.sales), told, cutoff=cutoff, time="known_on", known=("ds", "name"))
        return max(of_sales, of_factors)

    def _withdrawn(self, candidate: Candidate, name: str) -> str:
        method = plain(describe(candidate))
        for version in reversed(self.desk.registry.withdrawn(name)):
            instead = self.desk.registry.version(name, int(version.tags[ROLLED_BACK_TO]))
            # Back to an older version of the same method, it was the data: the method is not to blame.
            same = instead is not None and instead.tags.get(CANDIDATE) == method
            if version.tags.get(CANDIDATE) == method and not same:
                return f"version {version.version} of this method was rolled back: {version.tags[WITHDRAWN]}"
        return ""


def split_sales(sales: pl.DataFrame, level: str, spec: LevelSpec, desk: Desk) -> Split:
    """The series of a level, with external factors; those of categories by week know what is planned."""
    split = split_series(sales, spec.rules, until=desk.until, holidays=desk.holidays)
    plan = desk.category_plan if level == "category" and spec.grain is Grain.WEEK else None
    modelled, tail = (replace(panel, plan=plan).knowing(desk.factors) for panel in (split.modelled, split.tail))
    return replace(split, modelled=modelled, tail=tail)
