"""The desk where faults are handed out: it counts a merchant's requests and remembers what it has handed out.

desk = FaultDesk(Faults(orders=[Fault(Status(503), "sale", page=2)]))
desk.meet("sale", page=2, size=1000).refusal
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from mercurios.sandbox.faults import (
    Closed,
    Cut,
    Drift,
    Effect,
    Fault,
    Faults,
    NotJson,
    Refusal,
    Repeated,
    Slow,
    Status,
    TooLarge,
)


@dataclass(frozen=True)
class Met:
    """What one request meets. effects are those of a page that is answered."""

    refusal: Refusal | None = None
    effects: tuple[Slow | Repeated | NotJson | Cut | Closed, ...] = ()
    drifts: tuple[Drift, ...] = ()

    @property
    def slow_seconds(self) -> float:
        """How long the answer takes."""
        return sum(effect.seconds for effect in self.effects if isinstance(effect, Slow))

    @property
    def repeated_rows(self) -> int:
        """How many records of the page before come again."""
        return sum(effect.rows for effect in self.effects if isinstance(effect, Repeated))


class FaultDesk:
    """Hands out the ordered faults of one merchant's server."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.requests: Counter[str | None] = Counter()
        self._orders = faults.orders
        self._times: Counter[int] = Counter()
        self._logins: Mapping[str, deque[Status | None]] = {
            "login": deque(faults.login_statuses),
            "refresh": deque(faults.refresh_statuses),
        }

    def meet(self, entity: str, page: int, size: int) -> Met:
        """Count a request for a page of `size` rows and tell what it meets: one refusal, or any number of effects."""
        self.requests.update((None, entity))
        met = [
            (number, order)
            for number, order in enumerate(self._orders)
            if (order.times is None or self._times[number] < order.times) and self._is_for(order, entity, page, size)
        ]
        refusals = [(number, order) for number, order in met if isinstance(order.effect, get_args(Refusal))]
        slow = [(number, order) for number, order in met if isinstance(order.effect, Slow)]
        handed = [*slow, refusals[0]] if refusals else met
        self._times.update(number for number, _ in handed)
        return self._met([order.effect for _, order in handed], entity, page)

    def meet_login(self, kind: str) -> Status | None:
        """How the next `login` or `refresh` is refused; None lets it through."""
        return self._logins[kind].popleft() if self._logins[kind] else None

    def _is_for(self, order: Fault, entity: str, page: int, size: int) -> bool:
        wanted = (order.entity, order.page, order.request)
        got = (entity, page, self.requests[None])
        fits = all(bound is None or bound == value for bound, value in zip(wanted, got, strict=True))
        return fits and not (isinstance(order.effect, TooLarge) and size <= order.effect.rows)

    def _met(self, effects: list[Effect], entity: str, page: int) -> Met:
        refusal = next((effect for effect in effects if isinstance(effect, Refusal)), None)
        others = tuple(effect for effect in effects if not isinstance(effect, Refusal))
        drifts = (
            drift
            for drift in self.faults.drifts
            if drift.entity == entity and page >= drift.from_page and self.requests[None] >= drift.from_request
        )
        return Met(refusal, others, tuple(drifts))
