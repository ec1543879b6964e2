"""The gate: who may become champion, with one written reason per check.

    decision = decide(challenger, champion, GateRules())
    decision.promoted, decision.told

A first champion has nobody to be compared with: it has to beat the baseline and to pass what needs no champion.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.evidence import (
    INTERVAL,
    Evidence,
    TrainingData,
    diebold_mariano,
    noise_share,
    paired,
    with_intervals,
)
from mercurios.forecasting.intervals import BOUNDS
from mercurios.forecasting.scores import coverage, wape

_GROUPS = {"tenant_id": "tenant", "level": "level", "demand_class": "demand class"}
_CHANCE = 3.0  # standard errors


@dataclass(frozen=True)
class GateRules:
    """What is asked of a challenger; shares are fractions.

    margin: by how much its WAPE must be below the champion's. most_p: the significance that asks for.
    group_tolerance: by how much it may be above the champion's for a tenant, or for a level or demand class that holds
    at least big_share of the sales. coverage_points: how far coverage may be from its target, beyond three standard
    errors of so many observations. interval_tolerance: by how much its scaled interval score may be above the
    champion's (the baseline's, where there is none). Levels, classes and interval scores may rest on little: they count
    as worse only at the significance worse_p. least_noise_share: an error below that share of what noise leaves is not
    believed. most_change: relative; up to there two forecasts are the same. fresh_days: how old data may be.
    """

    margin: float = 0.01
    most_p: float = 0.05
    group_tolerance: float = 0.02
    big_share: float = 0.05
    worse_p: float = 0.1
    coverage_points: float = 0.04
    interval_tolerance: float = 0.05
    least_noise_share: float = 0.5
    most_change: float = 1e-6
    fresh_days: float = 3.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    passed: bool
    told: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'} {self.name}: {self.told}"


@dataclass(frozen=True)
class Decision:
    """Promoted when every check passed."""

    promoted: bool
    checks: tuple[Check, ...]

    @property
    def told(self) -> str:
        """One line per check."""
        return "\n".join(map(str, self.checks))

    @property
    def refused_by(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)


def decide(challenger: Evidence, champion: Evidence | None, rules: GateRules) -> Decision:
    """Let the challenger through or not; what was not tried counts as failed.

    champion: who predicts now, measured in the same windows; None when there is none.
    Raises ModelError when the challenger has no rows or comes without its baseline.
    """
    if challenger.scored.is_empty() or challenger.baseline is None:
        raise ModelError(f"{challenger.name}: expected scored windows and the baseline in them; run the backtest first")
    checks = [
        *(_against(challenger, champion, rules) if champion else ()),
        _beats_baseline(challenger.scored, challenger.baseline),
        *_calibrated(challenger.scored, rules),
        _sharp(challenger.scored, champion.scored if champion else challenger.baseline, rules),
        _blind(challenger, rules),
        _plausible(challenger.scored, rules),
        _fresh(challenger, rules),
        _own_data(challenger),
        _reproducible(challenger, rules),
        Check("not rolled back", not challenger.withdrawn, challenger.withdrawn or "this method was never rolled back"),
    ]
    return Decision(all(check.passed for check in checks), tuple(checks))


def _against(challenger: Evidence, champion: Evidence, rules: GateRules) -> Iterator[Check]:
    pairs = paired(challenger.scored, champion.scored)
    same = _same_truth(pairs, challenger.scored, champion.scored)
    yield same
    if not same.passed:
        return
    ours, theirs = (float(pairs[name].sum()) for name in ("error", "error_than"))
    sold = float(pairs["y"].abs().sum()) or math.nan
    better = ours <= (1 - rules.margin) * theirs and theirs > 0
    told = (
        f"WAPE {ours / sold:.4f} against {theirs / sold:.4f} of {champion.name}, at least {rules.margin:.1%} less asked"
    )
    yield Check("better than the champion", better, told)
    found = diebold_mariano(challenger.scored, champion.scored)
    told = f"p {found.p_value:.4f} over {found.periods} periods (Diebold-Mariano), at most {rules.most_p} asked"
    yield Check("by more than chance", found.p_value <= rules.most_p, told)
    for column in _GROUPS:
        yield _no_worse(challenger.scored, champion.scored, column, rules)


def _same_truth(pairs: pl.DataFrame, ours: pl.DataFrame, theirs: pl.DataFrame) -> Check:
    other = float((pairs["y"] - pairs["y_than"]).abs().sum())
    same = pairs.height == ours.height == theirs.height and other == 0
    told = f"{pairs.height} of {ours.height} rows also in the champion's {theirs.height}"
    return Check("the same windows", same, told + ("" if other == 0 else ", with other truths"))


def _no_worse(ours: pl.DataFrame, theirs: pl.DataFrame, column: str, rules: GateRules) -> Check:
    pairs = paired(ours, theirs)
    sums = pairs.group_by(column).agg(pl.col("error", "error_than").sum(), sold=pl.col("y").abs().sum()).sort(column)
    every = column == "tenant_id"
    big = sums if every else sums.filter(pl.col("sold") >= rules.big_share * float(sums["sold"].sum()))
    worse = []
    for row in big.filter(pl.col("error") > (1 + rules.group_tolerance) * pl.col("error_than")).to_dicts():
        own = pl.col(column) == row[column]
        if every or diebold_mariano(theirs.filter(own), ours.filter(own)).p_value <= rules.worse_p:
            by = row["error"] / row["error_than"] - 1 if row["error_than"] else math.inf
            worse.append(f"{row[column]} by {by:.1%}")
    told = f"worse for {', '.join(worse)}" if worse else f"{big.height} compared"
    return Check(f"no {_GROUPS[column]} worse", not worse, f"{told}, {rules.group_tolerance:.0%} are allowed")


def _beats_baseline(ours: pl.DataFrame, baseline: pl.DataFrame) -> Check:
    mine, theirs = (wape(rows["y"], rows["mean"]) for rows in (ours, baseline))
    return Check("better than the baseline", mine < theirs, f"WAPE {mine:.4f} against {theirs:.4f}")


def _calibrated(scored: pl.DataFrame, rules: GateRules) -> Iterator[Check]:
    judged = scored.drop_nulls(BOUNDS)
    for share in (80, 95):
        name, target = f"{share} % intervals hold", share / 100
        if judged.is_empty():
            yield Check(name, False, "no window has intervals; the backtest needs two at least")
            continue
        found = coverage(judged["y"], judged[f"lo{share}"], judged[f"hi{share}"])
        allowed = rules.coverage_points + _CHANCE * math.sqrt(target * (1 - target) / judged.height)
        told = f"coverage {found:.3f} of {judged.height} observations, {target:.2f} ± {allowed:.3f} asked"
        yield Check(name, abs(found - target) <= allowed, told)


def _sharp(ours: pl.DataFrame, theirs: pl.DataFrame, rules: GateRules) -> Check:
    mine, other = with_intervals(ours), with_intervals(theirs)
    pairs = paired(mine, other, INTERVAL)
    loss, known = (float(pairs[name].mean() or math.nan) for name in ("error", "error_than"))  # type: ignore[arg-type]
    worse = loss > (1 + rules.interval_tolerance) * known
    by_chance = worse and diebold_mariano(other, mine, INTERVAL).p_value > rules.worse_p
    told = f"scaled interval score {loss:.3f} against {known:.3f}, {rules.interval_tolerance:.0%} more allowed"
    passed = pairs.height > 0 and (not worse or by_chance)
    return Check("intervals as sharp", passed, f"{told}; so much more may be chance" if by_chance else told)


def _blind(challenger: Evidence, rules: GateRules) -> Check:
    name = "no leakage"
    if challenger.leak is None:
        return Check(name, False, "it was not tried whether forecasts follow what lies after the cutoff")
    told = f"with all after the cutoff changed, forecasts move by {challenger.leak:.2g} of their size"
    return Check(name, challenger.leak <= rules.most_change, told)


def _plausible(scored: pl.DataFrame, rules: GateRules) -> Check:
    share = noise_share(scored)
    told = f"the error is {share:.2f} of what noise leaves, less than {rules.least_noise_share} is not believed"
    return Check("a plausible error", not share < rules.least_noise_share, told)


def _fresh(challenger: Evidence, rules: GateRules) -> Check:
    name = "fresh data"
    if not challenger.used or challenger.judged_at is None:
        return Check(name, False, "it is not known which data were used, or when")
    oldest = min(challenger.used, key=lambda data: data.as_of)
    age = challenger.judged_at - oldest.as_of
    told = f"release {oldest.release} is {age / timedelta(days=1):.1f} days old, {rules.fresh_days:g} are allowed"
    return Check(name, age <= timedelta(days=rules.fresh_days), told)


def _own_data(challenger: Evidence) -> Check:
    name = "the data that were named"
    if not challenger.asked:
        return Check(name, False, "nobody told which data were meant")
    strangers = set(challenger.used) ^ set(challenger.asked)
    if strangers:
        return Check(name, False, f"asked for {_named(challenger.asked)}, fitted on {_named(challenger.used)}")
    return Check(name, True, f"fitted on {_named(challenger.used)}")


def _named(data: tuple[TrainingData, ...]) -> str:
    return ", ".join(f"{one.tenant_id} {one.release} rows {one.digest[:12]}" for one in data) or "nothing known"


def _reproducible(challenger: Evidence, rules: GateRules) -> Check:
    name = "reproducible"
    if challenger.reproduced is None:
        return Check(name, False, "it was not tried to forecast again from the logged inputs")
    told = f"forecast again from the logged inputs, it differs by {challenger.reproduced:.2g} of its size"
    return Check(name, challenger.reproduced <= rules.most_change, told)
