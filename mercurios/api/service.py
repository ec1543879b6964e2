"""What the handlers ask: who a credential speaks for, whether there is room, and the answer from a worker thread."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from mercurios.api.access import Access, Identity
from mercurios.api.backend import Backend
from mercurios.api.execution import GraphQL, Reply
from mercurios.api.telemetry import Telemetry
from mercurios.errors import NoRelease, Unauthenticated
from mercurios.metrics import MetricQuery

_LOG = structlog.get_logger(__name__)


class Service:
    """Answers requests on worker threads.

    threads: requests that are worked on at the same time. max_waiting: requests that are in the house; one more is
    turned away.
    """

    def __init__(self, backend: Backend, access: Access, *, threads: int = 8, max_waiting: int = 200) -> None:
        self._backend = backend
        self.access = access
        self._max_waiting = max_waiting
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self.telemetry = Telemetry(sessions_open=lambda: len(backend.sessions))
        self._graphql = GraphQL(backend, self.telemetry)
        self.in_flight = 0

    async def identify(self, authorization: Sequence[str]) -> Identity:
        """Whom these headers speak for; raises AccessError, also when the tenant is not set up here."""
        identity = await self.access.identify(authorization)
        if identity.tenant not in self._backend.tenants():
            message = "the token names a tenant that is not set up here; ask for a new one"
            raise Unauthenticated(message, reason="tenant_unknown")
        return identity

    def has_room(self) -> bool:
        """Whether one more request may wait for a worker."""
        return self.in_flight < self._max_waiting

    async def answer(self, body: bytes, identity: Identity, *, request_id: str) -> Reply:
        """Answer a GraphQL request on a worker thread."""
        self.in_flight += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._workers, lambda: self._graphql.answer(body, identity, request_id=request_id)
            )
        finally:
            self.in_flight -= 1

    def warm_up(self) -> None:
        """Open one session and compile one metric query, so that the first asker waits for no imports."""
        try:
            for tenant in list(self._backend.tenants())[:1]:
                semantics = self._backend.semantics(self._backend.sessions.get(tenant).release)
                semantics.compile(MetricQuery((semantics.catalog()[0].name,)))
        except NoRelease as error:
            _LOG.warning("api.cold", reason=str(error))

    def close(self) -> None:
        """Stop the worker threads when their requests are done; those that have not begun are dropped."""
        self._workers.shutdown(cancel_futures=True)
        self.access.audit.close()
