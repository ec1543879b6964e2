"""Deadlines that stop what runs: a statement of DuckDB is interrupted where it is.

    deadline = Deadline(seconds=10)
    future = loop.run_in_executor(workers, deadline.run, work)
    watch(deadline, future)

What is asked on the worker's thread with `within_deadline` belongs to the deadline of that work.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from mercurios.errors import Timeout

T = TypeVar("T")
_AGAIN_SECONDS = 0.05


class Interruptible(Protocol):
    """What can be stopped from another thread; a DuckDB cursor is one."""

    def interrupt(self) -> None:
        """Stop what runs."""


class Deadline:
    """The time that one piece of work has; safe to use from many threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._running: list[Interruptible] = []
        self._is_over = False

    def run(self, work: Callable[[], T]) -> T:
        """Do the work under this deadline."""
        token = _CURRENT.set(self)
        try:
            return work()
        finally:
            _CURRENT.reset(token)

    def expire(self) -> None:
        """The time is up: stop what runs and let nothing begin."""
        with self._lock:
            self._is_over = True
            for statement in self._running:
                statement.interrupt()

    @contextmanager
    def covering(self, statement: Interruptible) -> Iterator[None]:
        """Stop the statement when the time is up; raises Timeout, also in place of what the interrupt raised."""
        with self._lock:
            self.check()
            self._running.append(statement)
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            with self._lock:
                self._running.remove(statement)

    def check(self) -> None:
        """Raise Timeout when the time is up."""
        if self._is_over:
            raise Timeout(f"stopped after {self.seconds:g} seconds; ask for a shorter period or fewer rows")


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within_deadline(statement: Interruptible) -> Iterator[None]:
    """Run a statement under the deadline of the work it belongs to, if that has one."""
    deadline = _CURRENT.get()
    if deadline is None:
        yield
        return
    with deadline.covering(statement):
        yield


def watch(deadline: Deadline, work: "asyncio.Future[T]") -> None:
    """Expire the deadline in time unless the work is done by then; to be called on the event loop.

    Again and again until it is done: an interrupt that comes just before a statement begins is lost.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(deadline.seconds, lambda: expire())

    def expire() -> None:
        nonlocal timer
        deadline.expire()
        timer = loop.call_later(_AGAIN_SECONDS, expire)

    work.add_done_callback(lambda _: timer.cancel())
