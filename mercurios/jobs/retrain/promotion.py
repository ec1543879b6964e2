"""Promotion: who becomes champion, and why.

    verdict = judge({"SeasonalNaive": 0.80, "AutoETS": 0.61}, Contest("WAPE", "SeasonalNaive"))
    verdict.champion, verdict.reason

Everybody is measured on the same backtest, the champion of last time included, with the hyperparameters it was
registered with. The best becomes champion when it beats the baseline; the champion of last time keeps its place in a
draw; when nobody beats the baseline, the baseline is the champion. A forecast that is new at the top has the gate
before it: refused, it stays challenger, and the better one of the champion so far and the baseline predicts.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from mercurios.errors import ConfigError, ModelError
from mercurios.forecasting.gate import Decision
from mercurios.registry import CHAMPION, Registry

log = structlog.get_logger(__name__)
Contender = TypeVar("Contender")

INCUMBENT = "Incumbent"


@dataclass(frozen=True)
class Contest:
    """What is measured, who has to be beaten, and who holds the title (None the first time)."""

    metric: str
    baseline: str
    incumbent: str | None = None
    lower_is_better: bool = True


@dataclass(frozen=True)
class Verdict:
    """The champion, and the challenger that did not make it, if there is one worth keeping."""

    champion: str
    reason: str
    challenger: str | None = None
    challenger_reason: str = ""


def judge(values: Mapping[str, float], contest: Contest) -> Verdict:
    """Decide between contenders, measured alike; NaN takes no part.

    Raises ModelError when the baseline was not measured.
    """
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    if contest.baseline not in known:
        raise ModelError(f"expected the baseline {contest.baseline} to be measured, got {', '.join(known) or 'nobody'}")
    sign = 1 if contest.lower_is_better else -1
    ranked = sorted(known, key=lambda name: (sign * known[name], name != contest.incumbent))
    best, to_beat = ranked[0], known[contest.baseline]
    told = {name: f"{name} ({contest.metric} {value:.4f})" for name, value in known.items()}
    if sign * known[best] >= sign * to_beat:
        rest = next((name for name in ranked if name not in {contest.baseline, contest.incumbent}), None)
        why = f"does not beat the baseline {told[contest.baseline]}"
        reason = f"nobody beats the baseline {told[contest.baseline]}"
        return Verdict(contest.baseline, reason, rest, f"{told[rest]} {why}" if rest else "")
    if best == INCUMBENT:
        rest = next(name for name in ranked if name != INCUMBENT)
        reason = f"{told[best]} keeps its place: {told[rest]} is not better, the baseline is {told[contest.baseline]}"
        return Verdict(best, reason, rest, f"{told[rest]} is worse than the champion {told[best]}")
    beaten = f"{told[best]} beats the baseline {told[contest.baseline]}"
    held = contest.incumbent
    if held in known and held != best:
        return Verdict(best, f"{beaten} and the champion so far, {told[held]}")
    return Verdict(best, f"{beaten}; {'it was champion before' if held == best else 'there was no champion before'}")


def gated(verdict: Verdict, decision: Decision, values: Mapping[str, float], contest: Contest) -> Verdict:
    """What becomes of a verdict on `values` and `contest` whose champion was put to the gate."""
    best = verdict.champion
    if decision.promoted:
        return replace(verdict, reason=f"{verdict.reason}; passed all {len(decision.checks)} checks of the gate")
    why = "; ".join(f"{check.name}: {check.told}" for check in decision.refused_by)
    rest = {name: value for name, value in values.items() if name in {contest.baseline, contest.incumbent}}
    instead = judge(rest, contest).champion
    refused = f"{best} ({contest.metric} {values[best]:.4f}) did not pass the gate: {why}"
    place = "keeps its place" if instead == contest.incumbent else "predicts as the baseline"
    return Verdict(instead, f"{instead} ({contest.metric} {values[instead]:.4f}) {place}: {refused}", best, refused)


def with_incumbent(
    candidates: Mapping[str, Contender], incumbent: Contender | None
) -> tuple[dict[str, Contender], str | None]:
    """All who take part, and the incumbent's name among them; one that the specification no longer has joins anew."""
    if incumbent is None:
        return dict(candidates), None
    for name, candidate in candidates.items():
        if candidate == incumbent:
            return dict(candidates), name
    return {**candidates, INCUMBENT: incumbent}, INCUMBENT


def find_incumbent(
    registry: Registry, name: str, build: Callable[..., Contender], alias: str = CHAMPION
) -> Contender | None:
    """The method of the champion, or who has another alias, as it was registered.

    None when nobody has it, or this version of the software cannot build it.
    """
    holder = registry.find(name, alias)
    if holder is None:
        return None
    try:
        plain: dict[str, Any] = json.loads(holder.tags.get("candidate", "{}"))
        return build(**plain)
    except (ConfigError, TypeError, json.JSONDecodeError) as error:
        log.warning("incumbent cannot be measured", model=name, version=holder.version, error=str(error))
        return None
