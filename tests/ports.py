"""Free ports on loopback, and servers there."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Let a handler answer on loopback as long as the block lasts; gives the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free now."""
    for _ in range(50):
        with ExitStack() as stack:
            first = _bound(stack, 0)
            try:
                for number in range(1, count):
                    _bound(stack, first + number)
            except (OSError, OverflowError):
                continue
            return first
    raise RuntimeError(f"no {count} neighbouring ports are free")


def _bound(stack: ExitStack, port: int) -> int:
    probe = stack.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])
