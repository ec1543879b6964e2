"""The ProHandel stand-in on loopback: one port to log in, one port a merchant.

    with running([north, south]) as sandbox:
        sandbox.auth_url, sandbox.server_url("north")

What is known of the real API is kept (paging without totals, floats, naive times, double-nested tokens); what is not
known can be switched in `Rules`.
"""

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tornado.httpserver import HTTPServer
from tornado.web import Application

from mercurios.errors import ConfigError
from mercurios.sandbox.api import Api, api_application
from mercurios.sandbox.live import RunningSandbox
from mercurios.sandbox.login import Login, login_application
from mercurios.sandbox.merchant import Merchant
from mercurios.sandbox.rules import Rules
from mercurios.sandbox.served import Served
from mercurios.sandbox.tokens import TokenDesk

HOST = "127.0.0.1"


@dataclass(frozen=True)
class _Bound:
    """Applications with their listening sockets, the login first, and where they answer."""

    applications: tuple[Application, ...]
    sockets: tuple[socket.socket, ...]
    sandbox: RunningSandbox


def serve(
    merchants: Sequence[Merchant],
    port: int,
    *,
    rules: Rules | None = None,
    on_ready: Callable[[RunningSandbox], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM: logins at `port`, merchants at the ports after it. For the main thread.

    Calls `on_ready` once every port answers. Raises ConfigError naming the port that is taken.
    """
    bound = _bound(merchants, port, rules or Rules())

    async def until_interrupted() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if on_ready:
            on_ready(bound.sandbox)  # the ports listen already: who comes early waits, and is answered
        await _answer(bound, stop)

    asyncio.run(until_interrupted())


@contextmanager
def running(merchants: Sequence[Merchant], port: int = 0, *, rules: Rules | None = None) -> Iterator[RunningSandbox]:
    """Serve from a background thread while the block runs; port 0 takes free ports."""
    bound = _bound(merchants, port, rules or Rules())
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, _answer(bound, stop)), name="sandbox", daemon=True)
    thread.start()
    try:
        yield bound.sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, answering: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(answering)


async def _answer(bound: _Bound, stop: asyncio.Event) -> None:
    servers = [HTTPServer(application) for application in bound.applications]
    for server, listening in zip(servers, bound.sockets, strict=True):
        server.add_sockets([listening])
    await stop.wait()
    for server in servers:
        server.stop()
        await server.close_all_connections()


def _bound(merchants: Sequence[Merchant], port: int, rules: Rules) -> _Bound:
    names = [merchant.name for merchant in merchants]
    if len(set(names)) < len(names):
        raise ConfigError(f"merchants need names of their own; got {', '.join(names)}; rename one")
    served = {merchant.name: Served(merchant) for merchant in merchants}
    sockets = _listen(port, count=len(names) + 1)
    login, *servers = (f"http://{HOST}:{listening.getsockname()[1]}" for listening in sockets)
    sandbox = RunningSandbox(login, dict(zip(names, servers, strict=True)), served)
    desk = TokenDesk(merchants, access_seconds=rules.token_seconds, refresh_seconds=rules.refresh_seconds)
    auth = login_application(Login(desk, sandbox.server_urls, served, rules))
    apis = (api_application(Api(one, desk, rules)) for one in served.values())
    return _Bound((auth, *apis), sockets, sandbox)


def _listen(port: int, count: int) -> tuple[socket.socket, ...]:
    with ExitStack() as closing:
        sockets = tuple(closing.enter_context(_socket(port and port + number)) for number in range(count))
        closing.pop_all()
        return sockets


def _socket(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
        listening.setblocking(False)
        return listening
    except (OSError, OverflowError) as error:
        listening.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use" if taken else f"cannot be opened ({error})"
        raise ConfigError(
            f"port {port} {reason}; the sandbox needs it on {HOST}: stop what uses it, or say another one with --port "
            "or MERCURIOS_SANDBOX_PORT"
        ) from error
