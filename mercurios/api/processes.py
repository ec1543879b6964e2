"""The port, and several processes behind it: each has a socket there, and the system spreads connections over them.

    listeners = listen_together(8080, "127.0.0.1", 2)
    run_together(listeners, work)         # work(0) and work(1) in processes of their own, until SIGINT or SIGTERM

The sockets belong to the process that started the others, so a connection that waits for one that died waits for the
one that takes its place.
"""

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Sequence

import structlog

from mercurios.errors import ConfigError, MercuriosError

_LOG = structlog.get_logger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STARTING_SECONDS = 10.0
"""Who ends before that has not served: it is not started again."""


def listen(port: int, address: str, *, shared: bool = False) -> socket.socket:
    """Take the port, 0 for a free one; raises ConfigError when it is taken or not allowed.

    shared: several sockets of this user may listen there, and the system spreads connections over them.
    """
    if not 0 <= port < 65_536:
        raise ConfigError(f"port {port}: expected 0 to 65535, with 0 for any free one; choose another one with --port")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=128, reuse_port=shared)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {address} port {port}: {error.strerror}; stop what uses it, "
            "or choose another one with --port"
        ) from error
    listener.setblocking(False)
    return listener


def listen_together(port: int, address: str, processes: int) -> Sequence[socket.socket]:
    """A listening socket for each process on one port, 0 for a free one; raises ConfigError when it is taken."""
    with listen(port, address) as alone:  # nobody else is there
        port = alone.getsockname()[1]
    return [listen(port, address, shared=True) for _ in range(processes)]


def run_together(
    listeners: Sequence[socket.socket],
    work: Callable[[int], None],
    *,
    ended: Callable[[int], None] = lambda pid: None,
) -> None:
    """Run `work(number)` in a process for each listener until SIGINT or SIGTERM, then wait for all of them.

    One that dies is started again. ended: hears the process id of each that ended.
    Raises MercuriosError, when the others have ended, where one dies before it has served.
    """
    Group(listeners, work, ended).run()


class Group:
    """The processes of one service, as the process that started them sees them."""

    def __init__(
        self, listeners: Sequence[socket.socket], work: Callable[[int], None], ended: Callable[[int], None]
    ) -> None:
        self._listeners = listeners
        self._work = work
        self._ended = ended
        self._running: dict[int, tuple[int, float]] = {}
        self._is_stopping = False

    def run(self) -> None:
        """Start all, start again what dies, and return when all have ended."""
        for asked in _SIGNALS:
            signal.signal(asked, self._stop)
        for number in range(len(self._listeners)):
            self._start(number)
        failed = False
        while self._running:
            pid, status = os.wait()
            number, since = self._running.pop(pid)
            self._ended(pid)
            if self._is_stopping:
                continue
            _LOG.error("api.process_died", number=number, code=os.waitstatus_to_exitcode(status))
            if time.monotonic() - since >= _STARTING_SECONDS:
                self._start(number)
            else:
                failed = True
                self._stop()
        if failed:
            raise MercuriosError("a process of the API ended before it had served; what it wrote says why")

    def _start(self, number: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # one that comes now must not reach the child as ours
        pid = os.fork()
        if pid == 0:
            self._become(number)
        self._running[pid] = (number, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if self._is_stopping:
            os.kill(pid, signal.SIGTERM)

    def _become(self, number: int) -> None:
        """Do the work in this process, and end it."""
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        code = 1
        try:
            for other, listener in enumerate(self._listeners):
                if other != number:
                    listener.close()
            self._work(number)
            code = 0
        except MercuriosError as error:
            _LOG.error("api.process_failed", number=number, reason=str(error))
        except Exception:  # noqa: BLE001 - the process ends with it
            traceback.print_exc()
        finally:
            os._exit(code)

    def _stop(self, *_: object) -> None:
        """Ask all to end; each answers first what it has begun."""
        self._is_stopping = True
        for listener in self._listeners:
            listener.close()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
