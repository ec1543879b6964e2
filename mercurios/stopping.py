"""Stopping: SIGTERM and Ctrl-C end a run within seconds, whatever it waits for.

    with ends_when_told("stopped; run it again", console.say):
        flow()

What was told is told once. The block has `GRACE_SECONDS` to end by itself: a server that does not answer, or a thread
in the middle of a call, would keep it for minutes.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

GRACE_SECONDS = 5.0
_SOON_SECONDS = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KILLED = 128
"""An exit code is this and the signal's number, as shells have it."""


@contextmanager
def ends_when_told(line: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say `line` when a signal comes and raise SystemExit out of the block; for the main thread.

    say: writes at once. A block that has not ended in time ends with the process and its children, and nothing is
    flushed then.
    """
    ears, mouth = socket.socketpair()
    mouth.setblocking(False)
    watch = _Watch(ears, line, say)
    before = signal.signal(signal.SIGTERM, _interrupt)  # Prefect puts its own in its place for the time of a flow
    woken = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)  # and cannot put anything in that one's
    watch.start()
    try:
        yield
    except BaseException as error:
        if watch.has_heard(soon=not isinstance(error, Exception)):
            raise SystemExit(watch.code) from error
        raise
    finally:
        if not watch.has_heard():
            signal.set_wakeup_fd(woken)
            signal.signal(signal.SIGTERM, before)
            mouth.close()
            watch.join()
            ears.close()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Watch(threading.Thread):
    """Hears the numbers of the signals that arrive."""

    def __init__(self, ears: socket.socket, line: str, say: Callable[[str], None]) -> None:
        super().__init__(name="stopping", daemon=True)
        self._ears = ears
        self._line = line
        self._say = say
        self._heard = threading.Event()
        self.code = 0

    def has_heard(self, *, soon: bool = False) -> bool:
        """Whether the process was told to end; `soon`: its main thread may know of it first."""
        return self._heard.wait(_SOON_SECONDS if soon else 0)

    def run(self) -> None:
        """Wait for one of the signals, then as long as the block may take; Prefect sends the signal to itself again."""
        while told := self._ears.recv(1):
            if told[0] in _SIGNALS:
                self.code = _KILLED + told[0]
                try:
                    self._say(self._line)
                finally:
                    self._heard.set()  # the main thread may end the process from here on
                time.sleep(GRACE_SECONDS)
                _end(self.code)


def _end(code: int) -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=_SOON_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(code)
