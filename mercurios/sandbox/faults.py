"""Faults to order: what a real server does on a bad day, the same on every run.

    Faults(orders=[Fault(NotJson(), "sale", page=3, times=None)], wrong_types={"sale": 2})
    Faults(orders=[Fault(Closed(), "sale", page=2), Fault(Status(429, 7), request=5)])
    Faults(changes=[Change("sale", "insert", at_request=3, count=20)])

Everything counts from 1. Requests are those for a merchant's pages that carry a valid token; the count belongs to the
server, so that a reader that is killed and starts again does not meet the same fault twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mercurios.errors import ConfigError
from mercurios.sandbox.changes import Change
from mercurios.sandbox.shapes import SHAPES


@dataclass(frozen=True)
class Status:
    """Answered with this status; Retry-After in seconds, or as the HTTP date of then, or (None) not at all."""

    code: int
    retry_after_seconds: int | None = None
    as_date: bool = False


@dataclass(frozen=True)
class Expired:
    """The token ends with this request: 401, and 401 to whoever shows it again."""


@dataclass(frozen=True)
class TooLarge:
    """413 when a page of more than so many rows is asked for."""

    rows: int


@dataclass(frozen=True)
class Slow:
    """The answer takes so long; other requests are answered meanwhile."""

    seconds: float


@dataclass(frozen=True)
class Repeated:
    """The page begins with so many records of the page before; all that follows comes so much later.

    It stays so until the entity's first page is asked for again. Pages keep their size and nothing is left out.
    """

    rows: int


@dataclass(frozen=True)
class NotJson:
    """200 with a page of HTML."""


@dataclass(frozen=True)
class Cut:
    """200 whose JSON ends after this share of its bytes, and Content-Length agrees."""

    share: float = 0.5


@dataclass(frozen=True)
class Closed:
    """200 whose connection is closed after this share of the promised bytes."""

    share: float = 0.5


Refusal = Status | Expired | TooLarge
Effect = Refusal | Slow | Repeated | NotJson | Cut | Closed


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and on which requests: all bounds that are given must hold. times: so often; None: every time.

    page: number of the page. request: of all requests of the merchant.
    """

    effect: Effect
    entity: str | None = None
    page: int | None = None
    request: int | None = None
    times: int | None = 1

    def __post_init__(self) -> None:
        _check(self.entity)


@dataclass(frozen=True)
class Drift:
    """Records of an entity change their shape, from a page and from a request on.

    new: fields with the value they all have. vanished: fields that are gone. retyped: field to text, number, list or
    object, whatever it was.
    """

    entity: str
    new: Mapping[str, object] = field(default_factory=dict)
    vanished: Collection[str] = ()
    retyped: Mapping[str, str] = field(default_factory=dict)
    from_page: int = 1
    from_request: int = 1

    def __post_init__(self) -> None:
        _check(self.entity)
        if unknown := sorted(set(self.retyped.values()) - {"text", "number", "list", "object"}):
            raise ConfigError(f"drift to {', '.join(unknown)}: expected text, number, list or object")


@dataclass(frozen=True)
class Faults:
    """Faults of one merchant's server.

    wrong_types: entity to number of records (drawn by `seed`) whose first decimal field holds a text.
    orders, drifts, changes: what goes wrong, looks different or happens while somebody reads.
    token_requests: an access token is good for so many requests. login_statuses, refresh_statuses: how the first
    logins and refreshes are refused, one after the other; None lets one through.
    receipts_per_register: the receipt counter begins again after so many.
    ignores_filters: the query parameters that the rules name are taken, and everything is listed all the same.
    """

    wrong_types: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    orders: Sequence[Fault] = ()
    drifts: Sequence[Drift] = ()
    changes: Sequence[Change] = ()
    token_requests: int | None = None
    login_statuses: Sequence[Status | None] = ()
    refresh_statuses: Sequence[Status | None] = ()
    receipts_per_register: int | None = None
    ignores_filters: bool = False


def _check(entity: str | None) -> None:
    if entity is not None and entity not in SHAPES:
        raise ConfigError(f"a fault of {entity}: the API has {', '.join(sorted(SHAPES))}")
