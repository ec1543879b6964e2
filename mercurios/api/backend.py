"""What the API needs from the rest of Mercurios, handed in by whoever starts it.

    backend = Backend(sessions, semantics, ask, cache, tenants=directory.ids)
    app = make_app(backend, access)

Nothing is opened here: the API only asks.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from mercurios.answers import Answer
from mercurios.api.seals import Seals
from mercurios.cache import Cache
from mercurios.journal import Journal
from mercurios.lake import Release
from mercurios.metrics import SemanticLayer
from mercurios.serving import Session
from mercurios.tenancy import Sla


class SessionSource(Protocol):
    """Where serving sessions come from; `mercurios.serving.Sessions` is one."""

    def get(self, tenant_id: str) -> Session:
        """The tenant's session on the current release; raises NoRelease when there is none."""

    def known(self, tenant_id: str) -> Release | None:
        """The release the tenant is served from, without waiting; None when somebody has to look at the lake first."""

    def release(self, tenant_id: str) -> Release:
        """The release the tenant is served from; raises NoRelease when there is none."""

    def __len__(self) -> int:
        """Sessions that are open now."""

    @property
    def size_bytes(self) -> int:
        """Memory of all open sessions."""


@dataclass(frozen=True)
class Backend:
    """The parts behind the API; all of them are called from many threads.

    semantics: the metric definitions a release was published with. ask: session, question and language (`de`, `en`
    or None) to an answer. tenants: the ids that tokens may name. releases: all there are, oldest first. journal: where
    it is written what people tell, by tenant. seals: what the API gives out and takes back. sla: what a tenant is
    promised.
    """

    sessions: SessionSource
    semantics: Callable[[Release], SemanticLayer]
    ask: Callable[[Session, str, str | None], Answer]
    cache: Cache
    tenants: Callable[[], Collection[str]]
    releases: Callable[[], Sequence[Release]]
    journal: Callable[[str], Journal]
    seals: Seals
    sla: Callable[[str], Sla]
