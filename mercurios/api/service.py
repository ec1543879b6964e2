"""What the handlers ask: who a token speaks for, whether there is room, and the answer from a worker thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from mercurios.api.backend import Backend
from mercurios.api.execution import GraphQL, Reply
from mercurios.api.telemetry import Telemetry
from mercurios.api.tokens import Identity, check_secret, verify
from mercurios.errors import NoRelease, Unauthenticated
from mercurios.metrics import MetricQuery

_LOG = structlog.get_logger(__name__)


class Service:
    """Answers requests on worker threads.

    threads: requests that are worked on at the same time. max_waiting: requests that are in the house; one more is
    turned away. Raises ConfigError when the secret is too short.
    """

    def __init__(self, backend: Backend, secret: str, *, threads: int = 8, max_waiting: int = 200) -> None:
        self._backend = backend
        self._secret = check_secret(secret)
        self._max_waiting = max_waiting
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self.telemetry = Telemetry(sessions_open=lambda: len(backend.sessions))
        self._graphql = GraphQL(backend, self.telemetry)
        self.in_flight = 0

    def identify(self, token: str) -> Identity:
        """Whom the token speaks for; raises Unauthenticated, also when its tenant is not set up here."""
        identity = verify(self._secret, token)
        if identity.tenant not in self._backend.tenants():
            raise Unauthenticated("the token names a tenant that is not set up here; ask for a new one")
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
