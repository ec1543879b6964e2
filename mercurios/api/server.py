"""The API as a Tornado application.

    app = make_app(backend, access)
    serve(app, listen(8080, "127.0.0.1"))      # until SIGINT or SIGTERM

The event loop moves bytes and gives answers that are kept. Parsing, resolving and encoding happen on worker threads,
one request at a time each.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from tornado.httpserver import HTTPServer
from tornado.web import Application

from mercurios.api.access import Access
from mercurios.api.armour import USUAL, Armour
from mercurios.api.backend import Backend
from mercurios.api.handlers import DRAINED_BYTES, GraphQLHandler, Health, Metrics, PageFile, Unknown
from mercurios.api.service import Service

_LOG = structlog.get_logger(__name__)
_GRACE_SECONDS = 10.0
_IDLE_SECONDS = 75.0
_BODY_SECONDS = 30.0
_SWITCH_SECONDS = 0.0005
"""How long a worker thread may hold the interpreter while the event loop waits; Python's own 5 ms add up to tens."""


class Api(Application):
    """The routes of one service; `make_app` makes both."""

    def __init__(self, service: Service) -> None:
        self.service = service
        parts = {"service": service}
        routes = [(r"/graphql", GraphQLHandler, parts), (r"/healthz", Health, parts), (r"/metrics", Metrics, parts)]
        routes += [(r"/", PageFile, parts), (r"/assets/([a-z/]+\.[a-z]+)", PageFile, parts)]
        super().__init__(
            routes,
            default_handler_class=Unknown,
            default_handler_args=parts,
            log_function=lambda handler: None,  # GraphQLHandler writes its own line, structured
        )


def make_app(  # noqa: PLR0913 - parts of a service
    backend: Backend,
    access: Access,
    *,
    threads: int = 8,
    max_waiting: int = 200,
    counts: Path | None = None,
    armour: Armour = USUAL,
) -> Api:
    """Make the application; see `Service`."""
    return Api(Service(backend, access, threads=threads, max_waiting=max_waiting, counts=counts, armour=armour))


def make_server(app: Api) -> HTTPServer:
    """An HTTP server for the application, with its limits; the caller adds sockets and runs the loop."""
    return HTTPServer(
        app,
        max_body_size=DRAINED_BYTES,
        max_header_size=16_384,
        idle_connection_timeout=_IDLE_SECONDS,
        body_timeout=_BODY_SECONDS,
    )


def serve(app: Api, listener: socket.socket, *, announce: Callable[[str], None] = lambda url: None) -> None:
    """Warm up, then serve until SIGINT or SIGTERM; requests that have begun are answered before it returns.

    announce: hears the URL as soon as requests are answered.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        asyncio.run(_serve(app, listener, announce))
    finally:
        app.service.close()


async def _serve(app: Api, listener: socket.socket, announce: Callable[[str], None]) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await loop.run_in_executor(None, app.service.warm_up)
    gc.collect()
    gc.freeze()  # what is there now stays: to look through it again holds up everybody for 0.2 s
    server = make_server(app)
    server.add_sockets([listener])
    host, port = listener.getsockname()[:2]
    _LOG.info("api.listening", address=host, port=port)
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    counting = loop.create_task(app.service.keep_counting())
    await stopping.wait()
    counting.cancel()
    server.stop()
    await _drain(app)
    await server.close_all_connections()
    gc.unfreeze()
    _LOG.info("api.stopped", unanswered=app.service.in_flight)


async def _drain(app: Api) -> None:
    deadline = asyncio.get_running_loop().time() + _GRACE_SECONDS
    while app.service.in_flight and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
