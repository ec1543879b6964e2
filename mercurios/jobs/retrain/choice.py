"""The choice of a method: who takes part, and when methods were compared.

    standing(desk.registry, "north.forecast.branch", spec)      # between comparisons: the champion and its shadow
    compared(desk.registry, "north.forecast.branch", spec, on=cutoff)

Between comparisons the champion is fitted anew on every night's data, and so is the challenger that shadows it; nobody
else is tried. Both stay what they are, and keep the windows they were chosen in: drift is told from those.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from mercurios.forecasting import Candidate, LevelSpec
from mercurios.forecasting.candidates import build, describe
from mercurios.jobs.retrain.desk import SCORED_WINDOWS, table_of
from mercurios.jobs.retrain.promotion import INCUMBENT, find_incumbent, with_incumbent
from mercurios.registry import CHALLENGER, CHAMPION, Registry

CHOSEN_ON = "chosen_on"
"""Tag: the last day that was known when the methods were compared."""
SPECIFICATION = "specification"
"""Tag: fingerprint of the level's specification then."""
SHADOW = "Shadow"


@dataclass(frozen=True)
class Choice:
    """Contenders by name; the names of the champion and the challenger so far, None where there is none.

    tags: of every version that comes of it. windows: what a contender was chosen in, where that is over.
    """

    contenders: Mapping[str, Candidate]
    champion: str | None
    challenger: str | None
    tags: Mapping[str, str]
    windows: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def compared(registry: Registry, name: str, spec: LevelSpec, *, on: date) -> Choice:
    """Everybody takes part, the champion so far as well."""
    contenders, champion = with_incumbent(spec.candidates, find_incumbent(registry, name, build))
    return Choice(contenders, champion, None, {CHOSEN_ON: str(on), SPECIFICATION: fingerprint(spec)})


def standing(registry: Registry, name: str, spec: LevelSpec) -> Choice | None:
    """The champion, its shadow and the baseline; None when there is no champion that can be fitted."""
    champion, challenger = (find_incumbent(registry, name, build, alias) for alias in (CHAMPION, CHALLENGER))
    held = registry.find(name, CHAMPION)
    if champion is None or held is None:
        return None
    known = {each: candidate for each, candidate in spec.candidates.items() if candidate in (champion, challenger)}
    contenders = {spec.baseline: spec.candidates[spec.baseline], **known}
    names: dict[str, str] = {}
    for alias, method, otherwise in ((CHAMPION, champion, INCUMBENT), (CHALLENGER, challenger, SHADOW)):
        if method is not None:
            names[alias] = next((each for each, candidate in contenders.items() if candidate == method), otherwise)
            contenders[names[alias]] = method
    tags = {tag: held.tags[tag] for tag in (CHOSEN_ON, SPECIFICATION) if tag in held.tags}
    versions = {each: version for alias, each in names.items() if (version := registry.find(name, alias))}
    windows = {each: table_of(registry, version, SCORED_WINDOWS) for each, version in versions.items()}
    return Choice(contenders, names[CHAMPION], names.get(CHALLENGER), tags, windows)


def fingerprint(spec: LevelSpec) -> str:
    """Of everything the specification of a level says."""
    methods = {name: describe(candidate) for name, candidate in spec.candidates.items()}
    told = spec.model_dump(mode="json", exclude={"candidates"}) | {"candidates": methods}
    return hashlib.blake2b(json.dumps(told, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
