"""Drift put to the test: false alarms of stable series, and how many level shifts are found within two weeks.

    python -m benchmarks.drift [--seeds 8]

Stable by construction are synthetic series (seven laws of noise, a weekly season) and real ones, fortnights of the
Complete Journey drawn again at random, the same for all series of a level, so that outliers, skew, zeros and what moves
a whole level are real. The calendar regression forecasts them every fortnight; the monitor learns from eight windows
and looks every day for the next half year. Then sales of a fifth of the series, or of all, are another level from some
day on, and the forecasts do not know of it.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.forecast_levels import panels
from benchmarks.telling import keep, say
from mercurios.forecasting import Grain, Panel, Windows, score_windows
from mercurios.forecasting.calendar import CalendarRegression
from mercurios.forecasting.drift import DAYS, MONTH_DAYS, Alarm, Monitor, learn, watch, watch_inputs

Numbers = npt.NDArray[np.float64]
Law = Callable[[np.random.Generator, Numbers], Numbers]

MONDAY = date(2024, 1, 1)
WINDOW = 28
START, LEARNT, WATCHED = 3, 9, 6  # windows; the oldest that is scored only lends its errors to the next
LENGTH = WINDOW * (START + LEARNT + WATCHED)
WEEK = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.8, 0.6])
PER_LAW, MOST_REAL = 20, 300
SEEDS, FIRST_SEED, SHIFTS = 8, 20_000, 4
SETTLED, LEAST_DAYS_SOLD = 56, 100
REAL = ("total_daily", "departments_daily", "stores_daily", "categories_daily", "categories_weekly", "products_weekly")
CHANGES = {f"{change:+.0%}": change for change in (-0.5, -0.3, -0.2, 0.2, 0.3, 0.5)}
MULTIPLES = {f"{errors:+}e": errors for errors in (-10, -8, -6, -4, 4, 6, 8, 10)}
"""Shifts as shares of the sales, and in usual errors: how far forecasts of a fortnight of a series usually are off."""
ERRORS = (0.0, 0.03, 0.05, 0.08, 0.12, 0.2, np.inf)
LARGER, WHOLE, EACH = "larger", "whole level", "each series"
LEAST_LEFT = 0.05
"""Bounds of classes: how far forecasts of a fortnight usually are off, as a share of its sales."""


def _autocorrelated(random: np.random.Generator, mean: Numbers) -> Numbers:
    noise = random.normal(0, 0.13, mean.shape)
    for day in range(1, mean.shape[1]):
        noise[:, day] += 0.5 * noise[:, day - 1]
    return mean * np.maximum(1 + noise, 0)


def _promoted(random: np.random.Generator, mean: Numbers) -> Numbers:
    lifted = np.where(random.random(mean.shape) < 0.03, 2.5, 1.0)
    return mean * lifted * random.lognormal(0, 0.2, mean.shape)


def _seldom(random: np.random.Generator, mean: Numbers) -> Numbers:
    return random.poisson(0.3 * mean / mean.mean(axis=1, keepdims=True), mean.shape) * 5.0


LAWS: dict[str, Law] = {
    "calm": lambda random, mean: mean * random.normal(1, 0.1, mean.shape),
    "normal": lambda random, mean: mean * np.maximum(random.normal(1, 0.2, mean.shape), 0),
    "lognormal": lambda random, mean: mean * random.lognormal(0, 0.35, mean.shape),
    "heavy": lambda random, mean: mean * np.maximum(1 + 0.12 * random.standard_t(3, mean.shape), 0),
    "autocorrelated": _autocorrelated,
    "promoted": _promoted,
    "seldom": _seldom,
}


@dataclass(frozen=True)
class Tally:
    """Alarms by kind, shifts by what they were; months: of series that were watched while nothing changed."""

    months: float = 0.0
    alarms: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.months + other.months,
            self.alarms + other.alarms,
            self.injected + other.injected,
            self.found + other.found,
        )

    @property
    def rate(self) -> float:
        """Alarms per 1,000 series-months."""
        return 1_000 * self.alarms.total() / self.months if self.months else 0.0

    def told(self) -> dict[str, Any]:
        """Figures; found is a share of those injected."""
        return {
            "series_months": round(self.months),
            "alarms": dict(sorted(self.alarms.items())),
            "per_1000_series_months": self.rate,
            "injected": dict(sorted(self.injected.items())),
            "found": {name: self.found[name] / count for name, count in sorted(self.injected.items())},
        }


@dataclass(frozen=True)
class Watched:
    """One level with its monitor and the forecasts it watches; days: those it looks on."""

    name: str
    panel: Panel
    monitor: Monitor
    kept: pl.DataFrame
    days: tuple[date, ...]

    @classmethod
    def of(cls, name: str, panel: Panel) -> "Watched":
        """Forecast and learn; raises what they raise."""
        horizon, step = WINDOW // panel.grain.days, DAYS // panel.grain.days
        method = {"calendar": CalendarRegression()}
        scored = score_windows(panel, method, Windows(horizon, WATCHED, LEARNT)).scored
        between = score_windows(panel.before(step), method, Windows(horizon, WATCHED, LEARNT)).scored
        kept = pl.concat([_kept(scored), _kept(between)])
        monitor = learn(scored.filter(pl.col("fold") < 0), level=name, grain=panel.grain)
        begin = scored.filter(pl.col("fold") == 0)["ds"].min()
        assert isinstance(begin, date)
        days = kept["ds"].unique().sort()
        return cls(name, panel, monitor, kept, tuple(days.filter(days >= begin + timedelta(days=DAYS))))

    def alarms(self, day: date, kept: pl.DataFrame) -> tuple[Alarm, ...]:
        """What is said on one day."""
        near = pl.col("ds").is_between(day - timedelta(days=2 * DAYS), day)
        return watch(self.monitor, kept.filter(near))


def _kept(scored: pl.DataFrame) -> pl.DataFrame:
    cutoff = pl.col("ds").min().over("fold") - pl.duration(days=1)
    return scored.filter(pl.col("fold") >= 0).with_columns(cutoff=cutoff).drop_nulls("hi80")


def synthetic(seed: int) -> Panel:
    """Series by day, named after their law."""
    random = np.random.default_rng(seed)
    parts: dict[str, Numbers] = {}
    for law, draw in LAWS.items():
        size = np.exp(random.uniform(np.log(20), np.log(400), (PER_LAW, 1)))
        season = np.stack([np.tile(np.roll(WEEK, number), LENGTH // 7) for number in range(PER_LAW)])
        parts |= {f"{law}|{number:02}": y for number, y in enumerate(draw(random, size * season))}
    return panel_of(np.stack(list(parts.values())), tuple(parts))


def drawn_again(panel: Panel, seed: int) -> Panel:
    """Fortnights of real days in a new order, the same for every series; of those known since their ninth week."""
    wide = panel.by_day.rows.pivot(on="unique_id", index="ds", values="y").sort("ds")
    monday = wide["ds"].dt.weekday().to_list().index(1)
    y = wide.drop("ds").to_numpy()[monday + SETTLED :]
    known = np.isfinite(y).all(axis=0)
    blocks = y[: len(y) // DAYS * DAYS, known].reshape(-1, DAYS, int(known.sum()))
    chosen = np.random.default_rng(seed).integers(len(blocks), size=LENGTH // DAYS)
    again = blocks[chosen].reshape(LENGTH, -1).T
    sold = (again > 0).sum(axis=1) > LEAST_DAYS_SOLD
    return panel_of(again[sold], tuple(np.array(wide.drop("ds").columns)[known][sold]))


def panel_of(y: Numbers, keys: tuple[str, ...]) -> Panel:
    """A panel by day of series × days, open every day."""
    ds = pl.date_range(MONDAY, MONDAY + timedelta(days=y.shape[1] - 1), "1d", eager=True)
    rows = pl.concat(
        [
            pl.DataFrame({"ds": ds, "y": own}).with_columns(unique_id=pl.lit(key))
            for key, own in zip(keys, y, strict=True)
        ]
    )
    rows = rows.select("unique_id", "ds", pl.col("y").round(2), is_open=pl.lit(value=True)).sort("unique_id", "ds")
    return Panel(rows, pl.DataFrame({"ds": ds}).with_columns(is_open=pl.lit(value=True)), Grain.DAY)


def by_week(panel: Panel) -> Panel:
    """The same series by week."""
    week = pl.col("ds").dt.truncate("1w")
    rows = panel.rows.group_by("unique_id", week).agg(pl.col("y").sum().round(2), pl.col("is_open").any())
    calendar = panel.calendar.group_by(week).agg(pl.col("is_open").any()).sort("ds")
    return Panel(rows.sort("unique_id", "ds"), calendar, Grain.WEEK, days=panel)


def quiet(level: Watched) -> Tally:
    """Alarms while nothing is changed; one that lasts counts once."""
    counted, before = Counter[str](), set[tuple[str, str | None]]()
    for day in level.days:
        now = {(alarm.kind, alarm.unique_id) for alarm in (*level.alarms(day, level.kept), *_inputs(level, day))}
        counted.update(f"{kind}{'' if key else ' of the level'}" for kind, key in now - before)
        before = now
    months = len(level.panel.keys) * len(level.days) * level.panel.grain.days / MONTH_DAYS
    return Tally(months, counted)


def _inputs(level: Watched, day: date) -> tuple[Alarm, ...]:
    days = level.panel.by_day
    seen = days.before((days.last_period - day).days)
    return watch_inputs(seen, fitted_on=day - timedelta(days=WINDOW), level=level.name)


def shifted(level: Watched, seed: int) -> Tally:
    """Shifts found within DAYS of their first, by how far forecasts usually are off; of the whole level, too."""
    random, errors, total = np.random.default_rng(seed), _errors(level), Tally()
    starts = [day for day in level.days if day <= level.days[-1] - timedelta(days=DAYS)]
    for _ in range(SHIFTS):
        start = starts[int(random.integers(len(starts)))]
        keys = random.choice(sorted(errors), max(1, len(errors) // 5), replace=False).tolist()
        for name, change in CHANGES.items():
            groups = {key: f"{_class(errors[key])} {name}" for key in keys}
            total += _found(level, start, dict.fromkeys(keys, 1 + change), groups)
            if level.monitor.common:
                total += _found(level, start, dict.fromkeys(errors, 1 + change), {None: f"{WHOLE} {name}"})
        for name, multiple in MULTIPLES.items():
            factors = {key: 1 + multiple * errors[key] for key in keys if 1 + multiple * errors[key] > LEAST_LEFT}
            total += _found(level, start, factors, dict.fromkeys(factors, f"{EACH} {name}"))
    return total


def _found(level: Watched, start: date, factors: dict[str, float], groups: Mapping[str | None, str]) -> Tally:
    """factors: on sales from `start` on. groups: how the shift of a series is counted, None is the level as a whole."""
    factor = pl.col("unique_id").replace_strict(factors, default=1.0, return_dtype=pl.Float64)
    kept = level.kept.with_columns(y=pl.when(pl.col("ds") >= start).then(pl.col("y") * factor).otherwise("y"))
    before = {alarm.unique_id for alarm in level.alarms(start - timedelta(days=1), kept)}
    days = [day for day in level.days if start <= day < start + timedelta(days=DAYS)]
    said = {alarm.unique_id for day in days for alarm in level.alarms(day, kept)}
    counted = [(name, key in said) for key, name in groups.items() if key not in before]
    return Tally(injected=Counter(name for name, _ in counted), found=Counter(name for name, hit in counted if hit))


def _errors(level: Watched) -> dict[str, float]:
    """How far forecasts of a fortnight usually are off, as a share of its sales, while nothing is changed."""
    fortnight = (pl.col("ds") - pl.col("ds").min()).dt.total_days() // DAYS
    ahead = (pl.col("ds") - pl.col("cutoff")).dt.total_days() <= DAYS
    sums = level.kept.filter(ahead).group_by("unique_id", fortnight).agg(pl.col("y").sum(), pl.col("mean").sum())
    off = ((pl.col("y") - pl.col("mean")) ** 2).mean().sqrt() / pl.col("y").mean()
    told = sums.group_by("unique_id").agg(off=off).filter(pl.col("off").is_finite())
    return dict(told.filter(pl.col("unique_id").is_in(level.monitor.series["unique_id"].to_list())).rows())


def _class(error: float) -> str:
    place = int(np.searchsorted(ERRORS, error, "right"))
    return f"{ERRORS[place - 1]:.0%} to {ERRORS[place]:.0%}" if ERRORS[place] < np.inf else LARGER


def run(seeds: int = SEEDS) -> dict[str, Any]:
    """All sources, each drawn `seeds` times."""
    real = [(level, panel) for level, panel in panels() if level.name in REAL]
    tallies: dict[str, Tally] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        days = synthetic(seed)
        sources = [("synthetic daily", days), ("synthetic weekly", by_week(days))]
        for level, panel in real:
            again = drawn_again(panel.only(panel.keys[:MOST_REAL]), seed)
            sources.append((level.name, by_week(again) if panel.grain is Grain.WEEK else again))
        for name, panel in sources:
            watched = Watched.of(name, panel)
            tallies[name] = tallies.get(name, Tally()) + quiet(watched) + shifted(watched, seed)
    return summed(tallies)


def summed(tallies: dict[str, Tally]) -> dict[str, Any]:
    """The figures by source, and over all of them."""
    everything = sum(tallies.values(), Tally())
    return {
        "per_1000_series_months": everything.rate,
        "series_months": round(everything.months),
        "sources": {name: tally.told() for name, tally in {**tallies, "all": everything}.items()},
    }


def summary(results: dict[str, Any]) -> str:
    """The figures as text: false alarms by source, then shares found by how far forecasts usually are off."""
    lines = ["false alarms per 1,000 series-months"]
    for name, told in results["sources"].items():
        kinds = ", ".join(f"{kind} {count}" for kind, count in told["alarms"].items())
        lines.append(f"{name:20}{told['per_1000_series_months']:6.2f} of {told['series_months']:6}  {kinds}")
    lines.append(f"\nshifts found in {DAYS} days, by the usual error of a fortnight's forecast; (how many)")
    for name, told in results["sources"].items():
        lines += _curves(name, told["found"], told["injected"])
    return "\n".join(lines) + "\n"


def _curves(name: str, found: dict[str, float], injected: dict[str, int]) -> Iterator[str]:
    classes = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(ERRORS[:-1])]
    for group in (*classes, LARGER, WHOLE, EACH):
        sizes = [size for size in (*CHANGES, *MULTIPLES) if f"{group} {size}" in found]
        if sizes:
            curve = "  ".join(f"{size} {found[f'{group} {size}']:.2f}" for size in sizes)
            yield f"{name:20}{group:12} ({injected[f'{group} {sizes[-1]}']:5}): {curve}"


def main() -> None:
    """Print the figures and keep them in benchmarks/results/drift.json."""
    parser = argparse.ArgumentParser(description="Drift: false alarms and level shifts found.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many times every source is drawn")
    results = run(parser.parse_args().seeds)
    say(summary(results))
    keep("drift", results)


if __name__ == "__main__":
    main()
