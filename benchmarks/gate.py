"""The gate put to the test: seeded challengers that must not pass, and ones that must.

    python -m benchmarks.gate [--more 10]

Every contest has a shop of its own: three merchants of different size with twelve series each, three of them
intermittent, weekly patterns and noise, fitted and backtested by the code that retrains. The champion is the mean of
the last two same weekdays. A good challenger takes the mean of more of them: with noise that does not depend on the
past, the standard deviation of its error is sqrt((1 + 1/8) / (1 + 1/2)) = 0.87 or sqrt((1 + 1/4) / (1 + 1/2)) = 0.91 of
the champion's, so it is better by 8 % at least in expectation. A bad one is as good as a good one, or looks better, but
for its flaw.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.telling import keep, say
from mercurios.forecasting import (
    Backtest,
    Candidate,
    FittedLevel,
    Grain,
    Panel,
    Windows,
    fit_part,
    score_windows,
    split_series,
)
from mercurios.forecasting.candidates import SeasonalNaive, future
from mercurios.forecasting.evidence import Evidence, TrainingData, difference, digest, leak, told_of
from mercurios.forecasting.gate import Decision, GateRules, decide
from mercurios.forecasting.intervals import BOUNDS, banded
from mercurios.forecasting.scores import wape
from mercurios.forecasting.series import Rules

TENANTS = {"north": 1.0, "south": 2.0, "west": 4.0}
SERIES, INTERMITTENT = 12, (9, 10, 11)
HORIZON, FOLDS = 14, 4
DAYS = 84 + HORIZON * FOLDS
FIRST = date(2025, 1, 6)
NOW = datetime(2025, 5, 27, 4, tzinfo=UTC)
RELEASE, OLD_RELEASE = "r000012", "r000002"
RULES = Rules(Grain.DAY, min_periods_sold=20, active_periods=28, tail_periods=56)
WEEK = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.8, 0.6])
BASELINE, CHAMPION = "SeasonalNaive", "champion"


class WeekdayMean(Candidate, frozen=True):
    """The mean of the last `weeks` same weekdays."""

    weeks: int

    def forecast(self, panel: Panel, horizon: int) -> pl.DataFrame:
        """See `Candidate.forecast`."""
        recent = panel.rows.filter(pl.col("ds") > panel.last_period - timedelta(weeks=self.weeks))
        weekday = pl.col("ds").dt.weekday().alias("weekday")
        means = recent.group_by("unique_id", weekday).agg(mean=pl.col("y").sort_by("ds").mean().round(6))
        ahead = future(panel, horizon).with_columns(weekday)
        return ahead.join(means, on=["unique_id", "weekday"], how="left").select("unique_id", "ds", "mean")


@dataclass(frozen=True)
class Shop:
    """Sales of one seed: key, sold_on, revenue, and footfall, which is counted at the door while it sells."""

    seed: int
    weeks: int

    @cached_property
    def random(self) -> np.random.Generator:
        """Chance, for what is drawn after the sales."""
        return np.random.default_rng([self.seed, 1])

    @cached_property
    def sales(self) -> pl.DataFrame:
        """One row per series and day with a sale."""
        random, days = np.random.default_rng(self.seed), np.arange(DAYS)
        parts = []
        for tenant, size in TENANTS.items():
            for number in range(SERIES):
                level = size * np.exp(random.uniform(np.log(40), np.log(400)))
                y = level * np.roll(WEEK, number)[days % 7] * random.lognormal(0, 0.3, DAYS)
                if number in INTERMITTENT:
                    y *= random.random(DAYS) < 0.5
                footfall = np.round(y**0.8 * random.lognormal(0, 0.05, DAYS), 2)
                rows = {"sold_on": days, "revenue": y.round(2), "footfall": footfall}
                parts.append(pl.DataFrame(rows).with_columns(key=pl.lit(f"{tenant}|{number}")))
        dated = pl.concat(parts).with_columns(sold_on=pl.lit(FIRST) + pl.duration(days="sold_on"))
        return dated.filter(pl.col("revenue") > 0)

    @cached_property
    def panel(self) -> Panel:
        """The series."""
        return panel_of(self.sales)

    @cached_property
    def trial(self) -> Backtest:
        """Champion, baseline and an honest challenger in the same windows."""
        named = {
            BASELINE: SeasonalNaive(season_length=7),
            CHAMPION: WeekdayMean(weeks=2),
            "challenger": WeekdayMean(weeks=self.weeks),
        }
        return score_windows(self.panel, named, Windows(HORIZON, FOLDS))

    def rows(self, name: str) -> pl.DataFrame:
        """The windows of one contender as the gate is told of them."""
        return told_by_merchant(self.trial.scored_by(name))

    def data(self, release: str, as_of: datetime) -> tuple[TrainingData, ...]:
        """What each merchant's rows are called."""
        return tuple(
            TrainingData(tenant, release, as_of, digest(self.own_rows(tenant), tenant_id=tenant, release=release))
            for tenant in TENANTS
        )

    def own_rows(self, tenant: str) -> pl.DataFrame:
        """One merchant's series."""
        return self.panel.rows.filter(pl.col("unique_id").str.starts_with(f"{tenant}|"))

    def honest(self) -> Evidence:
        """All that is known of the honest challenger: it was fitted, perturbed, stored and fitted again."""
        fitted = FittedLevel((fit_part(self.panel, self.trial, "challenger"),))
        with tempfile.TemporaryDirectory() as folder:
            fitted.save(Path(folder))
            again = FittedLevel.load(Path(folder)).forecast(HORIZON)
        data = self.data(RELEASE, NOW - timedelta(hours=3))
        return Evidence(
            "challenger",
            self.rows("challenger"),
            self.rows(BASELINE),
            data,
            data,
            NOW,
            self.leak_of(lambda sales: window(sales, WeekdayMean(weeks=self.weeks))),
            difference(fitted.forecast(HORIZON), again, step=0.01),
        )

    def leak_of(self, forecaster: Callable[[pl.DataFrame], pl.DataFrame]) -> float:
        """Whether a forecaster of the last window sees what lies after its cutoff."""
        cutoff = self.panel.before(HORIZON).cutoff
        return leak(forecaster, self.sales, cutoff=cutoff, time="sold_on", known=("key",))


def told_by_merchant(scored: pl.DataFrame) -> pl.DataFrame:
    """Rows of a backtest with whose series they are of."""
    rows = told_of(scored, tenant_id="", level="category")
    return rows.with_columns(tenant_id=pl.col("unique_id").str.split("|").list.first())


def told_anew(scored: pl.DataFrame) -> pl.DataFrame:
    """The same, where forecasts were changed: with intervals from the errors they make now."""
    return told_by_merchant(banded(scored.drop(BOUNDS)))


def panel_of(sales: pl.DataFrame) -> Panel:
    """Series of all merchants."""
    return split_series(sales, RULES, until=FIRST + timedelta(days=DAYS - 1)).modelled


def window(sales: pl.DataFrame, candidate: Candidate) -> pl.DataFrame:
    """The forecast of the last window."""
    return candidate.forecast(panel_of(sales).before(HORIZON), HORIZON)


def leaked_feature(shop: Shop, honest: Evidence) -> Evidence:
    """Forecasts follow the door counter of the day they are for; in three of ten the truth is hidden in the model."""
    if shop.seed % 10 < 3:
        scored = shop.trial.scored_by("challenger").with_columns(mean=0.2 * pl.col("mean") + 0.8 * pl.col("y"))
        return replace(honest, scored=told_anew(scored))
    honestly = WeekdayMean(weeks=shop.weeks)
    scored = peeked(shop.trial.scored_by("challenger"), shop.sales)
    return replace(
        honest,
        scored=told_anew(scored),
        leak=shop.leak_of(lambda sales: peeked(window(sales, honestly), sales)),
    )


def peeked(forecast: pl.DataFrame, sales: pl.DataFrame) -> pl.DataFrame:
    """A forecast after a look at who came that day: a little more where more came than on most such weekdays."""
    counted = sales.select("footfall", unique_id="key", ds="sold_on").with_columns(
        usual=pl.col("footfall").mean().over("unique_id", pl.col("ds").dt.weekday())
    )
    known = forecast.join(counted, on=["unique_id", "ds"], how="left")
    more = (pl.col("footfall") / pl.col("usual")).fill_null(1.0)
    return known.with_columns(mean=pl.col("mean") * more**0.3).select(forecast.columns)


def stale_release(shop: Shop, honest: Evidence) -> Evidence:
    """An old release, called by its name; in every other one the name of the new one was asked for."""
    old = shop.data(OLD_RELEASE, NOW - timedelta(days=10))
    return replace(honest, used=old, asked=honest.asked if shop.seed % 2 else old)


def swapped_tenants(shop: Shop, honest: Evidence) -> Evidence:
    """North is fitted on the rows of south and the other way; in every other one its windows are theirs as well."""
    other = {"north": "south", "south": "north", "west": "west"}
    used = tuple(
        replace(one, digest=digest(shop.own_rows(other[one.tenant_id]), tenant_id=one.tenant_id, release=RELEASE))
        for one in honest.used
    )
    if shop.seed % 2:
        return replace(honest, used=used)
    return replace(honest, scored=honest.scored.with_columns(pl.col("tenant_id").replace(other)), used=used)


def flat_intervals(shop: Shop, honest: Evidence) -> Evidence:
    """No width; one width for all; far too wide; nearly none or far too wide, with the coverage that is meant."""
    rows, mean = honest.scored, pl.col("mean")
    judged, errors = pl.col("lo80").is_not_null(), rows.drop_nulls(BOUNDS).select(pl.col("y") - mean).to_series()
    quantiles = {
        name: float(errors.quantile(share) or 0) for name, share in zip(BOUNDS, (0.1, 0.9, 0.025, 0.975), strict=True)
    }
    lucky = pl.Series(shop.random.random(rows.height))
    width = 20 * pl.col("scale")
    made: list[Callable[[str], pl.Expr]] = [
        lambda name: mean,
        lambda name: mean + quantiles[name],
        lambda name: mean + 10 * (pl.col(name) - mean),
        lambda name: (
            mean
            + pl.when(pl.lit(lucky) < (0.8 if "80" in name else 0.95)).then(width).otherwise(1e-6)
            * (1 if name.startswith("hi") else -1)
        ),
    ]
    bounds = [pl.when(judged).then(made[shop.seed % len(made)](name)).alias(name) for name in BOUNDS]
    return replace(honest, scored=rows.with_columns(bounds))


def one_tenant_worse(shop: Shop, honest: Evidence) -> Evidence:
    """The smallest merchant gets last week again, 15 % more error than the champion's; or a quarter too much."""
    worse = pl.col("tenant_id") == "north"
    if shop.seed % 2:
        return replace(honest, scored=pl.concat([honest.scored.filter(~worse), shop.rows(BASELINE).filter(worse)]))
    high = shop.trial.scored_by("challenger").with_columns(
        mean=pl.when(pl.col("unique_id").str.starts_with("north")).then(1.25 * pl.col("mean")).otherwise("mean")
    )
    return replace(honest, scored=told_anew(high))


FLAWS: Mapping[str, Callable[[Shop, Evidence], Evidence]] = {
    "leaked feature": leaked_feature,
    "stale release": stale_release,
    "swapped tenants": swapped_tenants,
    "flat intervals": flat_intervals,
    "one tenant worse": one_tenant_worse,
}


@dataclass(frozen=True)
class Contest:
    """What became of one challenger; gain: how much less error it has than the champion, as it looks; a fraction."""

    kind: str
    seed: int
    gain: float
    decision: Decision


def contest(kind: str, seed: int) -> Contest:
    """One challenger of a kind: a flaw's name, or `better`."""
    shop = Shop(seed, weeks=8 if kind != "better" or seed % 2 else 4)
    challenger = shop.honest()
    if kind != "better":
        challenger = FLAWS[kind](shop, challenger)
    champion = Evidence(CHAMPION, shop.rows(CHAMPION))
    ours, theirs = (wape(rows["y"], rows["mean"]) for rows in (challenger.scored, champion.scored))
    return Contest(kind, seed, 1 - ours / theirs, decide(challenger, champion, GateRules()))


def contests(each: int = 10, better: int = 20) -> list[Contest]:
    """Challengers of every flaw, and better ones."""
    kinds = [kind for kind in FLAWS for _ in range(each)] + ["better"] * better
    return [contest(kind, seed) for seed, kind in enumerate(kinds, start=1_000)]


def main() -> None:
    """Print who was promoted and which checks refused the others, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", type=int, default=1, help="so many times as many contests")
    more = parser.parse_args().more
    fought = contests(10 * more, 20 * more)
    results = {}
    for kind in (*FLAWS, "better"):
        own = [one for one in fought if one.kind == kind]
        promoted = sum(one.decision.promoted for one in own)
        refused = Counter(check.name for one in own for check in one.decision.refused_by)
        gains = [one.gain for one in own]
        results[kind] = {"challengers": len(own), "promoted": promoted, "refused_by": refused, "least_gain": min(gains)}
        why = ", ".join(f"{name} {count}" for name, count in refused.most_common())
        say(
            f"{kind:18}{promoted:4} of {len(own)} promoted; error less by {min(gains):.1%} to {max(gains):.1%}; {why}\n"
        )
    if more == 1:
        keep("gate", results)


if __name__ == "__main__":
    main()
