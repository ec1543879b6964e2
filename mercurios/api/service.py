"""What the handlers ask: who a credential speaks for, whether there is room, and the answer.

An answer that is kept in this process is given at once. Of the same question asked many times at once one is worked
on, on a worker thread, and the others wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from mercurios.api.access import Access, Identity
from mercurios.api.armour import USUAL, Armour
from mercurios.api.backend import Backend
from mercurios.api.execution import GraphQL, Reply, Request
from mercurios.api.popular import Popular
from mercurios.api.responses import Question, Responses, question_of
from mercurios.api.telemetry import Telemetry
from mercurios.deadlines import Deadline, watch
from mercurios.errors import LakeError, NoRelease, Unauthenticated
from mercurios.metrics import MetricQuery

_LOG = structlog.get_logger(__name__)
_FLUSH_SECONDS = 60.0

T = TypeVar("T")


class Service:
    """Answers requests.

    threads: requests that are worked on at the same time. max_waiting: requests that are in the house; one more is
    turned away. counts: folder where several processes count together, see `Telemetry`.
    """

    def __init__(  # noqa: PLR0913 - parts of a service
        self,
        backend: Backend,
        access: Access,
        *,
        threads: int = 8,
        max_waiting: int = 200,
        counts: Path | None = None,
        armour: Armour = USUAL,
    ) -> None:
        self.armour = armour
        self._backend = backend
        self.access = access
        self._max_waiting = max_waiting
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self.telemetry = Telemetry(backend.sessions, shared=counts)
        self._graphql = GraphQL(backend, self.telemetry, armour)
        self._responses = Responses(backend.cache, access.secret)
        self.popular = Popular(backend.cache, access.secret)
        self._flights: dict[tuple[str, str, str], asyncio.Future[Reply]] = {}
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
        """Answer a GraphQL request: from what is kept, or on a worker thread."""
        self.in_flight += 1
        try:
            question = self._responses.recall(body)
            if question is not None:
                return await self._share(
                    question, identity, lambda: self._graphql.answer(body, identity, request_id=request_id)
                )
            return await self._answer_new(body, identity, request_id)
        finally:
            self.in_flight -= 1

    async def _answer_new(self, body: bytes, identity: Identity, request_id: str) -> Reply:
        def read() -> tuple[Request | Reply, Question | None]:
            read = self._graphql.read(body, request_id=request_id)
            return read, None if isinstance(read, Reply) else question_of(read)

        request, question = await self._on_worker(read)
        if isinstance(request, Reply):
            return request

        def execute() -> Reply:
            return self._graphql.execute(request, identity, request_id=request_id)

        if question is None:
            return await self._on_worker(execute)
        self._responses.remember(body, question)
        return await self._share(question, identity, execute)

    async def _share(self, question: Question, identity: Identity, execute: Callable[[], Reply]) -> Reply:
        """A kept answer, that of somebody who asks the same right now, or a new one."""
        reply = self._peek(question, identity) or await self._join(question, identity)
        if reply is None:
            reply = await self._lead(question, identity, execute)
        if reply.outcome == "ok":
            self.popular.count(identity, question)
        return reply

    def _peek(self, question: Question, identity: Identity) -> Reply | None:
        release = self._backend.sessions.known(identity.tenant)
        reply = self._responses.peek(question, identity, release) if release else None
        if reply is not None:
            self.telemetry.count_cache("hit")
        return reply

    async def _join(self, question: Question, identity: Identity) -> Reply | None:
        """What another request is being answered; an error is not shared, for it may name that request."""
        flight = self._flights.get((identity.tenant, identity.role, question.digest))
        if flight is None:
            return None
        reply = await asyncio.shield(flight)
        if reply.outcome != "ok":
            return None
        self.telemetry.count_cache("joined")
        return replace(reply, source=question.source)

    async def _lead(self, question: Question, identity: Identity, execute: Callable[[], Reply]) -> Reply:
        name = (identity.tenant, identity.role, question.digest)
        flight = self._on_worker(lambda: self._find_or_execute(question, identity, execute))
        self._flights[name] = flight
        try:
            return await flight
        finally:
            if self._flights.get(name) is flight:
                del self._flights[name]

    def _find_or_execute(self, question: Question, identity: Identity, execute: Callable[[], Reply]) -> Reply:
        reply = self._find(question, identity)
        self.telemetry.count_cache("miss" if reply is None else "hit")
        if reply is None:
            reply = execute()
            self._responses.keep(question, identity, reply)
        return reply

    def _find(self, question: Question, identity: Identity) -> Reply | None:
        try:
            return self._responses.find(question, identity, self._backend.sessions.release(identity.tenant))
        except LakeError:
            return None  # whoever executes meets it again, and answers with it

    def _on_worker(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do the work on a thread, and stop it when its time is up."""
        deadline = Deadline(self.armour.deadline_seconds)
        future = asyncio.get_running_loop().run_in_executor(self._workers, deadline.run, work)
        watch(deadline, future)
        return future

    async def keep_counting(self) -> None:
        """Write down now and then what is asked most; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self._on_worker(self.popular.flush)

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
        self.popular.flush()
        self.access.audit.close()
