"""What the API needs from the rest of Mercurios, handed in by whoever starts it.

    backend = Backend(sessions, semantics, ask, cache, tenants=directory.ids)
    app = make_app(backend, secret)

Nothing is opened here: the API only asks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mercurios.cache import Cache
from mercurios.metrics import SemanticLayer
from mercurios.serving import Session


class SessionSource(Protocol):
    """Where serving sessions come from; `mercurios.serving.Sessions` is one."""

    def get(self, tenant_id: str) -> Session:
        """The tenant's session on the current release; raises NoRelease when there is none."""

    def __len__(self) -> int:
        """Sessions that are open now."""


class Answer(Protocol):
    """What became of a question, as `mercurios.answers` returns it."""

    @property
    def status(self) -> str:
        """ANSWERED, REFUSED or AMBIGUOUS."""

    @property
    def text(self) -> str:
        """The answer, or the reason why there is none."""

    @property
    def columns(self) -> Sequence[str] | None:
        """Names of the columns of `rows`."""

    @property
    def rows(self) -> Sequence[Sequence[object]] | None:
        """Result rows; None when nothing was queried."""

    @property
    def query(self) -> Mapping[str, object] | None:
        """The metric query as JSON-able values."""

    @property
    def sources(self) -> Sequence[str]:
        """What the reading of the question rests on."""


Ask = Callable[[Session, str, str | None], Answer]


@dataclass(frozen=True)
class Backend:
    """The parts behind the API; `tenants` returns the ids that tokens may name."""

    sessions: SessionSource
    semantics: SemanticLayer
    ask: Ask
    cache: Cache
    tenants: Callable[[], Collection[str]]
