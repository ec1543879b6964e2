"""How often somebody may ask: a token bucket per tenant, and one of half its size per identity in it.

    limits = RateLimits(per_second=200, burst=400)
    limits.admit(identity)          # raises RateLimited, which says when to come back

In any t seconds a tenant is let in at most burst + per_second * t times, and no single identity takes more than half of
that. Counted in one process: several processes let in as many times more. Called from the event loop alone.

    budget = QueryBudget(per_minute=600_000)
    budget.spend(identity.tenant, 120)          # points; raises RateLimited
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from mercurios.api.access.identity import Identity
from mercurios.errors import RateLimited

_KEPT = 10_000
_SHARE_OF_ONE = 0.5


class RateLimits:
    """The most recently used buckets; one that is dropped begins anew, full."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()

    def admit(self, identity: Identity) -> None:
        """Let a request in; raises RateLimited."""
        self._take((identity.tenant, identity.how, identity.subject), _SHARE_OF_ONE)
        self._take((identity.tenant,), 1.0)

    def _take(self, name: tuple[str, ...], share: float) -> None:
        now, burst, rate = self._clock(), max(1.0, self._burst * share), self._per_second * share
        level, at = self._buckets.pop(name, (burst, now))
        level = min(burst, level + (now - at) * rate)
        self._buckets[name] = (level - 1 if level >= 1 else level, now)
        if len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        if level < 1:
            raise RateLimited("too many requests; wait as long as Retry-After says", math.ceil((1 - level) / rate))


class QueryBudget:
    """Points that each tenant may spend in a minute, of answers that are worked out; safe to use from many threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, tenant: str, points: int) -> None:
        """Take the points; raises RateLimited, and takes nothing, when they are not there."""
        rate = self._per_minute / 60
        with self._lock:
            now = self._clock()
            left, at = self._left.pop(tenant, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - at) * rate)
            lacking = points - left
            self._left[tenant] = (left if lacking > 0 else -lacking, now)
            if len(self._left) > _KEPT:
                self._left.popitem(last=False)
        if lacking > 0:
            message = f"{self._per_minute:,} points a minute are spent; wait as long as Retry-After says"
            raise RateLimited(message, math.ceil(lacking / rate))
