"""What is asked most, so that it can be answered before anybody asks it of a new release.

    popular = Popular(cache, access.secret)
    popular.count(identity, question)        # for every answer
    popular.flush()                          # now and then; blocks
    warm(graphql, responses, popular, ["north"])

Kept in the cache, so an export warms what the API has counted where both use one Redis; of a cache in memory another
process knows nothing. Questions in words and questions about a single customer are not counted, and nobody's name is.
"""

import hmac
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
import structlog

from mercurios.api.access import ROLES, Identity
from mercurios.api.execution import GraphQL, Reply
from mercurios.api.responses import Question, Responses, question_of
from mercurios.cache import Cache

_LOG = structlog.get_logger(__name__)
_KEPT = 50
_COUNTED = 500
_KEPT_SECONDS = 14 * 86_400.0
_FADING = 0.99  # of a count at every flush, so that what nobody asks any more goes
_LONGEST_BODY = 16_384

Asked = tuple[str, bytes]
"""A role and a normalised request."""


@dataclass(frozen=True)
class Warmed:
    """What was answered ahead, by tenant."""

    answers: Mapping[str, int]


class Popular:
    """Counts of the questions of each tenant and role; of several processes the last to flush is read."""

    def __init__(self, cache: Cache, secret: str) -> None:
        self._cache = cache
        self._secret = hmac.digest(secret.encode(), b"mercurios popular", "sha256")
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[Asked]] = defaultdict(Counter)

    def count(self, identity: Identity, question: Question) -> None:
        """One was answered."""
        asked = (identity.role, question.body)
        with self._lock:
            counts = self._counts[identity.tenant]
            if (
                question.is_named
                and len(question.body) <= _LONGEST_BODY
                and (asked in counts or len(counts) < _COUNTED)
            ):
                counts[asked] += 1

    def flush(self) -> None:
        """Add what was counted to what is kept."""
        with self._lock:
            counted, self._counts = self._counts, defaultdict(Counter)
        for tenant, counts in counted.items():
            together = {asked: _FADING * number for asked, number in self._kept(tenant)}
            for asked, number in counts.items():
                together[asked] = together.get(asked, 0.0) + number
            top = sorted(together.items(), key=lambda one: -one[1])[:_KEPT]
            rows = [(role, body.decode(), number) for (role, body), number in top]
            self._cache.set(self._key(tenant), orjson.dumps(rows), ttl_seconds=_KEPT_SECONDS)

    def top(self, tenant: str) -> tuple[Asked, ...]:
        """What was asked most, first what was most."""
        return tuple(asked for asked, _ in self._kept(tenant))

    def _kept(self, tenant: str) -> list[tuple[Asked, float]]:
        kept = self._cache.get(self._key(tenant))
        try:
            return [((role, body.encode()), number) for role, body, number in orjson.loads(kept or b"[]")]
        except (ValueError, TypeError, AttributeError):
            return []  # not written by this version: as good as not there

    def _key(self, tenant: str) -> str:
        return f"mercurios/popular/1/{hmac.digest(self._secret, tenant.encode(), 'sha256').hex()}"


def warm(graphql: GraphQL, responses: Responses, popular: Popular, tenants: Iterable[str]) -> Warmed:
    """Ask what each tenant asks most of the current release, and keep the answers."""
    answers = {
        tenant: sum(_warmed(graphql, responses, tenant, one) for one in popular.top(tenant)) for tenant in tenants
    }
    _LOG.info("api.warmed", answers=sum(answers.values()), tenants=len(answers))
    return Warmed(answers)


def _warmed(graphql: GraphQL, responses: Responses, tenant: str, asked: Asked) -> bool:
    role, body = asked
    request = graphql.read(body, request_id="warming")
    question = None if isinstance(request, Reply) else question_of(request)
    if isinstance(request, Reply) or question is None or role not in ROLES:  # of an older schema
        return False
    identity = Identity(tenant, role, how="warming")
    reply = graphql.execute(request, identity, request_id="warming")
    responses.keep(question, identity, reply)
    return reply.outcome == "ok"
