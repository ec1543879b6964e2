"""Mixes: a bad day composed by a seed, that a patient reader gets through.

    seeded_faults(7)                                   # the same faults and changes on every run
    seeded_faults(7, Mix(requests=40, entities=("sale",), kinds=("status", "closed")))

Troubles come one at a time, with as many clean requests after each as could be in it, and end with the last request
of the mix. So no page is refused more than `_MOST` times in a row, and no token twice in a row.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from mercurios.errors import ConfigError
from mercurios.sandbox.changes import Change
from mercurios.sandbox.faults import Closed, Cut, Drift, Effect, Expired, Fault, Faults, Repeated, Slow, Status

TROUBLES = ("status", "closed", "cut", "slow", "expired", "repeated")
CHANGES = ("insert", "late", "update", "delete", "mark_deleted")
KINDS = (*TROUBLES, "login", "drift", *CHANGES)
_MOST = 3
_EVERY = 8
_STATUSES = (429, 500, 502, 503, 504)
_UNTRACKED = "order"


@dataclass(frozen=True)
class Mix:
    """What a seed may draw from: the first so many requests, so many changes, these entities and kinds of trouble.

    slow_seconds: the longest that a slow page takes. late: the longest that a late commit is late. Also to be had,
    and not in `KINDS`: "silent", an update that leaves lastChange as it was.
    """

    requests: int = 400
    changes: int = 20
    entities: tuple[str, ...] = ("article", "articlesize", "customer", "sale")
    kinds: tuple[str, ...] = KINDS
    slow_seconds: float = 0.05
    late: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - {*KINDS, "silent"}):
            raise ConfigError(f"unknown kinds of trouble {', '.join(unknown)}; there are {', '.join(KINDS)}, silent")


def seeded_faults(seed: int, mix: Mix | None = None) -> Faults:
    """Faults and changes by a seed; the same for the same seed and mix."""
    mix = mix or Mix()
    chance = random.Random(f"faults/{seed}")
    is_login = "login" in mix.kinds
    return Faults(
        orders=tuple(_orders(chance, mix)),
        drifts=tuple(_drifts(chance, mix)),
        changes=seeded_changes(seed, mix),
        login_statuses=tuple(_refusals(chance)) if is_login else (),
        refresh_statuses=(chance.choice((Status(401), Status(503), None)), None, Status(401)) if is_login else (),
        seed=seed,
    )


def seeded_changes(seed: int, mix: Mix | None = None) -> tuple[Change, ...]:
    """Changes by a seed, in the order in which requests bring them about."""
    mix = mix or Mix()
    chance = random.Random(f"changes/{seed}")
    kinds = [kind for kind in mix.kinds if kind in CHANGES or kind == "silent"]
    if not kinds or not mix.entities:
        return ()
    at = sorted(chance.randint(1, max(1, mix.requests)) for _ in range(mix.changes))
    return tuple(_change(chance, mix, kinds, request) for request in at)


def _orders(chance: random.Random, mix: Mix) -> Iterator[Fault]:
    kinds = [kind for kind in mix.kinds if kind in TROUBLES]
    for start in range(1, mix.requests - 2 * _MOST + 1, _EVERY) if kinds else ():
        kind = chance.choice(kinds)
        first = start + chance.randint(0, _EVERY - 2 * _MOST)
        for request in range(first, first + (1 if kind == "expired" else chance.randint(1, _MOST))):
            yield Fault(_effect(chance, mix, kind), request=request)


def _effect(chance: random.Random, mix: Mix, kind: str) -> Effect:
    effects: dict[str, Effect] = {
        "status": Status(chance.choice(_STATUSES), chance.choice((None, 0)), chance.random() < 0.3),
        "closed": Closed(chance.random()),
        "cut": Cut(chance.random()),
        "slow": Slow(chance.uniform(0.01, max(0.01, mix.slow_seconds))),
        "expired": Expired(),
        "repeated": Repeated(chance.randint(1, 50)),
    }
    return effects[kind]


def _refusals(chance: random.Random) -> list[Status | None]:
    """How the first logins are refused, with one let through after at most two that are."""
    drawn = [chance.choices(_STATUSES, k=chance.randint(0, 2)) for _ in range(3)]
    return [refusal for codes in drawn for refusal in (*(Status(code, 0) for code in codes), None)]


def _drifts(chance: random.Random, mix: Mix) -> list[Drift]:
    """One new field: what vanishes or changes its type would make the warehouse differ from the listing."""
    if "drift" not in mix.kinds or not mix.entities:
        return []
    new = {f"added{chance.randint(1, 99)}": chance.choice(("x", 1, 2.5, True, None))}
    return [Drift(chance.choice(mix.entities), new=new, from_request=chance.randint(1, max(1, mix.requests)))]


def _change(chance: random.Random, mix: Mix, kinds: list[str], request: int) -> Change:
    kind, entity = chance.choice(kinds), chance.choice(mix.entities)
    late = timedelta(seconds=chance.uniform(1, max(1.0, mix.late.total_seconds())))
    seed, count = chance.getrandbits(32), chance.randint(1, 5)
    if kind in {"insert", "late"}:
        late = late if kind == "late" else timedelta()
        return Change(entity, "insert", request, count=count, late=late, seed=seed)
    if kind == "delete" or (kind == "mark_deleted" and entity == _UNTRACKED):
        return Change(entity, "delete", request, count=count, seed=seed)
    if kind == "mark_deleted":
        return Change(entity, "mark_deleted", request, count=count, seed=seed)
    return Change(entity, "update", request, count=count, bumps=kind != "silent", seed=seed)
