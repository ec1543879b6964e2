"""Free ports on loopback."""

import socket
from contextlib import ExitStack


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
